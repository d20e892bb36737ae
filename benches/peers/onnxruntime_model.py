"""Times one model on onnxruntime, on the CPU or on WebGPU, and prints a JSON line: models.py starts it.

On the CPU inputs and outputs are bound. On WebGPU a run takes arrays and gives arrays: the upload, the download and its wait are in the figure. Nodes
that its WebGPU engine does not have run on its CPU engine; how many engines took part is in the line."""

import argparse
import json
import os
import sys

import numpy as np
import onnxruntime as ort

import peer

PROVIDERS = {"cpu": ["CPUExecutionProvider"], "webgpu": ["WebGpuExecutionProvider", "CPUExecutionProvider"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("inputs", metavar="INPUTS.npz")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--provider", choices=list(PROVIDERS), default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    line = {"peer": f"onnxruntime-{options.provider}", "version": ort.__version__, "device": "WebGPU, Dawn's first adapter" if options.provider == "webgpu" else f"CPU, threads: {options.threads}"}
    wanted = PROVIDERS[options.provider]
    if wanted[0] not in ort.get_available_providers():
        raise SystemExit(f"this onnxruntime has {', '.join(ort.get_available_providers())}, not {wanted[0]}")
    try:
        settings = ort.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        session = ort.InferenceSession(options.model, settings, providers=wanted, enable_fallback=0)
        given = dict(np.load(options.inputs))
        outputs = session.run(None, given)
        if options.provider == "cpu":
            binding = session.io_binding()
            for name, array in given.items():
                binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
            for output, array in zip(session.get_outputs(), outputs):
                binding.bind_ortvalue_output(output.name, ort.OrtValue.ortvalue_from_shape_and_type(list(array.shape), array.dtype))
            run = lambda: session.run_with_iobinding(binding)
        else:
            run = lambda: session.run(None, given) and None
        line |= peer.timed(run, options.seconds)
        line["engines"] = session.get_providers()
    except Exception as why:
        line["error"] = f"{type(why).__name__}: {why}"
    print(json.dumps(line), flush=True)
    sys.stdout.flush()
    os._exit(0)  # Dawn's end is not what is timed, and it may crash


main()
