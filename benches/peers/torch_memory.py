"""Peak bytes of activations of torchvision's networks at batch 1, as PyTorch's profiler counts its allocations on the CPU (eager, no gradients).

  pip install torch torchvision
  python3 benches/peers/torch_memory.py

Beside it: `wgconv params <network> --passes`, bytes between ops.
"""

import torch
import torchvision
from torch.profiler import ProfilerActivity, profile

NETWORKS = ["resnet18", "resnet50", "mobilenet_v2", "vgg16", "efficientnet_b0", "convnext_tiny"]


def peak(name):
    model = getattr(torchvision.models, name)(weights=None).eval()
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        model(x)  # what is allocated once
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            model(x)
    live = most = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            most = max(most, live)
    return most


print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")
for name in NETWORKS:
    print(f"{name:16} {peak(name) / 1e6:7.3f} MB")
