"""What the Python peers share: shapes, inputs, the clock, and one JSON line a shape. src/main.rs does the same in Rust."""

import argparse
import json
import math
import os
import statistics
import time

import numpy as np


class Shape:
    """One entry of shapes.json: arrays are channels first, attributes ONNX's."""

    def __init__(self, entry):
        self.name, self.op, self.attrs = entry["name"], entry["op"], entry["attrs"]
        self.extents = list(entry["inputs"].values())

    def inputs(self):
        """The arrays in the order of the file: x and w, x alone, or a and b."""
        return [values(extents, i + 1) for i, extents in enumerate(self.extents)]

    def output_extents(self):
        if self.op == "matmul":
            return [self.extents[0][0], self.extents[1][1]]
        x, attrs = self.extents[0], self.attrs
        dilations = attrs.get("dilations", [1, 1])
        plane = [
            (x[2 + i] + attrs["pads"][i] + attrs["pads"][2 + i] - dilations[i] * (attrs["kernel_shape"][i] - 1) - 1) // attrs["strides"][i] + 1
            for i in range(2)
        ]
        return [x[0], self.extents[1][0] if self.op == "conv" else x[1]] + plane

    def even_pads(self):
        """Height and width, for peers that pad both sides alike."""
        top, left, bottom, right = self.attrs["pads"]
        if (top, left) != (bottom, right):
            raise ValueError(f"{self.name}: the pads are {self.attrs['pads']}: this peer's are the same on both sides")
        return top, left


def values(extents, index):
    """Pseudo-random multiples of 1/1024 in [-0.5, 0.5): f16 and TF32 hold them too, so every precision starts from the same inputs. The
    second input is another stretch of the same sequence."""
    v = np.arange(math.prod(extents), dtype=np.uint32) + np.uint32(index << 28)
    v = (v ^ (v >> np.uint32(16))) * np.uint32(0x7FEB352D)
    v = (v ^ (v >> np.uint32(15))) * np.uint32(0x846CA68B)
    v = (v ^ (v >> np.uint32(16))) >> np.uint32(22)
    return (v.astype(np.float32) / np.float32(1024) - np.float32(0.5)).reshape(extents)


def timed(run, seconds):
    """The first run alone (it compiles and tunes), a warm-up of a quarter of the seconds and two runs at least, then samples for that many
    seconds, 5 at least and 1000 at most. `run` returns when its work is done: nothing, or the milliseconds of a clock of its own."""

    def once():
        start = time.perf_counter()
        own = run()
        return (time.perf_counter() - start) * 1e3 if own is None else own

    first = once()
    start, warm = time.perf_counter(), 0
    while warm < 2 or time.perf_counter() - start < 0.25 * seconds:
        once()
        warm += 1
    start, samples = time.perf_counter(), []
    while len(samples) < 5 or (time.perf_counter() - start < seconds and len(samples) < 1000):
        samples.append(once())
    return {"median_ms": statistics.median(samples), "min_ms": min(samples), "max_ms": max(samples), "runs": len(samples), "first_ms": first}


def arguments(description):
    """A parser that knows the arguments of every peer."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", metavar="SHAPES.json")
    parser.add_argument("seconds", metavar="SECONDS", type=float)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    return parser


def main(options, peer, version, device, prepare):
    """`prepare(shape)` gives two functions: the run that is timed, and one that gives the output as an array in channels-first order."""
    with open(options.shapes) as file:
        shapes = [Shape(entry) for entry in json.load(file)]
    for shape in shapes:
        line = {"peer": peer, "version": version, "device": device, "shape": shape.name}
        try:
            run, output = prepare(shape)
            line |= timed(run, options.seconds)
            y = np.asarray(output(), dtype=np.float64)
            line |= {"count": y.size, "sum": float(y.sum()), "abs": float(np.abs(y).sum())}
        except Exception as why:  # one shape that a peer cannot run is named; the others are still worth their lines
            line["error"] = f"{type(why).__name__}: {why}"
        print(json.dumps(line), flush=True)
