"""Exports models of torchvision and some small ones from PyTorch with seeded weights, runs them on onnxruntime, and writes models, inputs and outputs as the
tests of wgconv-onnx read them: python scripts/onnx_torch.py FOLDER [NAME ...].

Needs torch, torchvision, onnx, onnxscript and onnxruntime. Both exporters are used, the one that traces and the one that captures programs. No weights are
loaded: they are seeded, and batch norms have the statistics of noise that passed through, so that the numbers stay of one size.
"""

import pathlib
import sys
import warnings

import numpy
import onnxruntime
import torch
import torchvision
from onnx import numpy_helper
from torch import nn


class UNet(nn.Module):
    """Two levels down and up, transposed convolutions, concatenated skips (Ronneberger and others, 2015)."""

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([self.block(3, 16), self.block(16, 32), self.block(32, 64)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(64, 32, 2, 2), nn.ConvTranspose2d(32, 16, 2, 2)])
        self.joined = nn.ModuleList([self.block(64, 32), self.block(32, 16)])
        self.head = nn.Conv2d(16, 2, 1)

    @staticmethod
    def block(channels, filters):
        layers = []
        for inputs in (channels, filters):
            layers += [nn.Conv2d(inputs, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()]
        return nn.Sequential(*layers)

    def forward(self, x):
        a = self.down[0](x)
        b = self.down[1](nn.functional.max_pool2d(a, 2))
        y = self.down[2](nn.functional.max_pool2d(b, 2))
        y = self.joined[0](torch.cat([self.up[0](y), b], 1))
        return self.head(self.joined[1](torch.cat([self.up[1](y), a], 1)))


class Style(nn.Module):
    """Reflected borders, instance norms, residual blocks, nearest upsampling (Johnson and others, 2016)."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(self.conv(3, 16, 9, 1), self.conv(16, 32, 3, 2), self.conv(32, 64, 3, 2))
        self.blocks = nn.ModuleList([nn.Sequential(self.conv(64, 64, 3, 1), self.plain(64, 64, 3, 1), nn.InstanceNorm2d(64, affine=True)) for _ in range(2)])
        self.last = nn.ModuleList([self.conv(64, 32, 3, 1), self.conv(32, 16, 3, 1)])
        self.head = self.plain(16, 3, 9, 1)

    @staticmethod
    def plain(channels, filters, window, stride):
        return nn.Sequential(nn.ReflectionPad2d(window // 2), nn.Conv2d(channels, filters, window, stride))

    @classmethod
    def conv(cls, channels, filters, window, stride):
        return nn.Sequential(cls.plain(channels, filters, window, stride), nn.InstanceNorm2d(filters, affine=True), nn.ReLU())

    def forward(self, x):
        y = self.first(x)
        for block in self.blocks:
            y = y + block(y)
        for layer in self.last:
            y = layer(nn.functional.interpolate(y, scale_factor=2.0, mode="nearest"))
        return self.head(y)


class Logits(nn.Module):
    """The tensor of a model that gives a dictionary."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)["out"]


def espcn():
    """Sub-pixel convolution (Shi and others, 2016)."""
    return nn.Sequential(nn.Conv2d(1, 64, 5, padding=2), nn.Tanh(), nn.Conv2d(64, 32, 3, padding=1), nn.Tanh(), nn.Conv2d(32, 9, 3, padding=1), nn.PixelShuffle(3))


def classifier(name):
    return lambda: getattr(torchvision.models, name)(weights=None)


MODELS = {
    "mobilenet_v2": (classifier("mobilenet_v2"), [1, 3, 64, 64]),
    "mobilenet_v3_large": (classifier("mobilenet_v3_large"), [1, 3, 64, 64]),
    "efficientnet_b0": (classifier("efficientnet_b0"), [1, 3, 64, 64]),
    "convnext_tiny": (classifier("convnext_tiny"), [1, 3, 64, 64]),
    "regnet_y_400mf": (classifier("regnet_y_400mf"), [1, 3, 64, 64]),
    "unet": (UNet, [1, 3, 48, 64]),
    "espcn": (espcn, [1, 1, 24, 32]),
    "fast_neural_style": (Style, [1, 3, 48, 64]),
    "deeplab_v3": (lambda: Logits(torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None)), [1, 3, 65, 65]),
}


def settled(model, extents):
    """The model with running statistics of noise, so that its numbers stay of one size through all layers."""
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = None
    model.train()
    with torch.no_grad():
        for _ in range(2):
            model(torch.randn(4, *extents[1:]))
    return model.eval()


def main(folder, wanted):
    warnings.filterwarnings("ignore")
    for seed, (name, (make, extents)) in enumerate(MODELS.items()):
        if wanted and name not in wanted:
            continue
        torch.manual_seed(seed)
        model = settled(make(), extents)
        x = torch.rand(extents) * 2 - 1
        for exporter, options in (("traced", {"dynamo": False, "opset_version": 17}), ("captured", {"dynamo": True})):
            data = folder / "torch" / f"{name}_{exporter}" / "test_data_set_0"
            data.mkdir(parents=True, exist_ok=True)
            path = data.parent / "model.onnx"
            torch.onnx.export(model, (x,), str(path), input_names=["x"], output_names=["y"], **options)
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            outputs = session.run(None, {"x": x.numpy()})
            for kind, values in (("input", [x.numpy()]), ("output", outputs)):
                for i, value in enumerate(values):
                    (data / f"{kind}_{i}.pb").write_bytes(numpy_helper.from_array(numpy.asarray(value)).SerializeToString())
            print(name, exporter, [list(value.shape) for value in outputs], flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: onnx_torch.py FOLDER [NAME ...]")
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
