"""Times writing: a checkpoint of 2-D and 4-D tensors, every one transposed, against ``cp`` of the same file.

    python tests/benchmarks/write.py [--gigabytes 2.5] [--rounds 5] [--huge 0] [--folder DIR]

Each round runs ``cp`` and ``remap apply`` (start of Python, planning and the final fsync included) to the legacy
``.h5`` and to ``.weights.h5`` in turn, source in the page cache, outputs removed in between. Prints the ratio of the
best times, the median ratio and each, the least processor time, which other load on the machine disturbs less, and
the largest resident memory of a child as ``/usr/bin/time -v`` counts it. ``--huge N`` adds one matrix of N gigabytes
to convert, in a sparse file. The aims: at most twice the time of ``cp``, at most 400 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np
from processes import run

from remap.inventory.inventory import Inventory, Layer, Variable

SHAPES = [(4096, 4096), (1024, 1024, 3, 3), (2048, 8192), (512, 512, 3, 3), (1000, 2048), (256, 64, 3, 3), (8192, 4096)]
RULES = r"""format = 1
[[rename]]
match = 'dense<i>\.weight'
to = 'dense{i}/kernel'
axes = "o i -> i o"
[[rename]]
match = 'conv<i>\.weight'
to = 'conv{i}/kernel'
axes = "o i h w -> h w i o"
"""
COMMAND = "from remap.cli.main import main; main()"
RATIO, MEGABYTES = 2.0, 400


def shapes_of(nbytes: int) -> dict[str, tuple[int, ...]]:
    """Tensors of all shapes in turn until they make ``nbytes`` of float32."""
    found: dict[str, tuple[int, ...]] = {}
    while nbytes > 0:
        shape = SHAPES[len(found) % len(SHAPES)]
        found[f"{'dense' if len(shape) == 2 else 'conv'}{len(found)}.weight"] = shape
        nbytes -= 4 * int(np.prod(shape))
    return found


def make_checkpoint(path: Path, shapes: dict[str, tuple[int, ...]], sparse: bool = False) -> None:
    """A ``.safetensors`` file of random numbers, or of holes."""
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    generator = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        if sparse:
            file.truncate(8 + len(text) + offset)
            return
        for shape in shapes.values():
            file.write(generator.random(shape, np.float32).data)
        os.fsync(file.fileno())


def make_target(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """An inventory with a place in ``.weights.h5`` for each kernel."""
    names = [name.removesuffix(".weight") for name in shapes]
    turned = [shape[::-1] if len(shape) == 2 else (*shape[2:], shape[1], shape[0]) for shape in shapes.values()]
    Inventory(
        model="benchmark",
        variables=tuple(
            Variable(
                f"{name}/kernel",
                f"{name}/kernel",
                shape,
                "float32",
                number,
                places={"weights_h5": ((f"layers/{name}/vars/0",),)},
            )
            for number, (name, shape) in enumerate(zip(names, turned, strict=True))
        ),
        layers=tuple(Layer(name, "Layer", name, name) for name in names),
        kind="functional",
        keras_version="3.15.1",
    ).save(path)


def measure(folder: Path, rounds: int) -> bool:
    """Print the figures of all rounds; whether they hold the aims."""
    source = folder / "model.safetensors"
    apply = [sys.executable, "-c", COMMAND, "apply", str(folder / "rules.toml"), str(source)]
    commands = {
        "cp": ["cp", str(source), str(folder / "copy.bin")],
        "legacy .h5": [*apply, "-o", str(folder / "out.h5")],
        ".weights.h5": [*apply, "--target", str(folder / "target.json"), "-o", str(folder / "out.weights.h5")],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    processor = dict.fromkeys(commands, float("inf"))
    memory = dict.fromkeys(commands, 0.0)
    for _ in range(rounds):
        for name, command in commands.items():
            took, busy, peak = run(command)
            Path(command[-1]).unlink()
            processor[name] = min(processor[name], busy)
            seconds[name].append(took)
            memory[name] = max(memory[name], peak)
    holds = True
    for name in list(commands)[1:]:
        ratios = [ours / theirs for ours, theirs in zip(seconds[name], seconds["cp"], strict=True)]
        best = min(seconds[name]) / min(seconds["cp"])
        print(
            f"{name}: {best:.2f} x cp by best times ({min(seconds[name]):.2f} s to {min(seconds['cp']):.2f} s), "
            f"{statistics.median(ratios):.2f} by median of pairs ({', '.join(f'{ratio:.2f}' for ratio in ratios)}), "
            f"processor {processor[name]:.2f} s to {processor['cp']:.2f} s, {memory[name]:.0f} MB"
        )
        holds &= min(best, statistics.median(ratios)) <= RATIO and memory[name] <= MEGABYTES
    return holds


def measure_huge(folder: Path, gigabytes: float) -> bool:
    """Convert one matrix of holes; whether memory holds the aim."""
    side = int((gigabytes * 1e9 / 4) ** 0.5)
    make_checkpoint(folder / "huge.safetensors", {"dense0.weight": (side, side)}, sparse=True)
    out = folder / "huge.h5"
    command = ["apply", str(folder / "rules.toml"), str(folder / "huge.safetensors"), "-o", str(out)]
    took, busy, peak = run([sys.executable, "-c", COMMAND, *command])
    out.unlink()
    print(f"one matrix of {side} x {side}: {took:.1f} s, {busy:.1f} s of processor, {peak:.0f} MB")
    return peak <= MEGABYTES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--huge", type=float, default=0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        (folder / "rules.toml").write_text(RULES.replace("match = 'conv", "optional = true\nmatch = 'conv"))
        shapes = shapes_of(int(options.gigabytes * 1e9))
        make_checkpoint(folder / "model.safetensors", shapes)
        make_target(folder / "target.json", shapes)
        holds = measure(folder, options.rounds)
        if options.huge:
            holds &= measure_huge(folder, options.huge)
    raise SystemExit(0 if holds else 1)


if __name__ == "__main__":
    main()
