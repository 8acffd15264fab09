"""Which reader a file is for, by its first bytes and, in an archive, by what is in it."""

from __future__ import annotations

from collections.abc import Callable

from remap.errors import CheckpointError
from remap.formats import npz, safetensors
from remap.formats.containers import zipdir
from remap.formats.containers.zipdir import ZipEntry
from remap.formats.contents import Contents
from remap.formats.pytorch import torch_export, torch_legacy, torch_tar, torch_zip, torchscript
from remap.tensors.blob import Blob

HEAD = 512

_ARCHIVES: tuple[tuple[Callable[[dict[str, ZipEntry]], bool], Callable[[Blob, dict[str, ZipEntry]], Contents]], ...] = (
    (torchscript.looks_like, torchscript.read),
    (torch_export.looks_like, torch_export.read),
    (torch_zip.looks_like, torch_zip.read),
    (npz.looks_like, npz.read),
)

_FILES: tuple[tuple[Callable[[bytes], bool], Callable[[Blob], Contents]], ...] = (
    (lambda head: head.startswith(zipdir.MAGIC), lambda blob: _read_archive(blob)),
    (safetensors.looks_like, safetensors.read),
    (torch_legacy.looks_like, torch_legacy.read),
    (torch_tar.looks_like, torch_tar.read),
)

_GUESSES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file: Keras weights are the target side"),
    (b"version https://git-lfs", "a Git LFS pointer: run 'git lfs pull' to fetch the real file"),
    (b"<", "a web page or XML: the download went wrong"),
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"(\xb5/\xfd", "a zstd file: unpack it first"),
    (b"PK", "an empty or split zip archive"),
    (b"GGUF", "a GGUF file"),
    (b"model_checkpoint_path", "TensorFlow's list of checkpoints: give what one's .index and .data files start with"),
)


def read_blob(blob: Blob) -> Contents:
    """The contents of one file.

    Raises:
        CheckpointError: It is damaged or of no known format.
    """
    head = blob.read(0, min(blob.size, HEAD))
    for fits, read in _FILES:
        if fits(head):
            return read(blob)
    raise _unknown(blob, _guess(head))


def _read_archive(blob: Blob) -> Contents:
    entries = zipdir.read_directory(blob)
    for fits, read in _ARCHIVES:
        if fits(entries):
            return read(blob, entries)
    raise _unknown(blob, f"a zip archive of {', '.join(list(entries)[:8]) or 'nothing'}")


def _guess(head: bytes) -> str:
    if not head:
        return "an empty file"
    known = (label for magic, label in _GUESSES if head.startswith(magic))
    return next(known, f"a file that starts with {head[:8]!r}")


def _unknown(blob: Blob, found: str) -> CheckpointError:
    return CheckpointError(
        "not a checkpoint that can be read",
        where=blob.name,
        found=found,
        expected="a file of torch.save, torch.jit or torch.export, .safetensors, .npz, an index of shards, or a folder",
    )
