"""Holds what wgconv exports to onnxruntime: python scripts/onnx_export.py PROGRAM FOLDER [SUITE ...].

PROGRAM is the built wgconv. A model of digits is trained for one epoch, exported, checked by the package onnx, and run by onnxruntime; `wgconv compare` holds
its outputs to the reference and to wgconv's own. Then the same for networks of `wgconv bench` (by default those that are quick), whose outputs on wgconv's
CPU engine are held to onnxruntime's.
"""

import pathlib
import subprocess
import sys

import numpy
import onnx
import onnxruntime


SUITES = ["lenet5", "mobilenet_v2", "efficientnet_b0", "wav2vec2"]
# Of the largest output: another order of sums, layer upon layer. What is wrong is off by far more.
MOST = 1e-4


def main(program, folder, suites):
    folder.mkdir(parents=True, exist_ok=True)
    saved, path, x = folder / "digits.safetensors", folder / "digits.onnx", folder / "x.npy"

    def wgconv(*arguments):
        subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    wgconv("train", "digits", "--cpu", "--epochs", 1, "--save", saved)
    wgconv("export", saved, "--output", path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    images = numpy.random.default_rng(1).uniform(0, 1, (5, 1, 8, 8)).astype(numpy.float32)
    numpy.save(x, images)
    [theirs] = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"input": images})
    assert theirs.shape == (5, 10) and numpy.ptp(theirs) > 0.1, "these outputs say nothing"
    numpy.savez(folder / "theirs.npz", output=theirs)
    wgconv("compare", path, "--input", x, "--cpu", "--against", folder / "theirs.npz")
    print(f"exported digits: onnxruntime gives the same {theirs.shape}")
    for suite in suites:
        path, outputs = folder / f"{suite}.onnx", folder / suite
        wgconv("export", "--suite", suite, "--output", path)
        onnx.checker.check_model(str(path))
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        [given] = session.get_inputs()
        images = numpy.random.default_rng(2).normal(0, 1, [1, *given.shape[1:]]).astype(numpy.float32)
        numpy.save(x, images)
        [theirs] = session.run(None, {given.name: images})
        wgconv("run", path, "--input", x, "--cpu", "--output", outputs)
        ours = numpy.load(outputs / "0-y.npy")
        largest = numpy.abs(theirs).max()
        difference = numpy.abs(ours - theirs).max() / largest
        assert numpy.ptp(theirs) > 0.1 * largest, f"{suite}: these outputs say nothing"
        assert difference < MOST, f"{suite}: off by {difference:.1e} of the largest"
        print(f"exported {suite}: onnxruntime gives the same {theirs.shape}, up to {difference:.1e} of the largest")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: onnx_export.py PROGRAM FOLDER [SUITE ...]")
    main(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:] or SUITES)
