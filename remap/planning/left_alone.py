"""Entries of a checkpoint that were left alone, where they are why an account does not close."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remap.errors import Problem
from remap.planning.match import match_keys
from remap.planning.suggest import grouped, named_once, several
from remap.rules.rulefile import RuleFile
from remap.tensors.tensor import SkipCode, Skipped


def quantized_problem(skipped: Sequence[Skipped]) -> Iterator[Problem]:
    """That quantised tensors were left out, which may be why something does not close."""
    names = [entry.name for entry in skipped if entry.code is SkipCode.QUANTIZED]
    if names:
        yield Problem(
            "quantised tensors of the checkpoint were left out",
            where=several(names[0], names),
            names=named_once(names),
            fix="--dequantize (dequantize=True in Python) reads them as float32",
        )


def skipped_problems(skipped: Sequence[Skipped], rules: RuleFile) -> Iterator[Problem]:
    """Entries of the checkpoint that rules would claim, had they not been left alone: why something does not close."""
    others = {entry.name: entry for entry in skipped if entry.code is not SkipCode.QUANTIZED}
    if not others:
        return
    claimed = [key for link in match_keys(rules, others).links for key in link.claimed()]
    by_reason: dict[tuple[str, str], list[str]] = {}
    for key in dict.fromkeys(claimed):
        by_reason.setdefault((others[key].reason, others[key].fix), []).append(key)
    for (reason, fix), keys in by_reason.items():
        patterns = [several(pattern, members) for pattern, members in grouped(keys)]
        yield Problem(
            "rules claim what was left alone in the checkpoint",
            where=", ".join(patterns),
            found=reason,
            fix=fix,
            names=tuple(keys),
        )
