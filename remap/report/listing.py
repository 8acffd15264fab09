"""What is in a file or a model: a tree of names, repeated blocks together, with shapes, dtypes and sizes; or a line
for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.tree import Tree

from remap.errors import UsageError
from remap.inventory.inventory import Inventory, Variable
from remap.opening.anything import open_weights
from remap.planning.suggest import grouped
from remap.report.console import styled
from remap.report.sizes import human_bytes
from remap.report.skipped import print_skipped
from remap.rules.pattern import PatternError, Patterns
from remap.tensors.dtypes import dtype_of
from remap.tensors.tensor import Skipped, Tensor

SHAPES_SHOWN = 3
KINDS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Listed:
    """A tensor of a file, or a variable of a model.

    Args:
        name: State_dict key or Keras path.
        shape: Sizes.
        dtype: Element type, by name.
        nbytes: Bytes when dense.
        kind: Class of the layer that has the variable; empty for a tensor.
        address: The variable's path with automatic numbers as ranks, where that is another one.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    kind: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A file or a model, and what of it is shown.

    Args:
        title: Its path, or the model's name.
        format: What it is, for people.
        noun: What it holds: tensors or variables.
        total: How many it holds.
        shown: Those that are shown.
        peeled: Wrappers that were taken off.
        skipped: What else it holds.
    """

    title: str
    format: str
    noun: str
    total: int
    shown: tuple[Listed, ...]
    peeled: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def listing(path: str | Path, pattern: str | None = None) -> Listing:
    """Open a checkpoint, a Keras or TensorFlow file or a saved inventory, and choose tensors by a regular expression.

    Raises:
        CheckpointError: It cannot be read.
        TargetError: It is a damaged inventory.
        UsageError: The pattern is invalid, or matches nothing.
    """
    if Inventory.is_one(path):
        return model_listing(Inventory.load(Path(path)), pattern)
    checkpoint = open_weights(path)
    shown = _chosen([_of_tensor(tensor) for tensor in checkpoint.values()], pattern, "tensor", checkpoint.skipped)
    title, format = str(checkpoint.path), checkpoint.format
    return Listing(title, format, "tensors", len(checkpoint), shown, checkpoint.peeled, checkpoint.skipped)


def model_listing(inventory: Inventory, pattern: str | None = None) -> Listing:
    """The variables of a model, chosen by a regular expression for their path or their address by ranks.

    Raises:
        UsageError: The pattern is invalid, or matches nothing.
    """
    shown = _chosen([_of_variable(variable, inventory) for variable in inventory.variables], pattern, "variable")
    version = f", Keras {inventory.keras_version}" if inventory.keras_version else ""
    return Listing(inventory.model, f"{inventory.kind} model{version}", "variables", len(inventory.variables), shown)


def _of_tensor(tensor: Tensor) -> Listed:
    return Listed(tensor.name, tensor.shape, tensor.dtype.name, tensor.nbytes)


def _of_variable(variable: Variable, inventory: Inventory) -> Listed:
    kind = inventory.layers[variable.layer].class_name if inventory.layers else ""
    address = variable.address if variable.address != variable.path else ""
    nbytes = prod(variable.shape) * dtype_of(variable.dtype).itemsize
    return Listed(variable.path, variable.shape, variable.dtype, nbytes, kind, address)


def _chosen(
    listed: Sequence[Listed], pattern: str | None, noun: str, skipped: Sequence[Skipped] = ()
) -> tuple[Listed, ...]:
    if pattern is None:
        return tuple(listed)
    try:
        patterns = Patterns([pattern])
        chosen = tuple(
            each for each in listed if patterns.match(each.name) or (each.address and patterns.match(each.address))
        )
    except PatternError as error:
        raise UsageError("invalid regular expression", found=f"'{pattern}': {error}") from error
    aside = [] if chosen else [each for each in skipped if patterns.match(each.name)]
    if aside:
        raise UsageError(
            "the pattern matches only what was left alone", where=aside[0].name, found=aside[0].reason, fix=aside[0].fix
        )
    if not chosen:
        raise UsageError(
            f"the pattern matches no {noun}",
            found=f"'{pattern}'",
            expected="a regex for whole names",
            fix=f"the first names are {', '.join(each.name for each in listed[:3])}",
        )
    return chosen


def listing_data(listed: Listing) -> dict[str, Any]:
    """A listing as plain data."""
    return {
        "path": listed.title,
        "format": listed.format,
        "peeled": list(listed.peeled),
        "skipped": [{"name": skipped.name, "reason": skipped.reason} for skipped in listed.skipped],
        "count": len(listed.shown),
        "bytes": sum(each.nbytes for each in listed.shown),
        listed.noun: [_data(each) for each in listed.shown],
    }


def _data(each: Listed) -> dict[str, Any]:
    of_layer = {"class": each.kind, "address": each.address or each.name} if each.kind else {}
    return {"name": each.name, "shape": list(each.shape), "dtype": each.dtype, "bytes": each.nbytes, **of_layer}


def print_listing(listed: Listing, out: Console) -> None:
    """A listing as a tree; names that differ in numbers only share a line."""
    _print_head(listed, out)
    separator = "/" if any("/" in each.name for each in listed.shown) else "."
    root = Tree("", hide_root=True)
    branches: dict[tuple[str, ...], Tree] = {(): root}
    for pattern, members in _merged(listed.shown):
        *path, leaf = _components(pattern, separator)
        branch = root
        for depth in range(1, len(path) + 1):
            key = tuple(path[:depth])
            if key not in branches:
                branches[key] = branches[key[:-1]].add(key[-1])
            branch = branches[key]
        branch.add(_leaf(leaf, members))
    out.print(root)
    print_skipped(listed.skipped, out)


def print_flat(listed: Listing, out: Console) -> None:
    """A listing with a line for each name, nothing put together and nothing left out: for grep and its kin."""
    _print_head(listed, out)
    for each in listed.shown:
        words = [each.name, each.dtype, str(list(each.shape)), human_bytes(each.nbytes), each.kind, each.address]
        out.print("  ".join(word for word in words if word))
    print_skipped(listed.skipped, out, shown=len(listed.skipped))


def _print_head(listed: Listing, out: Console) -> None:
    part = "" if len(listed.shown) == listed.total else f" of {listed.total}"
    nbytes = human_bytes(sum(each.nbytes for each in listed.shown))
    counted = f"  {listed.format}, {len(listed.shown)}{part} {listed.noun}, {nbytes}"
    out.print(styled(listed.title, "bold", counted))
    if listed.peeled:
        out.print(f"peeled: {', '.join(listed.peeled)}")


def _merged(listed: Iterable[Listed]) -> list[tuple[str, list[Listed]]]:
    by_name = {each.name: each for each in listed}
    return [(pattern, [by_name[name] for name in names]) for pattern, names in grouped(by_name)]


def _components(pattern: str, separator: str) -> list[str]:
    """A pattern's components, the dots inside of ranges left alone."""
    ranges: list[str] = []

    def hide(match: re.Match[str]) -> str:
        ranges.append(match[0])
        return f"\0{len(ranges) - 1}\0"

    parts = re.sub(r"\{[^}]*\}", hide, pattern).split(separator)
    return [re.sub(r"\0(\d+)\0", lambda match: ranges[int(match[1])], part) for part in parts]


def _leaf(name: str, members: list[Listed]) -> str:
    shapes = [str(list(each.shape)) for each in members]
    dtypes = "/".join(dict.fromkeys(each.dtype for each in members))
    count = f"  x{len(members)}" if len(members) > 1 else ""
    nbytes = human_bytes(sum(each.nbytes for each in members))
    layers = _several([each.kind for each in members if each.kind], KINDS_SHOWN, "classes")
    ranks = "; ".join(pattern for pattern, _ in grouped(each.address for each in members if each.address))
    words = [name, f"{dtypes} {_several(shapes, SHAPES_SHOWN, 'shapes')}{count}", nbytes, layers, ranks]
    return "  ".join(word for word in words if word)


def _several(texts: list[str], shown: int, noun: str) -> str:
    """Different texts in a row, the first of them only where they are many."""
    different = list(dict.fromkeys(texts))
    return " ".join(different[:shown]) + (f" ... {len(different)} {noun}" if len(different) > shown else "")
