"""Milliseconds of a training step of LeNet-5 at batch 64 with Adam in PyTorch: forward, loss, backward, step.

  pip install torch
  python3 benches/peers/torch_training.py [--device cuda]

On a GPU the host waits for each step, as `wgconv bench --suite lenet5 --train` does, and again steps are replayed as one CUDA graph, which spares the launches.
Beside it on a CPU: `wgconv train mnist --data DIR --shift 0`, seconds of an epoch over its steps.
"""

import argparse
import statistics
import time

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
device = parser.parse_args().device

torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
).to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.003, capturable=device == "cuda")
x, labels, loss = torch.randn(64, 1, 28, 28, device=device), torch.randint(0, 10, (64,), device=device), nn.CrossEntropyLoss()


def step():
    optimizer.zero_grad()
    loss(model(x), labels).backward()
    optimizer.step()


def report(name, step):
    times = []
    for _ in range(400):
        start = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    times = sorted(times[100:])
    quarter = len(times) // 4
    print(f"torch {torch.__version__}, {name}: {statistics.median(times):.3f} ms a step, half of them {times[quarter]:.3f} to {times[-quarter]:.3f}")


report(f"{torch.get_num_threads()} threads" if device == "cpu" else torch.cuda.get_device_name(), step)
if device == "cuda":
    side = torch.cuda.Stream()  # a capture must not begin on the default stream, and wants the optimizer's state to be there
    with torch.cuda.stream(side):
        step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    report("a CUDA graph", graph.replay)
