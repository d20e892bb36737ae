"""Times the shapes of shapes.json with wgconv and its peers in one run, and prints a Markdown table of medians and ratios.

    python3 benches/peers/run.py [--train] [--peers NAME,...] [--rounds N] [--seconds S] [--runner 'PROGRAM ...'] [--json FILE]

--train times a training step of LeNet-5 in the shapes' place.

One process at a time; the rounds go over all peers, every second one backwards, so that a drift of the machine hits all of them. README.md
beside this file says how each peer is set up and what its figure includes. Standard library only."""

import argparse
import datetime
import json
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Sums of f32 outputs in another order differ by about 1e-6 of the sum of absolute values; Winograd's by ten times that; f16 by its rounding.
TOLERANCE = {"f32": 1e-4, "f16": 5e-3}
LOSSES = 1e-3  # of the loss, after one and after five steps
STEP = "lenet5, batch 64"
QUIET = 0.1  # of the machine, taken by other processes
EXECUTABLE = ".exe" if os.name == "nt" else ""


class Peer:
    """One row: where it computes, how it is started, and the precision of its sums."""

    def __init__(self, name, where, program, arguments, precision="f32"):
        self.name, self.where, self.program, self.arguments, self.precision = name, where, program, arguments, precision
        self.lines, self.absent, self.others, self.complaints = [], None, [], []

    def failed(self, why):
        self.absent = short(why)


def short(text):
    """One line of at most 200 characters; of long ones the end, where libraries say what went wrong."""
    text = " ".join(text.split())
    return text if len(text) <= 200 else "... " + text[-196:]


def peers(options):
    rust = HERE / "target" / "release" / f"wgconv-peers{EXECUTABLE}"
    threads = ["--threads", str(options.threads)]

    def python(environment, script, *arguments):
        folder = "Scripts" if os.name == "nt" else "bin"
        return options.envs / environment / folder / f"python{EXECUTABLE}", [str(HERE / script), "SHAPES", "SECONDS", *threads, *arguments]

    if options.train:
        fusion = HERE / "target-fusion" / "release" / f"wgconv-peers{EXECUTABLE}"
        environment, script = python("torch", "torch_training.py")
        torch = lambda device: (environment, [script[0], "SECONDS", *threads, "--device", device])
        return [
            Peer("wgconv", "vulkan", rust, ["train", "wgconv", "SECONDS"]),
            Peer("burn-wgpu", "vulkan", rust, ["train", "burn", "SECONDS"]),
            Peer("burn-wgpu-fusion", "vulkan", fusion, ["train", "burn", "SECONDS"]),
            Peer("torch-cuda", "cuda", *torch("cuda")),
            Peer("wgconv-cpu", "cpu", rust, ["train", "wgconv-cpu", "SECONDS"]),
            Peer("burn-cpu", "cpu", rust, ["train", "burn-cpu", "SECONDS"]),
            Peer("torch-cpu", "cpu", *torch("cpu")),
        ]
    torch = lambda *arguments: python("torch", "torch_peer.py", *arguments)
    return [
        Peer("wgconv", "vulkan", rust, ["wgconv", "SHAPES", "SECONDS"]),
        Peer("wgconv-bench", "vulkan", options.wgconv, ["bench", "--shapes", "SHAPES", "--json", "JSON"]),
        Peer("burn-wgpu", "vulkan", rust, ["burn", "SHAPES", "SECONDS"]),
        Peer("ncnn-vulkan", "vulkan", *python("ncnn", "ncnn_peer.py", "--device", "vulkan")),
        Peer("onnxruntime-webgpu", "vulkan", *python("webgpu", "onnxruntime_peer.py", "--provider", "webgpu")),
        Peer("torch-cuda", "cuda", *torch("--device", "cuda")),
        Peer("torch-cuda-nhwc", "cuda", *torch("--device", "cuda", "--channels-last")),
        Peer("torch-cuda-nhwc-f16", "cuda", *torch("--device", "cuda", "--channels-last", "--dtype", "f16"), "f16"),
        Peer("onnxruntime-cpu", "cpu", *python("onnxruntime", "onnxruntime_peer.py")),
        Peer("torch-cpu", "cpu", *torch()),
        Peer("torch-cpu-nhwc", "cpu", *torch("--channels-last")),
        Peer("ncnn-cpu", "cpu", *python("ncnn", "ncnn_peer.py")),
    ]


def run(peer, shapes, options, folder):
    """One process of a peer over all shapes. What it printed before it failed or was stopped still counts."""
    if not peer.program.exists():
        return peer.failed(f"{peer.program.name} is not at {peer.program.parent}; README.md tells how to make it")
    result = folder / "bench.json"
    result.unlink(missing_ok=True)
    given = {"SHAPES": str(shapes), "SECONDS": str(options.seconds), "JSON": str(result)}
    prefix = shlex.split(options.runner) if peer.where == "vulkan" else []
    command = [*prefix, str(peer.program), *(given.get(a, a) for a in peer.arguments)]
    environment = dict(os.environ, RAYON_NUM_THREADS=str(options.threads))  # wgconv's CPU engine runs on rayon
    wait_until_quiet(options.quiet)
    before = Load()
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", timeout=options.timeout)
        output, complaint = done.stdout, f"exit status {done.returncode}: {last_line(done.stderr)}" if done.returncode else ""
    except subprocess.TimeoutExpired as stopped:
        output, complaint = (stopped.stdout or b"").decode(errors="replace"), f"stopped after {options.timeout:g} s"
    except OSError as why:
        return peer.failed(str(why))
    peer.others.append(Load().others_since(before))
    lines = bench_lines(json.loads(result.read_text()), options.threads) if result.exists() else [line for line in map(parsed, output.splitlines()) if line]
    for line in lines:
        line["others"] = peer.others[-1]
    peer.lines += lines
    if all("error" in line for line in peer.lines):
        peer.failed(peer.lines[-1]["error"] if peer.lines else complaint or "it printed no line")
    elif complaint:
        peer.complaints.append(short(complaint))


class Load:
    """Processor seconds of the machine and of our own finished processes until now. Linux; elsewhere nothing is known."""

    def __init__(self):
        self.own = sum(os.times()[:4]) if hasattr(os, "times") else 0.0
        try:
            # user, nice, system, idle, iowait, irq, softirq, steal: what a hypervisor takes is somebody else's too.
            ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        except OSError:
            ticks = None
        self.all = ticks and sum(ticks) / os.sysconf("SC_CLK_TCK")
        self.busy = ticks and self.all - (ticks[3] + ticks[4]) / os.sysconf("SC_CLK_TCK")

    def others_since(self, before):
        """The share of the machine that other processes took since `before`, or None."""
        if self.all is None or self.all <= before.all:
            return None
        return max(0.0, (self.busy - before.busy - (self.own - before.own)) / (self.all - before.all))


def wait_until_quiet(seconds):
    """Waits until others let the machine rest, at most this long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = Load()
        time.sleep(1)
        if (Load().others_since(before) or 0.0) < QUIET:
            return


def last_line(text):
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def parsed(line):
    try:
        value = json.loads(line)
    except ValueError:
        return None  # libraries print to stdout too
    return value if isinstance(value, dict) and "shape" in value else None


def bench_lines(document, threads):
    """The records of `wgconv bench --json` as lines of this protocol: the GPU's by the device's clock, and those of the CPU engine."""
    adapter, lines = document["adapter"], []
    gpu = f"{adapter['name']} ({adapter['driver']} {adapter['driver_info']}), {document['clock']}" if adapter else "none"
    for layer in document["layers"]:
        for name, key, device in (("wgconv-bench", "gpu", gpu), ("wgconv-cpu", "cpu", f"CPU, threads: {threads}")):
            if layer[f"{key}_ms"] is not None:
                ms = [1e3 * seconds for seconds in layer[f"{key}_samples"]["seconds"]]
                line = {"peer": name, "version": document["version"], "device": device, "shape": layer["layer"], "median_ms": layer[f"{key}_ms"]}
                lines.append(line | {"min_ms": min(ms), "max_ms": max(ms), "runs": len(ms), "algorithm": layer["algorithm"] if key == "gpu" else "cpu"})
    return lines


class Cell:
    """A peer's figures of one shape over all rounds."""

    def __init__(self, lines):
        # Rounds in which others were at work count only where there is no other: they would say more about the others.
        quiet = [line for line in lines if (line["others"] or 0.0) < QUIET]
        self.quiet = bool(quiet)
        medians = [line["median_ms"] for line in quiet or lines]
        self.ms = statistics.median(medians)
        self.text = ("" if quiet else "~") + f"{self.ms:.3g}" + (f" ±{(max(medians) - min(medians)) / 2 / self.ms:.0%}" if len(medians) > 1 else "")
        self.last = lines[-1]
        self.disagrees = None

    def compare(self, name, other, tolerance):
        """Notes in words where the output's checksums are not those of `other`, the reference called `name`."""
        mine, theirs = self.last, other.last
        if "losses" in mine:
            if len(mine["losses"]) != len(theirs["losses"]) or not all(abs(a - b) <= LOSSES * b for a, b in zip(mine["losses"], theirs["losses"])):
                words = lambda line: ", ".join(f"{loss:.6g}" for loss in line["losses"])
                self.disagrees = f"losses {words(mine)}; {name}'s: {words(theirs)}; allowed is {LOSSES:g} of the latter"
            return
        if "abs" not in mine:
            return  # `wgconv bench` compares with wgconv's own reference before it times
        near = lambda key: abs(mine[key] - theirs[key]) <= tolerance * theirs["abs"]  # false for NaN
        if mine["count"] != theirs["count"] or not near("sum") or not near("abs"):
            words = lambda line: f"{line['count']} outputs, sum {line['sum']:.6g}, of absolute values {line['abs']:.6g}"
            self.disagrees = f"{words(mine)}; {name}'s: {words(theirs)}; allowed is {tolerance:g} of the latter"


def table(title, names, base, cells, shapes, single):
    """Milliseconds and, in brackets, the ratio to `base`; `single`: the peers among which the best is named."""
    heads = [name if name == base else f"{name} (ratio)" for name in names]
    rows, ratios = [], {name: [] for name in [*names, "best"]}
    for shape in shapes:
        row, best = [shape], None
        reference = cells.get((base, shape))
        sound = reference is not None and reference.disagrees is None
        for name in names:
            cell = cells.get((name, shape))
            if cell is None:
                row.append("failed")
                continue
            text = cell.text
            if cell.disagrees:
                text += " (checksum)"
            elif name != base and sound and cell.quiet != reference.quiet:
                text += " (unlike)"
            elif name != base and sound:
                ratio = cell.ms / reference.ms
                ratios[name].append(ratio)
                text += f" ({ratio:.2f})"
                if name in single and (best is None or ratio < best[1]):
                    best = (name, ratio)
            row.append(text)
        if best:
            ratios["best"].append(best[1])
        row.append(f"{best[0]} {best[1]:.2f}" if best else "-")
        rows.append(row)
    mean = lambda name: f"{math.exp(statistics.fmean(map(math.log, ratios[name]))):.2f} of {len(ratios[name])}" if ratios[name] else "-"
    rows.append(["geometric mean", *("" if name == base else mean(name) for name in names), mean("best")])
    head = ["shape", *heads, "best peer"]
    lines = [f"{title}: ms, ratio = peer / {base} (above 1: {base} is faster)", "", *(f"| {' | '.join(r)} |" for r in [head, ["---"] * len(head), *rows])]
    return "\n".join(lines) + "\n"


def processor():
    try:
        found = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    except OSError:
        found = []
    return f"{found[0] if found else platform.processor() or platform.machine()}, {os.cpu_count()} processors"


def add_common(parser, timeout):
    """The arguments that a run over shapes and one over models share."""
    parser.add_argument("--rounds", type=int, default=3)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument("--threads", type=int, default=cores, help="of every engine on the CPU")
    parser.add_argument("--quiet", type=float, default=0, metavar="SECONDS", help="waits so long at most, before each process, for others to rest")
    parser.add_argument("--timeout", type=float, default=timeout, help="seconds that one process may take")
    parser.add_argument("--runner", default="", help="put before the commands of Vulkan and WebGPU processes, to run them on another driver")
    parser.add_argument("--envs", type=Path, default=HERE / "envs", help="the folder of the Python environments")
    parser.add_argument("--wgconv", type=Path, default=HERE.parent.parent / "target" / "release" / f"wgconv{EXECUTABLE}", help="the wgconv program")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="a training step of LeNet-5 at batch 64, in place of the shapes")
    parser.add_argument("--shapes", type=Path, default=HERE / "shapes.json", help="the shapes (default: those beside this file)")
    parser.add_argument("--only", help="these shapes, comma-separated")
    parser.add_argument("--peers", help="these peers, comma-separated (default: all)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of samples per shape and round; `wgconv bench` has its own rule")
    add_common(parser, timeout=1800)
    parser.add_argument("--json", type=Path, help="also writes every line of every round, and the facts")
    options = parser.parse_args()

    entries = [{"name": STEP}] if options.train else json.loads(options.shapes.read_text())
    if options.only:
        wanted = options.only.split(",")
        entries = choose("--only", wanted, {entry["name"]: entry for entry in entries})
    rows = peers(options)
    if options.peers:
        rows = choose("--peers", options.peers.split(","), {peer.name: peer for peer in rows})
    for name, value in (("--rounds", options.rounds), ("--threads", options.threads)):
        if value < 1:
            raise SystemExit(f"{name} is {value}: it is at least 1")

    facts = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["python3", *sys.argv]),
        "machine": f"{processor()}, {platform.platform()}",
    }
    with tempfile.TemporaryDirectory() as folder:
        shapes = Path(folder, "shapes.json")
        shapes.write_text(json.dumps(entries))
        for i in range(options.rounds):
            for peer in rows if i % 2 == 0 else reversed(rows):
                if peer.absent is None:
                    print(f"round {i + 1} of {options.rounds}: {peer.name}", file=sys.stderr)
                    run(peer, shapes, options, Path(folder))

    names = [entry["name"] for entry in entries]
    lines = [line for peer in rows for line in peer.lines]
    print(report(facts, rows, names, lines), end="")
    if options.json:
        absent = {peer.name: peer.absent for peer in rows if peer.absent}
        others = {peer.name: peer.others for peer in rows if peer.others}
        document = {"facts": facts, "lines": lines, "taken by others": others, "not measured": absent}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


def choose(argument, wanted, known):
    for name in wanted:
        if name not in known:
            raise SystemExit(f"{argument} has {name}: known are {', '.join(known)}")
    return [known[name] for name in wanted]


def busy(shares):
    """What others took of the machine in each round, in words."""
    known = [f"{share:.0%}" for share in shares if share is not None]
    return f"; others took {', '.join(known)} of the machine" if known else ""


def report(facts, rows, names, lines):
    good = {}
    for line in lines:
        if "error" not in line:
            good.setdefault((line["peer"], line["shape"]), []).append(line)
    cells = {key: Cell(value) for key, value in good.items()}
    where = {peer.name: peer for peer in rows}
    for name, other, place in (("wgconv-bench", "wgconv-cpu", "cpu"), ("torch-cuda", "torch-cuda-graph", "cuda")):
        if name in where and any(key[0] == other for key in cells) and other not in where:
            where[other] = Peer(other, place, None, [])  # its lines come from the same process
            where[other].others = where[name].others
    measured = [name for name in where if any(key[0] == name for key in cells)]

    # The checksums are compared with wgconv's; without it, with those of the first peer in f32 that has any.
    with_sums = [name for name in measured if where[name].precision == "f32" and any({"abs", "losses"} & c.last.keys() for k, c in cells.items() if k[0] == name)]
    reference = "wgconv" if "wgconv" in with_sums else with_sums[0] if with_sums else None
    for (name, shape), cell in cells.items():
        if reference and (reference, shape) in cells:
            cell.compare(reference, cells[reference, shape], TOLERANCE[where[name].precision])

    text = "".join(f"- {key}: {value}\n" for key, value in facts.items())
    for name in measured:
        line = next(line for key, found in good.items() if key[0] == name for line in found)
        text += f"- {name}: {line['version']}, on {line['device']}{busy(where[name].others)}\n"
    text += "".join(f"- {peer.name}: not measured: {peer.absent}\n" for peer in rows if peer.absent)
    for peer in rows:
        text += "".join(f"- {peer.name}: {complaint}\n" for complaint in dict.fromkeys(peer.complaints))
        for shape in dict.fromkeys(line["shape"] for line in peer.lines if "error" in line):
            if not peer.absent:
                error = next(line["error"] for line in peer.lines if "error" in line and line["shape"] == shape)
                text += f"- {peer.name}, {shape}: failed: {short(error)}\n"
    if reference and (reference, STEP) in cells:
        losses = ", ".join(f"{loss:.6f}" for loss in cells[reference, STEP].last["losses"])
        near = [name for name in measured if name != reference and (name, STEP) in cells and not cells[name, STEP].disagrees]
        text += f"- losses of {reference} before a step, after one and after five: {losses}; within {LOSSES:g} of them: {', '.join(near) or 'none'}\n\n"
    else:
        text += f"- outputs compared with those of {reference}, by count, sum and sum of absolute values\n\n" if reference else "\n"

    own = ("wgconv", "wgconv-bench", "wgconv-cpu")
    for title, places, bases in (("GPU", ("vulkan", "cuda"), ("wgconv", "wgconv-bench")), ("CPU", ("cpu",), ("wgconv-cpu",))):
        here = [name for name in measured if where[name].where in places]
        if here:
            base = next((name for name in bases if name in here), here[0])
            here.sort(key=lambda name: (name != base, name not in own))
            single = [name for name in here if name not in own and name != base and where[name].precision == "f32"]
            text += table(title, here, base, cells, names, single) + "\n"
    wrong = [(name, shape, cell) for (name, shape), cell in cells.items() if cell.disagrees]
    if wrong:
        text += "Wrong outputs, for which no ratio is given:\n\n"
        text += "".join(f"- {name}, {shape}: {cell.disagrees}\n" for name, shape, cell in wrong)
    return text.rstrip("\n") + "\n"


if __name__ == "__main__":
    main()
