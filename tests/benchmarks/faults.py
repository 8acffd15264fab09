"""Seeds faults into networks and prints what plan and verify make of each, in a table by kind.

    python tests/benchmarks/faults.py [--network images] [--all]

Every two modules of one layout exchanged, every layout that puts numbers elsewhere, every rule left out or misspelt,
and settings of the model. What the plan can know from names and shapes it must refuse; everything else runs through
``remap.verify``. ``--all`` prints a line for each fault. The aims: none passes as equal, none crashes, the layer is
right in all, the cause in nine of ten, nothing wrong is "proved".
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path += [str(folder) for folder in Path(__file__).resolve().parents[:2]]

from seeded import NETWORKS, Fault, all_faults, randomise, rules_text

import remap
from remap.errors import RemapError

COLUMNS = ("refused by the plan", "layer", "cause", "cause unknown", "falsely proved", "equal", "crashed")


@dataclass(frozen=True)
class Outcome:
    """What was said of one fault: the columns that it counts in, and the words."""

    columns: frozenset[str]
    said: str


def outcome(fault: Fault, folder: Path) -> Outcome:
    """What plan and verify say of one fault."""
    rules = folder / "rules.toml"
    rules.write_text(fault.rules)
    module = randomise(fault.torch())
    try:
        verified = remap.verify(rules, module.state_dict(), fault.keras, module)
    except RemapError as error:
        columns = {"refused by the plan"} if not fault.layers else {"crashed"}
        return Outcome(frozenset(columns), str(error).partition("\n")[0])
    except Exception as error:
        return Outcome(frozenset({"crashed"}), f"{type(error).__name__}: {error}")
    return judged(fault, verified)


def judged(fault: Fault, verified: Any) -> Outcome:
    """The columns of what was verified."""
    finding = verified.finding
    if verified.verdict == "equal" or finding is None:
        return Outcome(frozenset({"equal"}), verified.verdict)
    right = bool(fault.codes.intersection(finding.codes))
    named = any(finding.layer == layer or finding.layer.startswith(f"{layer}/") for layer in fault.layers)
    columns = {"layer"} if named else set()
    if right:
        columns.add("cause")
    elif not finding.code:
        columns.add("cause unknown")
    elif finding.proved:
        columns.add("falsely proved")
    return Outcome(frozenset(columns), f"{finding.layer}: {finding.cause or 'unknown'} {' '.join(finding.codes)}")


def main() -> None:
    """Run all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS)
    parser.add_argument("--all", action="store_true", help="a line for each fault")
    chosen = parser.parse_args()
    warnings.filterwarnings("ignore", module=r"(keras|torch)\.")
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for name, network in NETWORKS.items():
            right = Fault(name, "", "", network.torch, network.keras, rules_text(network.rules))
            if "equal" not in outcome(right, Path(folder)).columns:
                sys.exit(f"{name} is not equal as it stands")
        for fault in all_faults():
            if chosen.network in (None, fault.network):
                told = outcome(fault, Path(folder))
                counts[fault.kind].update(["all", *(["to verify"] if fault.layers else []), *told.columns])
                if chosen.all or told.columns not in ({"layer", "cause"}, {"refused by the plan"}):
                    print(f"{fault.network}, {fault.kind}, {fault.where}: {told.said}")
    print_table(counts)
    print(f"{time.monotonic() - started:.0f} s")


def print_table(counts: dict[str, Counter[str]]) -> None:
    """A row a kind, and the sums."""
    heads = ("all", "to verify", *COLUMNS)
    total: Counter[str] = sum(counts.values(), Counter())
    width = max(map(len, counts))
    print(f"{'':{width}}  " + "  ".join(heads))
    for kind, counted in (*counts.items(), ("sum", total)):
        print(f"{kind:{width}}  " + "  ".join(f"{counted[head]:{len(head)}}" for head in heads))


if __name__ == "__main__":
    main()
