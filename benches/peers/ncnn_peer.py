"""ncnn on Vulkan or the CPU, f32 (its fp16 options off): a net of one layer a shape.

On Vulkan the input is a MemoryData layer, which lies on the device, and a Crop keeps one pixel of the result: its download is the wait.
ncnn has no batches: N images are N runs of the net, one after another."""

import tempfile
from pathlib import Path

import ncnn
import numpy as np

import peer


def main():
    parser = peer.arguments(__doc__)
    parser.add_argument("--device", choices=["cpu", "vulkan"], default="cpu")
    options = parser.parse_args()
    vulkan = options.device == "vulkan"
    if vulkan and ncnn.get_gpu_count() == 0:
        raise SystemExit("ncnn finds no Vulkan device")

    def net(shape, image, weights):
        made = ncnn.Net()
        made.opt.num_threads = options.threads
        made.opt.use_vulkan_compute = vulkan
        made.opt.use_fp16_packed = made.opt.use_fp16_storage = made.opt.use_fp16_arithmetic = False
        layers, data = ["Input x 0 1 x"], b""
        if vulkan:
            extents = " ".join(f"{i}={n}" for i, n in enumerate(reversed(image.shape)))  # 0=width 1=height 2=channels
            layers, data = [f"MemoryData x 0 1 x {extents}"], image.tobytes()
        kind, parameters, raw = layer(shape, weights)
        layers.append(f"{kind} op 1 1 x y {parameters}")
        if vulkan:
            channels = f" 5={shape.output_extents()[1]}" if image.ndim == 3 else ""  # all of them: lanes of four stay whole
            layers.append(f"Crop crop 1 1 y z 3=1 4=1{channels}")
        with tempfile.TemporaryDirectory() as folder:
            text, binary = Path(folder, "net.param"), Path(folder, "net.bin")
            text.write_text("7767517\n%d %d\n%s\n" % (len(layers), len(layers), "\n".join(layers)))
            binary.write_bytes(data + raw)
            for what, status in (("load_param", made.load_param(str(text))), ("load_model", made.load_model(str(binary)))):
                if status != 0:
                    raise RuntimeError(f"{what} returned {status}: 0 is success")
        return made

    def prepare(shape):
        x, *rest = shape.inputs()
        images = [x] if shape.op == "matmul" else [np.ascontiguousarray(image) for image in x]
        weights = rest[0] if rest else None
        # On Vulkan every image lies in a net of its own; on the CPU one net takes them as inputs.
        nets = [net(shape, image, weights) for image in (images if vulkan else images[:1])]
        inputs = [(ncnn.Mat(image), image) for image in images]  # a Mat borrows its array without keeping it

        def extract(blob):
            outputs = []
            for i, (given, _) in enumerate(inputs):
                extractor = nets[i if vulkan else 0].create_extractor()
                if not vulkan:
                    extractor.input("x", given)
                status, output = extractor.extract(blob)
                if status != 0:
                    raise RuntimeError(f"extract returned {status}: 0 is success")
                outputs.append(output)
            return outputs

        return lambda: extract("z" if vulkan else "y"), lambda: np.concatenate([np.array(y).ravel() for y in extract("y")])

    device = ncnn.get_gpu_info(ncnn.get_default_gpu_index()).device_name() if vulkan else f"CPU, threads: {options.threads}"
    peer.main(options, f"ncnn-{options.device}", ncnn.__version__, device, prepare)


def layer(shape, weights):
    """The layer's type, its parameters in ncnn's numbers, and its weights behind the tag of raw f32."""
    attrs = shape.attrs
    if shape.op == "matmul":  # the second factor is the layer's constant
        k, n = shape.extents[1]
        return "Gemm", f"2=0 3=0 4=0 5=1 6=1 7=0 8={n} 9={k} 10=-1", bytes(4) + weights.tobytes()
    (high, wide), (top, left) = attrs["kernel_shape"], shape.even_pads()
    (down, along) = attrs["strides"]
    if shape.op == "conv":
        (dilation_h, dilation_w), group = attrs["dilations"], attrs["group"]
        parameters = f"0={shape.extents[1][0]} 1={wide} 11={high} 2={dilation_w} 12={dilation_h} 3={along} 13={down} 4={left} 14={top} 5=0 6={weights.size}"
        kind = "Convolution" if group == 1 else "ConvolutionDepthWise"
        return kind, parameters + (f" 7={group}" if group > 1 else ""), bytes(4) + weights.tobytes()
    if shape.op in ("max_pool", "average_pool"):
        maximum = 0 if shape.op == "max_pool" else 1
        return "Pooling", f"0={maximum} 1={wide} 11={high} 2={along} 12={down} 3={left} 13={top} 5=1 6=0", b""
    raise ValueError(f"{shape.name}: the op is {shape.op}: it is conv, max_pool, average_pool or matmul")


main()
