"""Times planning: 100,000 tensors against 60 rules with captures, arithmetic and look-ups.

    python tests/benchmarks/plan.py [TENSORS]

Prints the seconds of the best of three runs; the aim is under 2 s on one core.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from remap.planning.make import make_plan
from remap.rules.load import load_rules
from remap.rules.rulefile import RuleFile
from remap.tensors.tensor import ArrayStorage, Checkpoint, Tensor

TENSORS = 100_000
RULES = 60
LIMIT = 2.0


def rules_text(count: int) -> str:
    """Rules of three kinds: convolutions and dense layers by layout, and single tensors."""
    parts = [
        "format = 1\n",
        "[tables.roles]\n",
        *(f'{role} = "{name}"\n' for role, name in (("q", "query"), ("k", "key"), ("v", "value"), ("o", "output"))),
    ]
    for rule in range(count):
        kind = rule % 3
        head = f"[[rename]]\nmatch = 'branch{rule}\\.layer<stage>\\.<block>\\.(?P<role>q|k|v|o)"
        to = f"to = 'branch{rule}_stage{{stage+1}}_block{{2*block}}_{{block%4}}_{{roles[role]}}"
        if kind == 0:
            parts.append(f"{head}'\n{to}'\nlayout = \"conv2d\"\n")
        elif kind == 1:
            parts.append(f"{head}'\n{to}'\nlayout = \"dense\"\n")
        else:
            parts.append(f"{head}\\.(?P<name>weight|bias)'\n{to}/{{name}}'\n")
    return "".join(parts)


def load(folder: Path, count: int = RULES) -> RuleFile:
    """The rule file of the benchmark."""
    path = folder / "rules.toml"
    path.write_text(rules_text(count), "utf-8")
    return load_rules(path)


def checkpoint(tensors: int, rules: int = RULES) -> Checkpoint:
    """Tensors spread evenly over the rules: a weight and a bias for each module."""
    storage = ArrayStorage(np.zeros(4096, np.float32))
    shapes = ((16, 8, 3, 3), (16, 8), (16, 8))
    found = {}
    for module in range(tensors // 2):
        rule, rest = module % rules, module // rules
        name = f"branch{rule}.layer{rest // 256}.{rest // 4 % 64}.{'qkvo'[rest % 4]}"
        for tensor, shape in (("weight", shapes[rule % 3]), ("bias", (16,))):
            strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
            key = f"{name}.{tensor}"
            found[key] = Tensor(key, shape, np.dtype(np.float32), strides, storage)
    return Checkpoint(Path("memory"), "memory", found)


def seconds(rules: RuleFile, source: Checkpoint, runs: int = 3) -> float:
    """The best of several runs."""
    best = float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        plan = make_plan(rules, source)
        best = min(best, time.perf_counter() - started)
        assert len(plan.assignments) == len(source)
    return best


def main() -> None:
    """Print the figure; exit 1 where it is over the limit."""
    tensors = int(sys.argv[1]) if len(sys.argv) > 1 else TENSORS
    with tempfile.TemporaryDirectory() as folder:
        rules = load(Path(folder))
    taken = seconds(rules, checkpoint(tensors))
    print(f"planned {tensors:,} tensors against {RULES} rules in {taken:.2f} s")
    sys.exit(taken > LIMIT * tensors / TENSORS)


if __name__ == "__main__":
    main()
