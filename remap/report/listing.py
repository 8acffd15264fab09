"""What is in a file: a tree of names, repeated blocks together, with shapes, dtypes and sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.tree import Tree

from remap.errors import UsageError
from remap.opening.anything import open_weights
from remap.planning.suggest import grouped
from remap.report.sizes import human_bytes
from remap.rules.pattern import PatternError, Patterns
from remap.tensors.tensor import Checkpoint, Tensor

SHAPES_SHOWN = 3
SKIPPED_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Listing:
    """A file and those of its tensors that are shown."""

    checkpoint: Checkpoint
    tensors: tuple[Tensor, ...]


def listing(path: str | Path, pattern: str | None = None) -> Listing:
    """Open a checkpoint or a Keras HDF5 file and choose tensors by a regular expression.

    Raises:
        CheckpointError: It cannot be read.
        UsageError: The pattern is invalid, or matches nothing.
    """
    checkpoint = open_weights(path)
    if pattern is None:
        return Listing(checkpoint, tuple(checkpoint.values()))
    try:
        patterns = Patterns([pattern])
        chosen = tuple(tensor for name, tensor in checkpoint.items() if patterns.match(name))
    except PatternError as error:
        raise UsageError("invalid regular expression", found=f"'{pattern}': {error}") from error
    if not chosen:
        raise UsageError(
            "the pattern matches no tensor",
            found=f"'{pattern}'",
            expected="a regex for whole names",
            fix=f"the first names are {', '.join(list(checkpoint)[:3])}",
        )
    return Listing(checkpoint, chosen)


def listing_data(found: Listing) -> dict[str, Any]:
    """A listing as plain data."""
    checkpoint = found.checkpoint
    return {
        "path": str(checkpoint.path),
        "format": checkpoint.format,
        "peeled": list(checkpoint.peeled),
        "skipped": [{"name": skipped.name, "reason": skipped.reason} for skipped in checkpoint.skipped],
        "count": len(found.tensors),
        "bytes": sum(tensor.nbytes for tensor in found.tensors),
        "tensors": [
            {"name": t.name, "shape": list(t.shape), "dtype": t.dtype.name, "bytes": t.nbytes} for t in found.tensors
        ],
    }


def print_listing(found: Listing, out: Console) -> None:
    """A listing as a tree; names that differ in numbers only share a line."""
    checkpoint, total = found.checkpoint, sum(tensor.nbytes for tensor in found.tensors)
    part = "" if len(found.tensors) == len(checkpoint) else f" of {len(checkpoint)}"
    out.print(
        f"[bold]{checkpoint.path}[/]  {checkpoint.format}, {len(found.tensors)}{part} tensors, {human_bytes(total)}"
    )
    if checkpoint.peeled:
        out.print(f"peeled: {', '.join(checkpoint.peeled)}", markup=False)
    separator = "/" if any("/" in tensor.name for tensor in found.tensors) else "."
    root = Tree("", hide_root=True)
    branches: dict[tuple[str, ...], Tree] = {(): root}
    for pattern, members in _merged(found.tensors):
        *path, leaf = _components(pattern, separator)
        branch = root
        for depth in range(1, len(path) + 1):
            key = tuple(path[:depth])
            if key not in branches:
                branches[key] = branches[key[:-1]].add(_text(key[-1]))
            branch = branches[key]
        branch.add(_text(_leaf(leaf, members)))
    out.print(root)
    for skipped in checkpoint.skipped[:SKIPPED_SHOWN]:
        out.print(f"left alone: {skipped.name}: {skipped.reason}", markup=False)
    if len(checkpoint.skipped) > SKIPPED_SHOWN:
        out.print(f"left alone: {len(checkpoint.skipped) - SKIPPED_SHOWN} more")


def _merged(tensors: Iterable[Tensor]) -> list[tuple[str, list[Tensor]]]:
    by_name = {tensor.name: tensor for tensor in tensors}
    return [(pattern, [by_name[name] for name in names]) for pattern, names in grouped(by_name)]


def _components(pattern: str, separator: str) -> list[str]:
    """A pattern's components, the dots inside of ranges left alone."""
    ranges: list[str] = []

    def hide(match: re.Match[str]) -> str:
        ranges.append(match[0])
        return f"\0{len(ranges) - 1}\0"

    parts = re.sub(r"\{[^}]*\}", hide, pattern).split(separator)
    return [re.sub(r"\0(\d+)\0", lambda match: ranges[int(match[1])], part) for part in parts]


def _leaf(name: str, members: list[Tensor]) -> str:
    shapes = list(dict.fromkeys(str(list(tensor.shape)) for tensor in members))
    dtypes = list(dict.fromkeys(tensor.dtype.name for tensor in members))
    shown = " ".join(shapes[:SHAPES_SHOWN]) + (f" ... {len(shapes)} shapes" if len(shapes) > SHAPES_SHOWN else "")
    count = f"  x{len(members)}" if len(members) > 1 else ""
    return f"{name}  {'/'.join(dtypes)} {shown}{count}  {human_bytes(sum(t.nbytes for t in members))}"


def _text(text: str) -> str:
    return text.replace("[", "\\[")
