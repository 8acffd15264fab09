"""Checkpoints in several files: an index of either kind, numbered shards, or a folder of one of these."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from remap.errors import CheckpointError, Problem
from remap.formats.containers import json_unique
from remap.tensors.blob import Blob
from remap.tensors.location import Location, listed_file

INDEX = ".index.json"
WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".pkl", ".npz", ".pt2", ".jit", ".tar")
FLAX = ".msgpack"
"""Published beside the files of PyTorch, which are taken where there are both."""
ENDINGS = (*WEIGHTS, FLAX, INDEX)
NUMBERED = re.compile(r"(.*?)[-_.]?0*(\d+)-of-0*(\d+)(\..+)")
DEEPSPEED = re.compile(r"mp_rank_\d+_model_states\.pt")
DEEPSPEED_LATEST = "latest"
MAX_INDEX = 1 << 28


class Shards(NamedTuple):
    """The files of one checkpoint: from each to the tensors it should hold, None where nothing says so."""

    owner: str
    folder: Location
    files: dict[str, list[str] | None]


def in_folder(folder: Location) -> Location | Shards:
    """What a folder holds: its index, its one checkpoint file, or its numbered shards.

    Raises:
        CheckpointError: There is nothing to read, or no saying what.
    """
    names = folder.names()
    if DEEPSPEED_LATEST in names:
        return _latest(folder)
    indexes = [name for name in names if name.endswith(INDEX)]
    if indexes:
        return folder.child(_single(folder, indexes))
    states = [name for name in names if DEEPSPEED.fullmatch(name)]
    kinds = ([name for name in names if name.endswith(endings)] for endings in (WEIGHTS, FLAX))
    files = states or next(filter(None, kinds), [])
    if not files:
        raise CheckpointError(
            "no checkpoint in the folder",
            where=folder.name,
            expected=f"an index (*{INDEX}) or a file that ends in {', '.join((*WEIGHTS, FLAX))}",
        )
    numbered = {name: match for name in files if (match := NUMBERED.fullmatch(name))}
    if len(files) > 1 and len(numbered) == len(files):
        return Shards(folder.name, folder, _complete(folder, numbered))
    return folder.child(_single(folder, files))


def _latest(folder: Location) -> Location | Shards:
    """The newest step of a DeepSpeed folder, which a small text file names."""
    blob = folder.child(DEEPSPEED_LATEST).blob()
    name = blob.read(0, min(blob.size, 200)).decode("utf-8", "replace").strip()
    if problem := listed_file(folder, name, blob.name):
        raise CheckpointError(problem)
    return in_folder(folder.child(name))


def _single(folder: Location, names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    raise CheckpointError(
        "folder holds several checkpoints",
        where=folder.name,
        found=", ".join(names[:12]),
        fix="give the path of the file that is meant",
    )


def _complete(folder: Location, numbered: dict[str, re.Match[str]]) -> dict[str, list[str] | None]:
    """All shards of the one set there is, none missing."""
    sets = {(match[1], match[3], match[4]) for match in numbered.values()}
    if len(sets) > 1:
        _single(folder, list(numbered))
    numbers = sorted(int(match[2]) for match in numbered.values())
    count = int(next(iter(sets))[1])
    first = 0 if numbers[0] == 0 else 1
    expected = range(first, first + min(count, len(numbers) + 1000))
    missing = sorted(set(expected) - set(numbers))
    if missing or len(numbers) != count:
        raise CheckpointError(
            "shards are missing or too many",
            where=folder.name,
            found=f"{len(numbers)} of {count}" + (f", without number {missing[0]}" if missing else ""),
            fix="fetch the missing file; take away what does not belong",
        )
    return dict.fromkeys(numbered)


def looks_like_index(head: bytes) -> bool:
    """Whether a file that starts with these bytes is JSON and no binary file that begins with a brace."""
    return head.lstrip()[:1] == b"{" and b"\0" not in head[:8]


def read_index(place: Location, blob: Blob) -> Shards:
    """The shards that an index names.

    Raises:
        CheckpointError: The index is damaged, or a shard is missing or lies outside of the index's folder.
    """
    files: dict[str, list[str] | None] = {}
    for name, shard in _weight_map(blob).items():
        names = files.setdefault(shard, [])
        assert names is not None
        names.append(name)
    folder = place.parent()
    problems = [problem for shard in files if (problem := listed_file(folder, shard, place.name))]
    if problems:
        raise CheckpointError(problems)
    return Shards(place.name, folder, files)


def _weight_map(blob: Blob) -> dict[str, str]:
    weights = mapped(blob)
    if not all(type(shard) is str for shard in weights.values()):
        raise _unusable(blob)
    return weights


def mapped(blob: Blob) -> dict[str, Any]:
    """The ``weight_map`` of an index.

    Raises:
        CheckpointError: The index is damaged or has none.
    """
    try:
        if blob.size > MAX_INDEX:
            raise ValueError(f"more than {MAX_INDEX} bytes")
        index: Any = json_unique.decode(blob.read(0, blob.size))
    except (ValueError, RecursionError) as error:
        raise CheckpointError("cannot read the index", where=blob.name, found=str(error)) from error
    weights = index.get("weight_map") if type(index) is dict else None
    if type(weights) is not dict:
        raise _unusable(blob)
    return weights


def _unusable(blob: Blob) -> CheckpointError:
    return CheckpointError(
        "index has no usable weight_map", where=blob.name, expected='{"weight_map": {tensor: file, ...}}'
    )


def compare(owner: str, shard: str, expected: list[str] | None, held: list[str]) -> list[Problem]:
    """Where an index and one of its shards differ."""
    if expected is None:
        return []
    problems = [
        Problem("index names a tensor that its shard does not hold", where=f"{name!r:.200} in {shard} of {owner}")
        for name in sorted(set(expected) - set(held))
    ]
    problems += [
        Problem("shard holds a tensor that the index does not name", where=f"{name!r:.200} in {shard} of {owner}")
        for name in sorted(set(held) - set(expected))
    ]
    return problems
