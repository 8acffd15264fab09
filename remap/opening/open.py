"""Opening a checkpoint: from a path or URL to named tensors, by what the file is and not by what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from remap.collector import collector_off
from remap.errors import CheckpointError, Problem
from remap.formats import contents as records
from remap.formats.contents import Contents
from remap.formats.folders import sentence_transformers, shards
from remap.formats.registry import recognised
from remap.formats.tree import NumpyArray, Quantized, Refused, TensorView, Tree, describe
from remap.formats.unread import Unread
from remap.opening.prefixes import Keys
from remap.opening.roots import WHOLE, Unwrapped, keys
from remap.opening.unknown import unknown
from remap.tensors.locate import locate
from remap.tensors.location import Location, is_url
from remap.tensors.tensor import Checkpoint, SkipCode, Skipped, Tensor

DEEPSPEED_MARK = "ds_version"
LIGHTNING_MARK = "pytorch-lightning_version"
QUANTIZED = "quantised tensor; --dequantize (dequantize=True in Python) reads it as float32"
"""Why a quantised tensor is skipped unless it is asked for."""


@dataclass(frozen=True, slots=True)
class Dequantized:
    """A checkpoint whose quantised tensors are read as float32: it can be given wherever a path or URL of one can.

    Args:
        path: The path or URL.
    """

    path: str | Path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


def open_checkpoint(
    path: str | Path | Dequantized, *, root: str | None = None, strip: Sequence[str] = (), dequantize: bool = False
) -> Checkpoint:
    """The tensors of a checkpoint by state_dict key, from headers alone.

    Args:
        path: A file of any supported format, an index of shards, a folder, or the URL of one.
        root: Dotted key of the dict that holds the state_dict, ``"."`` for the whole file with nested keys joined;
            known wrappers are recognised if None.
        strip: Regular expressions of prefixes to take off the keys, in turn; known ones are recognised if empty.
        dequantize: Read quantised tensors as float32; they are skipped otherwise. :class:`Dequantized` says the same.

    Raises:
        CheckpointError: It is missing, damaged, hostile, of no known format or ambiguous.
        UsageError: ``root`` or ``strip`` is wrong.
        MissingPackageError: ``path`` is a URL, and fsspec or its package for such URLs is not installed.

    >>> open_checkpoint("no/such/file.pt")
    Traceback (most recent call last):
        ...
    remap.errors.CheckpointError: no such checkpoint
      at no/such/file.pt
      fix: check the path
    """
    if isinstance(path, Dequantized):
        path, dequantize = path.path, True
    given = path if isinstance(path, str) and is_url(path) else Path(path)
    file = Unread(locate(given))
    if not file.exists:
        raise CheckpointError("no such checkpoint", where=str(given), fix="check the path")
    with collector_off():
        return _close_up(given, _read(file), root, strip, dequantize)


def _read(file: Unread) -> Contents:
    form = recognised(file, targets=False)
    if form is not None:
        contents = form.read(file)
        return replace(contents, kind=contents.kind or form.name)
    if not file.is_folder:
        if shards.looks_like_index(file.head):
            return _join(shards.read_index(file.place, file.blob))
        raise unknown(file)
    if sentence_transformers.LIST in file.names:
        modules = sentence_transformers.read(file.place)
        if sentence_transformers.are_joined(modules):
            sentence_transformers.demand_weights(file.place, modules)
            return _gather(modules)
    return _read_part(shards.in_folder(file.place))


def _read_part(part: Location | shards.Shards) -> Contents:
    """The contents of what a folder or a list names: one file, or the shards of one checkpoint."""
    return _join(part) if isinstance(part, shards.Shards) else _read(Unread(part))


def _gather(modules: list[sentence_transformers.SentenceModule]) -> Contents:
    """The contents of all modules in one, each below its name."""
    tree: dict[str, Tree] = {}
    skipped: list[Skipped] = []
    peeled = [f"modules of sentence-transformers: {', '.join(map(str, modules))}"]
    titles: dict[str, None] = {}
    for module in modules:
        if module.weights is None:
            continue
        contents = _read_part(module.weights)
        titles[contents.format] = None
        state = Unwrapped(contents.tree, str(module), rooted=False)
        state.descend()
        tree |= {f"{module.prefix}{name}": node for name, node in state.flatten().items()}
        peeled += [f"{wrapper} of module {module.name}" for wrapper in state.peeled]
        passed = (*contents.skipped, *state.skipped)
        skipped += [replace(each, name=f"{module.prefix}{each.name}") for each in passed]
    return Contents(f"sentence-transformers {', '.join(titles)}", tree, tuple(skipped), tuple(peeled))


def _join(parts: shards.Shards) -> Contents:
    """The contents of all shards in one."""
    tree: dict[str, Tree] = {}
    skipped: list[Skipped] = []
    titles: dict[str, None] = {}
    problems: list[Problem] = []
    for name, expected in parts.files.items():
        file = Unread(parts.folder.child(name))
        form = recognised(file, targets=False)
        if form is None:
            raise unknown(file)
        contents = form.read(file)
        titles[contents.format] = None
        state = Unwrapped(contents.tree, file.place.name, rooted=False)
        state.descend()
        entries = state.flatten()
        skipped += state.skipped
        named = None if expected is None else [form.indexed(each) for each in expected]
        problems += shards.compare(parts.owner, name, named, list(entries))
        problems += [
            Problem("several shards hold one tensor", where=f"{key!r:.200} in {file.place.name}")
            for key in entries
            if key in tree
        ]
        tree |= entries
    if problems:
        raise CheckpointError(problems)
    return Contents(f"sharded {', '.join(titles)}", tree, tuple(skipped))


def _close_up(
    path: Path | str, contents: Contents, root: str | None, strip: Sequence[str], dequantize: bool
) -> Checkpoint:
    """Peel the wrappers, then make the records."""
    where = str(path)
    state_dict = Unwrapped(contents.tree, where)
    if root is None:
        state_dict.descend()
    elif root != WHOLE:
        state_dict.follow(root)
    state = Keys(state_dict.flatten(), where)
    state.strip(strip, isinstance(contents.tree, dict) and LIGHTNING_MARK in contents.tree)
    tensors, refusals = _records(state.entries, dequantize)
    if not tensors:
        raise CheckpointError(
            "no tensors in the checkpoint",
            where=where,
            found=refusals[0].reason if refusals else f"{describe(state_dict.tree)} {keys(state_dict.tree)}".strip(),
            fix=_way_out(refusals, state_dict.roots),
        )
    _demand_weights(where, contents.tree, tensors)
    skipped = (*contents.skipped, *state_dict.skipped, *state.skipped, *refusals)
    peeled = (*contents.peeled, *state_dict.peeled, *state.peeled)
    return Checkpoint(path, contents.format, tensors, peeled, skipped, contents.kind)


def _way_out(refusals: Sequence[Skipped], roots: Sequence[str]) -> str:
    """What to do where there is nothing to convert."""
    if refusals:
        return refusals[0].fix
    if roots:
        return f"say which dict is meant: root = '{roots[0]}' under [source]"
    return "load it where it was made and save model.state_dict()"


def _demand_weights(where: str, tree: Tree, tensors: dict[str, Tensor]) -> None:
    """Raise for a DeepSpeed ZeRO-3 file, whose weights lie cut up among the optimizer's files."""
    empty = [name for name, tensor in tensors.items() if not tensor.size]
    if empty and isinstance(tree, dict) and DEEPSPEED_MARK in tree:
        raise CheckpointError(
            "weights are not in this file: DeepSpeed ZeRO-3 keeps them in its optimizer files",
            where=where,
            found=f"{len(empty)} empty tensors: {', '.join(empty[:4])}",
            fix="run the zero_to_fp32.py that lies in the checkpoint's folder and convert its output",
        )


def _records(entries: dict[str, Tree], dequantize: bool) -> tuple[dict[str, Tensor], list[Skipped]]:
    tensors: dict[str, Tensor] = {}
    refusals: list[Skipped] = []
    problems: list[Problem] = []
    for name, node in entries.items():
        made = records.tensor(name, node) if type(node) is TensorView else _unusual(name, node, dequantize)
        if type(made) is Tensor:
            tensors[name] = made
        elif isinstance(made, Problem):
            problems.append(made)
        elif isinstance(made, Refused):
            refusals.append(Skipped(name, made.reason, made.code))
    if problems:
        raise CheckpointError(problems)
    return tensors, refusals


def _unusual(name: str, node: Tree, dequantize: bool) -> Tensor | Problem | Refused:
    if isinstance(node, NumpyArray):
        view = node.found or Refused("numpy array without data")
        return records.tensor(name, view) if isinstance(view, TensorView) else view
    if not isinstance(node, Quantized):
        return Refused(describe(node))
    if not dequantize:
        return Refused(QUANTIZED, SkipCode.QUANTIZED)
    from remap.opening.quantized import dequantize as as_float

    return as_float(name, node)
