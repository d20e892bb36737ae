"""Milliseconds of a training step of LeNet-5 at batch 64 with Adam, PyTorch on the CPU: forward, loss, backward, step.

  pip install torch
  python3 benches/peers/torch_training.py

Beside it: `wgconv train mnist --data DIR --shift 0`, seconds of an epoch over its steps.
"""

import statistics
import time

import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
x, labels, loss = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,)), nn.CrossEntropyLoss()
times = []
for _ in range(400):
    start = time.perf_counter()
    optimizer.zero_grad()
    loss(model(x), labels).backward()
    optimizer.step()
    times.append(1e3 * (time.perf_counter() - start))
times = sorted(times[100:])
quarter = len(times) // 4
print(f"torch {torch.__version__}, {torch.get_num_threads()} threads: {statistics.median(times):.2f} ms a step, half of them {times[quarter]:.2f} to {times[-quarter]:.2f}")
