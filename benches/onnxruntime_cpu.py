"""Times the convolutions of a shapes file with onnxruntime on the CPU: the yardstick of wgconv's own CPU engine.

    python3 -m pip install onnx onnxruntime numpy
    python3 benches/onnxruntime_cpu.py benches/shapes.json [THREADS]

Prints the median of 30 runs after a warm-up of 5, in milliseconds, one line a shape.
"""

import json
import statistics
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper


def session(shape, threads):
    spatial = len(shape["input"]) - 2
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"],
        strides=shape.get("strides", [1] * spatial),
        pads=shape.get("pads", [0] * 2 * spatial),
        dilations=shape.get("dilations", [1] * spatial),
        group=shape.get("group", 1),
    )
    rng = np.random.default_rng(1)
    weights = rng.uniform(-1, 1, shape["filter"]).astype(np.float32)
    graph = helper.make_graph(
        [node], shape["name"],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape["input"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    x = rng.uniform(-1, 1, shape["input"]).astype(np.float32)
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]), x


def main():
    shapes = json.load(open(sys.argv[1]))
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    for shape in shapes:
        run, x = session(shape, threads)
        samples = []
        for i in range(35):
            start = time.perf_counter()
            run.run(None, {"x": x})
            if i >= 5:
                samples.append((time.perf_counter() - start) * 1e3)
        print(f"{shape['name']}\t{statistics.median(samples):.3f}")


main()
