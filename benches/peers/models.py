"""Times whole networks from ONNX files with wgconv and onnxruntime in one run, and prints a Markdown table of medians and ratios.

    envs/onnxruntime/bin/python benches/peers/models.py FOLDER [--only NAME,...] [--rounds N] [--runner 'PROGRAM ...'] [--json FILE]

FOLDER has what scripts/onnx_cases.py, onnx_peers.py and onnx_torch.py wrote (docs/onnx.md), any of them. One process at a time, each for one model and one
engine; every second round goes backwards. README.md beside this file says what a figure includes. Needs onnx and numpy."""

import argparse
import datetime
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import run as shapes

HERE = Path(__file__).resolve().parent
LIGHT = ["bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19", "zfnet512"]
PEERS = ["wgconv", "onnxruntime-cpu", "onnxruntime-webgpu"]


def with_seeded_weights(path, to):
    """Writes a network whose nodes make all its weights alike with weights that are not: its outputs then say something. Gives its inputs' values."""
    model, random = onnx.load(path), np.random.default_rng(0)
    own, known = model.graph, {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}
    used = {name: (node.op_type, i) for node in own.node for i, name in enumerate(node.input)}
    kept = []
    for node in own.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in known:
            kept.append(node)
            continue
        extents, use = known[node.input[0]], used.get(node.output[0])
        if use in [("BatchNormalization", 1), ("BatchNormalization", 4)]:
            numbers = random.uniform(0.5, 1.5, extents)
        else:
            numbers = random.standard_normal(extents) * (2 / max(np.prod(extents[1:]), 1)) ** 0.5 * (0.1 if len(extents) == 1 else 1)
        own.initializer.append(numpy_helper.from_array(numbers.astype(np.float32), node.output[0]))
    del own.node[:]
    own.node.extend(kept)
    for value in own.initializer:
        if value.name in used and used[value.name][0] == "BatchNormalization" and used[value.name][1] in (1, 4):
            value.CopyFrom(numpy_helper.from_array(random.uniform(0.5, 1.5, value.dims).astype(np.float32), value.name))
    made = {value.name for value in own.initializer}
    given = [value for value in own.input if value.name not in made]
    extents = lambda value: [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    onnx.save(model, to)
    return {value.name: random.uniform(0, 1, extents(value)).astype(np.float32) for value in given}


def models(folder, scratch):
    """Name, file, and inputs by name."""
    for name in LIGHT:
        path = folder / "light" / f"light_{name}.onnx"
        if path.exists():
            seeded = scratch / path.name
            yield f"light_{name}", seeded, with_seeded_weights(path, seeded)
    for path in sorted([*folder.glob("peers/*/model.onnx"), *folder.glob("torch/*_traced/model.onnx")]):
        own = onnx.load(path, load_external_data=False).graph
        made = {value.name for value in own.initializer}
        names = [value.name for value in own.input if value.name not in made]
        data = path.parent / "test_data_set_0"
        read = lambda i: numpy_helper.to_array(onnx.TensorProto.FromString((data / f"input_{i}.pb").read_bytes()))
        yield path.parent.name.removesuffix("_traced"), path, {name: read(i) for i, name in enumerate(names)}


def wgconv(options, path, inputs, folder):
    """Both engines in one process: `bench --model` holds the outputs to its reference first."""
    result = folder / "bench.json"
    result.unlink(missing_ok=True)
    command = [str(options.wgconv), "bench", "--model", str(path), "--network", "--room", "250", "--min-time", str(options.seconds), "--json", str(result)]
    for name, array in inputs.items():
        if array.dtype.kind == "f":
            command += ["--shape", f"{name}={'x'.join(map(str, array.shape))}"]
        else:
            command += ["--number", f"{name}={','.join(map(str, array.ravel()))}"]
    done = execute(options, [*shlex.split(options.runner), *command])
    document = json.loads(result.read_text()) if result.exists() else {}
    if not document.get("networks"):
        why = "; ".join(document.get("failed", []))
        return [{"peer": "wgconv-cpu", "error": why or shapes.last_line(done.stderr)}]
    adapter, lines = document["adapter"], []
    gpu = f"{adapter['name']} ({adapter['driver']} {adapter['driver_info']}), {document['clock']}" if adapter else "none"
    for network in document["networks"]:
        for name, key, device in (("wgconv-gpu", "gpu", gpu), ("wgconv-cpu", "cpu", f"CPU, threads: {options.threads}")):
            if network[f"{key}_ms"] is not None:
                lines.append({"peer": name, "version": document["version"], "device": device, "median_ms": network[f"{key}_ms"], "min_ms": network[f"{key}_min_ms"]})
    return lines


def onnxruntime(options, name, path, inputs, folder):
    environment, provider = {"onnxruntime-cpu": ("onnxruntime", "cpu"), "onnxruntime-webgpu": ("webgpu", "webgpu")}[name]
    binary = "Scripts" if os.name == "nt" else "bin"
    python = options.envs / environment / binary / f"python{shapes.EXECUTABLE}"
    if not python.exists():
        return [{"peer": name, "error": f"there is no {python.name} in envs/{environment}; README.md tells how to make it"}]
    given = folder / "inputs.npz"
    np.savez(given, **inputs)
    command = [str(python), str(HERE / "onnxruntime_model.py"), str(path), str(given), str(options.seconds), "--provider", provider, "--threads", str(options.threads)]
    done = execute(options, [*(shlex.split(options.runner) if provider == "webgpu" else []), *command])
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            return [json.loads(line)]
    return [{"peer": name, "error": shapes.last_line(done.stderr)}]


def execute(options, command):
    environment = dict(os.environ, RAYON_NUM_THREADS=str(options.threads))
    shapes.wait_until_quiet(options.quiet)
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", timeout=options.timeout)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"stopped after {options.timeout:g} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="these models, comma-separated")
    parser.add_argument("--peers", default=",".join(PEERS), help="of these, comma-separated")
    parser.add_argument("--seconds", type=float, default=1.0, help="of samples per model, engine and round")
    shapes.add_common(parser, timeout=900)
    parser.add_argument("--json", type=Path, help="also writes every line of every round")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        measure(options, Path(folder))


def measure(options, folder):
    found = list(models(options.folder, folder))
    if options.only:
        known = {name: (name, path, inputs) for name, path, inputs in found}
        found = shapes.choose("--only", options.only.split(","), known)
    peers = shapes.choose("--peers", options.peers.split(","), {name: name for name in PEERS})
    print(f"- date: {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M UTC}\n- command: {shlex.join(['python', *sys.argv])}\n- machine: {shapes.processor()}")
    lines = []
    for number in range(options.rounds):
        todo = [(model, peer) for model in found for peer in peers]
        for (name, path, inputs), peer in todo if number % 2 == 0 else reversed(todo):
            print(f"round {number + 1} of {options.rounds}: {name}, {peer}", file=sys.stderr)
            before = shapes.Load()
            own = wgconv(options, path, inputs, folder) if peer == "wgconv" else onnxruntime(options, peer, path, inputs, folder)
            others = shapes.Load().others_since(before)
            lines += [line | {"shape": name, "others": others, "round": number} for line in own]
    print(report(lines, [name for name, _, _ in found]), end="")
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1) + "\n")


def report(lines, names):
    good = {}
    for line in lines:
        if "error" not in line:
            good.setdefault((line["peer"], line["shape"]), []).append(line)
    cells = {key: shapes.Cell(value) for key, value in good.items()}
    text = ""
    for peer in dict.fromkeys(peer for peer, _ in cells):
        own = next(line for key, value in good.items() if key[0] == peer for line in value)
        shares = [line["others"] for key, value in good.items() if key[0] == peer for line in value if line["others"] is not None]
        text += f"- {peer}: {own['version']}, on {own['device']}; others took {max(shares, default=0.0):.0%} of the machine at most\n"
    for line in {(line["peer"], line["shape"]): line for line in lines if "error" in line}.values():
        text += f"- {line['peer']}, {line['shape']}: {shapes.short(line['error'])}\n"
    for base, others, title in (("wgconv-cpu", ["onnxruntime-cpu"], "CPU"), ("wgconv-gpu", ["onnxruntime-webgpu"], "GPU")):
        here = [base, *(peer for peer in others if any(key[0] == peer for key in cells))]
        if any(key[0] == base for key in cells):
            text += "\n" + shapes.table(title, here, base, cells, names, here[1:])
    return text


main()
