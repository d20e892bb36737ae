"""PyTorch: a training step of the LeNet-5 of `wgconv bench --suite lenet5 --train` at batch 64, forward, cross-entropy, backward, Adam; one JSON line.

src/training.rs has the same network, numbers and batch. On a GPU the host waits for each step, as the others do, and a second line has steps replayed as
one CUDA graph, which spares the launches."""

import argparse
import json

import torch
from torch import nn

import peer

BATCH = 64
# Factors of the formula's numbers, in the order of the parameters: a layer's weight, then its bias.
FACTORS = [0.5, 0.125, 0.25, 0.125, 0.125, 0.125, 0.25, 0.125, 0.5, 0.125]

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("seconds", metavar="SECONDS", type=float)
options.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
options.add_argument("--threads", type=int, default=torch.get_num_threads())
options = options.parse_args()
torch.set_num_threads(options.threads)
device = options.device

model = nn.Sequential(
    nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2),
    nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
    nn.Conv2d(16, 120, 5), nn.Tanh(),
    nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
)
with torch.no_grad():
    for place, (parameter, factor) in enumerate(zip(model.parameters(), FACTORS, strict=True)):
        parameter.copy_(torch.from_numpy(peer.values(list(parameter.shape), 1 + place)) * factor)
model.to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, capturable=device == "cuda")
criterion = nn.CrossEntropyLoss()
host = torch.from_numpy(peer.values([BATCH, 1, 32, 32], 0)) * 2, torch.arange(BATCH) % 10
x, labels = (tensor.to(device) for tensor in host)


def step():
    optimizer.zero_grad()
    criterion(model(x), labels).backward()
    optimizer.step()


def waited(step):
    """From the host's arrays to the end of the step."""
    x.copy_(host[0])
    labels.copy_(host[1])
    step()
    if device == "cuda":
        torch.cuda.synchronize()


def loss():
    with torch.no_grad():
        return criterion(model(x), labels).item()


def line(name, run, **fields):
    where = f"CPU, threads: {torch.get_num_threads()}" if device == "cpu" else torch.cuda.get_device_name()
    fields = {"peer": name, "version": torch.__version__, "device": where, "shape": f"lenet5, batch {BATCH}"} | peer.timed(run, options.seconds) | fields
    print(json.dumps(fields), flush=True)


losses = [loss()]
waited(step)
losses.append(loss())
for _ in range(4):
    waited(step)
losses.append(loss())
line(f"torch-{device}", lambda: waited(step), losses=losses)
if device == "cuda":
    side = torch.cuda.Stream()  # a capture must not begin on the default stream, and wants the optimizer's state to be there
    with torch.cuda.stream(side):
        step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    line("torch-cuda-graph", lambda: waited(graph.replay))
