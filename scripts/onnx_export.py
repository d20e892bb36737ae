"""Holds models that wgconv trains and exports to onnxruntime: python scripts/onnx_export.py PROGRAM FOLDER.

PROGRAM is the built wgconv. A model of digits is trained for one epoch, exported, checked by the package onnx, and run by onnxruntime; `wgconv compare` holds
its outputs to the reference and to wgconv's own.
"""

import pathlib
import subprocess
import sys

import numpy
import onnx
import onnxruntime


def main(program, folder):
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


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: onnx_export.py PROGRAM FOLDER")
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
