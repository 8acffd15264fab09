"""Checkpoints in several files: an index of either kind, or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from remap.errors import CheckpointError, Problem

INDEXES = ("*.safetensors.index.json", "*.bin.index.json", "*.index.json")
WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".pkl", ".npz")
MAX_INDEX = 1 << 28


def find_in_folder(folder: Path) -> Path:
    """The index of a folder, else its one checkpoint file.

    Raises:
        CheckpointError: There is nothing to read, or no saying what.
    """
    for pattern in INDEXES:
        indexes = sorted(folder.glob(pattern))
        if len(indexes) == 1:
            return indexes[0]
        if indexes:
            raise _ambiguous(folder, indexes)
    files = sorted(path for path in folder.iterdir() if path.suffix in WEIGHTS and path.is_file())
    if not files:
        raise CheckpointError(
            "no checkpoint in the folder",
            where=str(folder),
            expected=f"an index (*.index.json) or a file that ends in {', '.join(WEIGHTS)}",
        )
    if len(files) == 1:
        return files[0]
    raise _ambiguous(folder, files)


def _ambiguous(folder: Path, files: list[Path]) -> CheckpointError:
    return CheckpointError(
        "folder holds several checkpoints",
        where=str(folder),
        found=", ".join(path.name for path in files[:12]),
        fix="give the path of the file that is meant",
    )


def read_index(path: Path) -> dict[str, list[str]]:
    """From every shard that an index names to the tensors it should hold.

    Raises:
        CheckpointError: The index is damaged, or a shard is missing or lies outside of the index's folder.
    """
    weights = _weight_map(path)
    shards: dict[str, list[str]] = {}
    for name, shard in weights.items():
        shards.setdefault(shard, []).append(name)
    problems = [problem for shard in shards if (problem := _shard_problem(path, shard))]
    if problems:
        raise CheckpointError(problems)
    return shards


def _weight_map(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_size > MAX_INDEX:
            raise ValueError(f"more than {MAX_INDEX} bytes")
        index: Any = msgspec.json.decode(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError("cannot read the index", where=str(path), found=str(error)) from error
    weights = index.get("weight_map") if type(index) is dict else None
    if type(weights) is not dict or not all(type(shard) is str for shard in weights.values()):
        raise CheckpointError(
            "index has no usable weight_map", where=str(path), expected='{"weight_map": {tensor: file, ...}}'
        )
    return weights


def _shard_problem(index: Path, shard: str) -> Problem | None:
    where = f"{shard!r:.200} in {index}"
    folder = index.parent.resolve()
    if not shard or "\0" in shard or "\\" in shard or Path(shard).is_absolute() or ".." in Path(shard).parts:
        return Problem("index names a file outside of its folder", where=where, fix="do not use this index")
    try:
        target = (folder / shard).resolve()
    except (OSError, RuntimeError) as error:
        return Problem("shard cannot be found", where=where, found=str(error))
    if not target.is_relative_to(folder) and not _in_hub_cache(folder, target):
        return Problem("shard is a link to outside of the index's folder", where=where, found=str(target))
    if not target.is_file():
        return Problem("shard is missing", where=where, fix="fetch the missing file; an index needs all of its shards")
    return None


def _in_hub_cache(folder: Path, target: Path) -> bool:
    """Whether a link is one of the Hugging Face hub's cache: ``snapshots/REVISION/FILE`` to ``blobs/HASH``."""
    return folder.parent.name == "snapshots" and target.parent == folder.parent.parent / "blobs"


def compare(index: Path, shard: str, expected: list[str], found: list[str]) -> list[Problem]:
    """Where an index and one of its shards differ."""
    problems = [
        Problem("index names a tensor that its shard does not hold", where=f"{name!r:.200} in {shard} of {index}")
        for name in sorted(set(expected) - set(found))
    ]
    problems += [
        Problem("shard holds a tensor that the index does not name", where=f"{name!r:.200} in {shard} of {index}")
        for name in sorted(set(found) - set(expected))
    ]
    return problems
