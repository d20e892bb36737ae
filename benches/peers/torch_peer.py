"""PyTorch on a CUDA device or the CPU: eager functions, one operation and, on CUDA, one synchronize a run. By the device's clock, a CUDA graph of
several operations between two events: what the kernels alone take, as `wgconv bench` has it."""

import torch
import torch.nn.functional as F

import peer


def main():
    parser = peer.arguments(__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["f32", "f16"], default="f32")
    parser.add_argument("--clock", choices=["host", "device"], default="host")
    parser.add_argument("--tf32", action="store_true", help="lets f32 products round their operands to TF32, as torch does for convolutions unless told not to")
    parser.add_argument("--channels-last", action="store_true", help="NHWC in memory, as cuDNN's and oneDNN's fastest kernels want it")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device")
    if options.clock == "device" and options.device == "cpu":
        raise SystemExit("--clock device is that of a CUDA device")
    torch.set_num_threads(options.threads)
    # No TF32: f32 means f32 here. The older of torch's two ways to say so, for after the newer one some of its own checks raise.
    torch.set_float32_matmul_precision("high" if options.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = options.tf32
    torch.backends.cudnn.benchmark = True  # cuDNN times its algorithms in the first run, as burn's autotune does

    dtype = {"f32": torch.float32, "f16": torch.float16}[options.dtype]
    memory = torch.channels_last if options.channels_last else torch.contiguous_format

    def resident(array):
        tensor = torch.from_numpy(array).to(options.device, dtype)
        return tensor.contiguous(memory_format=memory) if tensor.dim() == 4 else tensor

    def prepare(shape):
        tensors = [resident(array) for array in shape.inputs()]
        operation = function(shape, tensors)
        if options.clock == "device":
            return by_device(operation), lambda: operation().float().cpu().contiguous().numpy()
        wait = torch.cuda.synchronize if options.device == "cuda" else lambda: None

        def run():
            operation()
            wait()

        return run, lambda: operation().float().cpu().contiguous().numpy()

    name = f"torch-{options.device}" + ("-device" if options.clock == "device" else "") + ("-nhwc" if options.channels_last else "") + ("-tf32" if options.tf32 else "") + ("" if options.dtype == "f32" else f"-{options.dtype}")
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, threads: {options.threads}"
    with torch.inference_mode():
        peer.main(options, name, torch.__version__, device, prepare)


CALLS = 20  # of a graph: the events cost a few microseconds


def by_device(operation):
    """A run that gives the milliseconds of one call, by CUDA's events."""
    operation()  # cuDNN chooses
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(CALLS):
            operation()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def run():
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / CALLS

    return run


def function(shape, tensors):
    attrs = shape.attrs
    if shape.op == "matmul":
        return lambda: tensors[0] @ tensors[1]
    pads = shape.even_pads()
    if shape.op == "conv":
        return lambda: F.conv2d(*tensors, None, attrs["strides"], pads, attrs["dilations"], attrs["group"])
    if shape.op == "max_pool":
        return lambda: F.max_pool2d(*tensors, attrs["kernel_shape"], attrs["strides"], pads)
    if shape.op == "average_pool":
        return lambda: F.avg_pool2d(*tensors, attrs["kernel_shape"], attrs["strides"], pads, count_include_pad=False)
    raise ValueError(f"{shape.name}: the op is {shape.op}: it is conv, max_pool, average_pool or matmul")


main()
