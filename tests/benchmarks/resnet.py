"""Times the main job: a ResNet-50 checkpoint to Keras weights, against a plain script with torch and h5py.

    python tests/benchmarks/resnet.py [--rounds 5]

Each round runs both as whole processes, start of Python included, for ``.pt`` and ``.safetensors`` to ``.h5`` and to
``.weights.h5``. Prints best and median seconds, the ratio to the plain script in the same run, and the largest
resident memory. The aims: at most 0.6 s, a third of the script's time, 200 MB.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import run

SECONDS, RATIO, MEGABYTES = 0.6, 1 / 3, 200

MAKE = """
import sys, torch, torchvision
from safetensors.torch import save_file
torch.manual_seed(0)
state = torchvision.models.resnet50().state_dict()
torch.save(state, sys.argv[1] + "/model.pt")
save_file(state, sys.argv[1] + "/model.safetensors")
"""

PLAIN = """
import sys, h5py, torch
state = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
with h5py.File(sys.argv[2], "w") as file:
    for name, tensor in state.items():
        array = tensor.numpy()
        if array.ndim == 4:
            array = array.transpose(2, 3, 1, 0)
        elif array.ndim == 2:
            array = array.T
        file.create_dataset(name.replace(".", "/"), data=array)
"""

COMMAND = "from remap.cli.main import main; main()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-c", MAKE, name], check=True)
        jobs = {"plain script": [sys.executable, "-c", PLAIN, str(folder / "model.pt"), str(folder / "plain.h5")]}
        for source in ("model.pt", "model.safetensors"):
            for suffix in (".h5", ".weights.h5"):
                arguments = ["apply", "resnet", str(folder / source), "-o", str(folder / f"out{suffix}"), "--force"]
                jobs[f"{source} to {suffix}"] = [sys.executable, "-c", COMMAND, *arguments]
        seconds: dict[str, list[float]] = {job: [] for job in jobs}
        memory = dict.fromkeys(jobs, 0.0)
        for _ in range(rounds):
            for job, command in jobs.items():
                took, _, peak = run(command)
                seconds[job].append(took)
                memory[job] = max(memory[job], peak)
    holds = True
    plain = seconds.pop("plain script")
    print(
        f"plain script: {min(plain):.2f} s best, {statistics.median(plain):.2f} median, {memory['plain script']:.0f} MB"
    )
    for job, taken in seconds.items():
        ratio = statistics.median(ours / theirs for ours, theirs in zip(taken, plain, strict=True))
        figures = f"{min(taken):.2f} s best, {statistics.median(taken):.2f} median, {ratio:.2f} of the plain script"
        print(f"{job}: {figures}, {memory[job]:.0f} MB")
        holds &= min(taken) <= SECONDS and ratio <= RATIO and memory[job] <= MEGABYTES
    raise SystemExit(0 if holds else 1)


if __name__ == "__main__":
    main()
