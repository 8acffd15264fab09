"""Times the proof of ResNet-50 at batch 1: what looking into both networks costs beyond running them.

    python tests/benchmarks/verify.py [--rounds 3] [--size 224]

Each round starts two processes: one runs both networks, as a plain script does; the other runs ``remap.verify`` with
its stages timed. Prints wall and processor seconds of every stage, the seconds beyond the two forwards, and the
largest resident memory. The aims: at most 3 s beyond the two forwards, 2 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SECONDS, BYTES = 3.0, 2e9
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "resnet"
LOOKING = ("torch, traced", "torch, another input", "torch, rounding", "keras, traced", "comparing", "explaining")
"""What comes beside reading, planning and building: this is held against the two forwards."""

COMMON = """
import json, os, pathlib, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, FIXTURES)
checkpoint, size, told = sys.argv[1], int(sys.argv[2]), {}

class Stage:
    def __init__(self, name): self.name = name
    def __enter__(self): self.wall, self.cpu = time.perf_counter(), time.process_time()
    def __exit__(self, *_):
        wall, cpu = told.get(self.name, (0, 0))
        told[self.name] = wall + time.perf_counter() - self.wall, cpu + time.process_time() - self.cpu

def tell():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    told["peak"] = int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    print(json.dumps(told))

with Stage("import torch"):
    import torch
with Stage("import keras"):
    import keras
"""

MAKE = """
torch.manual_seed(0)
import torch_model
network = torch_model.build(50, 64, 1000)
for name, tensor in network.state_dict().items():
    if name.endswith("running_var"):
        tensor.uniform_(0.5, 1.5)
torch.save(network.state_dict(), checkpoint)
"""

PLAIN = """
import keras_model, torch_model
network = torch_model.build(50, 64, 1000).eval()
network.load_state_dict(torch.load(checkpoint, weights_only=True))
model = keras_model.resnet50()
image = torch.randn(1, 3, size, size)
for turn in ("", ", again"):
    with Stage("torch" + turn), torch.no_grad():
        network(image)
    with Stage("keras" + turn):
        keras.ops.convert_to_numpy(model(image.permute(0, 2, 3, 1).numpy(), training=False))
tell()
"""

PROOF = """
with Stage("import remap"):
    import remap
    from remap.proving import run
    from remap.sides.keras import side as keras_side
from remap.sides.torch import side as torch_side, source as torch_source

def timed(module, function, name):
    original = getattr(module, function)
    def call(*args, **kwargs):
        with Stage(name):
            return original(*args, **kwargs)
    setattr(module, function, call)

for module, function, name in (
    (run, "open_network", "torch, built"), (torch_source, "load_weights", "torch, weights"),
    (keras_side, "build_model", "keras, built"), (run, "planned", "planned"), (run, "put_weights", "keras, weights"),
    (torch_side, "run", "torch, traced"), (torch_side, "run_outputs", "torch, another input"),
    (torch_side, "measured_noise", "torch, rounding"), (keras_side, "run_keras", "keras, traced"),
    (run, "_compared", "comparing"), (run, "find", "explaining"),
):
    timed(module, function, name)
with Stage("all of remap.verify"):
    found = remap.verify(
        "resnet", checkpoint, FIXTURES + "/keras_model.py:resnet50", FIXTURES + "/torch_model.py:build",
        torch_args={"width": 64, "classes": 1000}, inputs=[f"float32[1,3,{size},{size}]"],
    )
assert found.verdict == "equal", found.finding
assert len(found.rows) == 107 and {row.outcome for row in found.rows} == {"equal"}
tell()
"""


def stages(script: str, *arguments: str) -> dict[str, Any]:
    """What a script of its own process told: wall and processor seconds by stage."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    text = f"FIXTURES = {str(FIXTURES)!r}\n{COMMON}{script}"
    command = [sys.executable, "-c", text, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout)) if done.stdout else {}


def median(rounds: list[dict[str, Any]], stage: str, place: int) -> float:
    """Seconds of a stage, wall (0) or processor (1)."""
    return statistics.median(told[stage][place] for told in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    plain: list[dict[str, Any]] = []
    proof: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        arguments = str(Path(folder) / "model.pt"), str(options.size)
        stages(MAKE, *arguments)
        for _ in range(options.rounds):
            plain.append(stages(PLAIN, *arguments))
            proof.append(stages(PROOF, *arguments))
    for title, rounds in (("plain script", plain), ("remap.verify", proof)):
        print(f"{title}: seconds, processor seconds (medians of {options.rounds})")
        for stage in rounds[0]:
            if stage != "peak":
                print(f"  {stage:22} {median(rounds, stage, 0):6.2f} {median(rounds, stage, 1):6.2f}")
        print(f"  {'largest memory':22} {max(told['peak'] for told in rounds) / 1e9:6.2f} GB")
    wall, processor = (
        [
            sum(told[stage][place] for stage in LOOKING) - before["torch"][place] - before["keras"][place]
            for before, told in zip(plain, proof, strict=True)
        ]
        for place in (0, 1)
    )
    traces = [
        (told["torch, traced"][0] + told["keras, traced"][0]) / (before["torch"][0] + before["keras"][0])
        for before, told in zip(plain, proof, strict=True)
    ]
    peak = max(told["peak"] for told in proof)
    print(f"both traces: {statistics.median(traces):.2f} of the two forwards")
    for title, beyond in (("seconds", wall), ("processor seconds", processor)):
        print(f"{title} beyond the two forwards: {min(beyond):.2f} best, {statistics.median(beyond):.2f} median")
    raise SystemExit(0 if min(wall) <= SECONDS and peak <= BYTES else 1)


if __name__ == "__main__":
    main()
