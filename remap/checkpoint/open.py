"""Opening a checkpoint: from a path to named tensors, by what the file is and not by what it is called."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from remap.checkpoint import safetensors, shards, torch_zip, zipdir
from remap.checkpoint.blob import Blob, FileBlob
from remap.checkpoint.contents import Contents, refused, tensor
from remap.checkpoint.prefixes import Keys
from remap.checkpoint.roots import Found, keys
from remap.checkpoint.tensor import Checkpoint, Skipped, Tensor
from remap.checkpoint.tree import Quantized, Tree, View, describe
from remap.errors import CheckpointError, Problem

WHOLE = "."
LIGHTNING_MARK = "pytorch-lightning_version"


def open_checkpoint(path: str | Path, *, root: str | None = None, strip: Sequence[str] = ()) -> Checkpoint:
    """The tensors of a checkpoint by state_dict key, from headers alone.

    Args:
        path: A file of any supported format, an index of shards, or a folder.
        root: Dotted key of the dict that holds the state_dict, ``"."`` for the whole file with nested keys joined;
            known wrappers are recognised if None.
        strip: Regular expressions of prefixes to take off the keys, in turn; known ones are recognised if empty.

    Raises:
        CheckpointError: It is missing, damaged, hostile, of no known format or ambiguous.
        UsageError: ``root`` or ``strip`` is wrong.

    >>> open_checkpoint("no/such/file.pt")
    Traceback (most recent call last):
        ...
    remap.errors.CheckpointError: no such checkpoint
      at no/such/file.pt
      fix: check the path
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError("no such checkpoint", where=str(path), fix="check the path")
    with _no_collection():
        target = shards.find_in_folder(path) if path.is_dir() else path
        contents = _read_index(target) if target.suffix == ".json" else read_blob(FileBlob(target))
        return _close_up(path, contents, root, strip)


@contextmanager
def _no_collection() -> Iterator[None]:
    # Headers make very many objects and no cycles: the collector would take a third of the time and find nothing.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_blob(blob: Blob) -> Contents:
    """The contents of one file.

    Raises:
        CheckpointError: It is damaged or of no known format.
    """
    head = blob.read(0, min(blob.size, 512))
    for fits, read in _FORMATS:
        if fits(head):
            return read(blob)
    raise CheckpointError(
        "not a checkpoint that can be read",
        where=blob.name,
        found=_guess(head),
        expected="a torch .pt, .safetensors, an index of shards or a folder of one",
    )


def _read_zip(blob: Blob) -> Contents:
    return torch_zip.read(blob, zipdir.read_directory(blob))


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[Blob], Contents]], ...] = (
    (lambda head: head.startswith(zipdir.MAGIC), _read_zip),
    (safetensors.looks_like, safetensors.read),
)

_GUESSES = (
    (b"", "an empty file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file: Keras weights are the target side"),
    (b"version https://git-lfs", "a Git LFS pointer: run 'git lfs pull' to fetch the real file"),
    (b"<", "a web page or XML: the download went wrong"),
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"(\xb5/\xfd", "a zstd file: unpack it first"),
    (b"GGUF", "a GGUF file"),
)


def _guess(head: bytes) -> str:
    for magic, label in _GUESSES:
        if head.startswith(magic) and (magic or not head):
            return label
    return f"a file that starts with {head[:8]!r}"


def _read_index(path: Path) -> Contents:
    tree: dict[str, Tree] = {}
    skipped: list[Skipped] = []
    formats: dict[str, None] = {}
    problems: list[Problem] = []
    for shard, expected in shards.read_index(path).items():
        contents = read_blob(FileBlob(path.parent / shard))
        formats[contents.format] = None
        found = Found(contents.tree, str(path.parent / shard))
        found.descend()
        entries = found.flatten()
        skipped += found.skipped
        problems += shards.compare(path, shard, expected, list(entries))
        tree |= entries
    if problems:
        raise CheckpointError(problems)
    return Contents(f"sharded {', '.join(formats)}", tree, tuple(skipped))


def _close_up(path: Path, contents: Contents, root: str | None, strip: Sequence[str]) -> Checkpoint:
    """Peel the wrappers, then make the records."""
    where = str(path)
    found = Found(contents.tree, where)
    if root is None:
        found.descend()
    elif root != WHOLE:
        found.follow(root)
    state = Keys(found.flatten(), where)
    if strip:
        state.strip_patterns(strip)
    else:
        state.strip_known(isinstance(contents.tree, dict) and LIGHTNING_MARK in contents.tree)
    tensors, refusals = _records(state.entries)
    if not tensors:
        raise CheckpointError(
            "no tensors in the checkpoint",
            where=where,
            found=refusals[0].reason if refusals else f"{describe(found.tree)} {keys(found.tree)}".strip(),
            fix="load it where it was made and save model.state_dict()",
        )
    peeled = (*contents.peeled, *found.peeled, *state.peeled)
    return Checkpoint(
        path, contents.format, tensors, peeled, (*contents.skipped, *found.skipped, *state.skipped, *refusals)
    )


def _records(entries: dict[str, Tree]) -> tuple[dict[str, Tensor], list[Skipped]]:
    tensors: dict[str, Tensor] = {}
    refusals: list[Skipped] = []
    problems: list[Problem] = []
    for name, node in entries.items():
        made = tensor(name, node) if type(node) is View else None
        if type(made) is Tensor:
            tensors[name] = made
        elif type(made) is Problem:
            problems.append(made)
        else:
            quantized = "quantised tensor" if isinstance(node, Quantized) else ""
            refusals.append(Skipped(name, quantized or refused(node)))
    if problems:
        raise CheckpointError(problems)
    return tensors, refusals
