"""Runs models that packages have inside on onnxruntime, and writes inputs and outputs as the tests of wgconv-onnx read them: python scripts/onnx_peers.py FOLDER.

Needs onnx, onnxruntime, and without their dependencies rapidocr-onnxruntime, basic-pitch and silero-vad. Inputs are made from seeds; no weights are kept.
"""

import importlib.util
import pathlib
import sys

import numpy
import onnx
import onnxruntime
from onnx import numpy_helper

# Name, package, file within it, and the extents of the inputs that are not of one number.
MODELS = [
    ("text_detection", "rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", {"x": [1, 3, 64, 96]}),
    ("text_direction", "rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": [2, 3, 48, 192]}),
    ("text_recognition", "rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", {"x": [1, 3, 48, 96]}),
    ("pitch", "basic_pitch", "saved_models/icassp_2022/nmp.onnx", {"serving_default_input_2:0": [1, 43844, 1]}),
    ("voice_activity", "silero_vad", "data/silero_vad_16k_sequence.onnx", {"input": [2, 576], "h": [1, 1, 128], "c": [1, 1, 128]}),
    ("voice_activity_branches", "silero_vad", "data/silero_vad_op18_ifless.onnx", {"input": [1, 576], "state": [2, 1, 128], "sr": numpy.array(16000)}),
]


def noise(random, extents):
    """Numbers from -1 to 1; of pictures a white page with a line of dark blocks, in which a detector of text finds something."""
    if len(extents) < 4:
        return random.uniform(-1, 1, extents).astype(numpy.float32)
    batch, channels, height, width = extents
    page = numpy.full(extents, 2.0, numpy.float32)
    blocks = random.choice([-2.0, 2.0], (batch, 1, height // 16, width // 4 - 4)).repeat(4, axis=2).repeat(4, axis=3)
    top = height // 2 - blocks.shape[2] // 2
    page[:, :, top : top + blocks.shape[2], 8 : width - 8] = blocks
    return page


def main(folder):
    for seed, (name, package, file, inputs) in enumerate(MODELS):
        root = importlib.util.find_spec(package).submodule_search_locations[0]
        path = pathlib.Path(root) / file
        random = numpy.random.default_rng(seed)
        made = {}
        for key, what in inputs.items():
            made[key] = what if isinstance(what, numpy.ndarray) else noise(random, what)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        order = [value.name for value in session.get_inputs()]
        outputs = session.run(None, made)
        data = folder / "peers" / name / "test_data_set_0"
        data.mkdir(parents=True, exist_ok=True)
        (data.parent / "model.onnx").write_bytes(path.read_bytes())
        for kind, values in (("input", [made[key] for key in order]), ("output", outputs)):
            for i, value in enumerate(values):
                (data / f"{kind}_{i}.pb").write_bytes(numpy_helper.from_array(numpy.asarray(value)).SerializeToString())
        print(name, [list(value.shape) for value in outputs])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: onnx_peers.py FOLDER")
    main(pathlib.Path(sys.argv[1]))
