"""onnxruntime on the CPU or, from the package onnxruntime-webgpu, on a GPU: a model of one node a shape.

On WebGPU both inputs are initializers, which lie on the device, and constant folding is off, so that the node still runs every time. A
Slice cuts the result to one element there: its download is the wait. No node may fall back to the CPU."""

import os
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

import peer


def main():
    parser = peer.arguments(__doc__)
    parser.add_argument("--provider", choices=["cpu", "webgpu"], default="cpu")
    options = parser.parse_args()
    provider = {"cpu": "CPUExecutionProvider", "webgpu": "WebGpuExecutionProvider"}[options.provider]
    if provider not in ort.get_available_providers():
        raise SystemExit(f"this onnxruntime has {', '.join(ort.get_available_providers())}, not {provider}")

    def session(model):
        settings = ort.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        if options.provider == "webgpu":
            settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        # Without enable_fallback=0 a provider that cannot start is silently replaced by the CPU's.
        return ort.InferenceSession(
            model.SerializeToString(), settings, providers=[provider], disabled_optimizers=["ConstantFolding"], enable_fallback=0
        )

    def on_cpu(shape):
        """Input and output are bound, so that nothing is copied or allocated."""
        opened = session(model(shape))
        binding = opened.io_binding()
        binding.bind_ortvalue_input("i0", ort.OrtValue.ortvalue_from_numpy(shape.inputs()[0]))
        y = ort.OrtValue.ortvalue_from_shape_and_type(shape.output_extents(), np.float32)
        binding.bind_ortvalue_output("y", y)
        return lambda: opened.run_with_iobinding(binding), y.numpy

    def on_webgpu(shape):
        cut, full = session(model(shape, resident=True, cut=True)), session(model(shape))
        return lambda: cut.run(None, {}), lambda: full.run(None, {"i0": shape.inputs()[0]})[0]

    prepare = on_webgpu if options.provider == "webgpu" else on_cpu
    device = "WebGPU, Dawn's first adapter" if options.provider == "webgpu" else f"CPU, threads: {options.threads}"
    peer.main(options, f"onnxruntime-{options.provider}", ort.__version__, device, prepare)
    sys.stdout.flush()
    os._exit(0)  # Dawn's end is not what is timed, and it may crash


def model(shape, resident=False, cut=False):
    """`resident`: the first input is an initializer too. `cut`: the output is its first element alone."""
    kind = {"conv": "Conv", "max_pool": "MaxPool", "average_pool": "AveragePool", "matmul": "MatMul"}[shape.op]
    arrays, extents = shape.inputs(), shape.output_extents()
    names = [f"i{i}" for i in range(len(arrays))]
    initializers = [numpy_helper.from_array(array, name) for array, name in zip(arrays, names)][0 if resident else 1 :]
    nodes = [helper.make_node(kind, names, ["full" if cut else "y"], **shape.attrs)]
    if cut:
        starts, ends = [0] * len(extents), [1] * len(extents)
        initializers += [numpy_helper.from_array(np.array(v, np.int64), name) for v, name in ((starts, "starts"), (ends, "ends"))]
        nodes.append(helper.make_node("Slice", ["full", "starts", "ends"], ["y"]))
        extents = ends
    inputs = [] if resident else [helper.make_tensor_value_info("i0", TensorProto.FLOAT, shape.extents[0])]
    graph = helper.make_graph(nodes, shape.name, inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, extents)], initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made


main()
