"""What a file is that no format reads, as far as its first bytes tell."""

from __future__ import annotations

from remap.errors import CheckpointError
from remap.formats.containers import zipdir
from remap.formats.unread import Unread

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


def unknown(file: Unread) -> CheckpointError:
    """The error for a file that no format reads."""
    return CheckpointError(
        "not a checkpoint that can be read",
        where=file.blob.name,
        found=_guess(file),
        expected="a file of torch.save, torch.jit or torch.export, .safetensors, .npz, Flax's .msgpack, an index "
        "of shards, or a folder",
    )


def _guess(file: Unread) -> str:
    if not file.head:
        return "an empty file"
    if file.head.startswith(zipdir.MAGIC):
        return f"a zip archive of {', '.join(list(file.entries)[:8]) or 'nothing'}"
    known = (label for magic, label in _GUESSES if file.head.startswith(magic))
    return next(known, f"a file that starts with {file.head[:8]!r}")
