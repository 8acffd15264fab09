"""``torch.export`` archives (``.pt2``): raw weights and a JSON table of them, or in older ones a torch file inside.

Layout: https://docs.pytorch.org/docs/stable/export/pt2_archive.html
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from remap.errors import CheckpointError
from remap.formats.containers import zipdir
from remap.formats.containers.zipdir import ZipEntry, read_entry
from remap.formats.contents import Contents, stored
from remap.formats.format import Format
from remap.formats.pytorch import torch_zip
from remap.formats.tree import Refused, Tree
from remap.formats.unread import Unread
from remap.tensors.blob import Blob, PartBlob
from remap.tensors.dtypes import dtype_of
from remap.tensors.tensor import Skipped

WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
OLDER = ("data/weights/model.pt", "serialized_state_dict.pt")
MAX_TABLE = 1 << 28

# torch/_export/serde/schema.py, ScalarType
_DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    10: "complex64",
    11: "complex128",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
    29: "float8_e4m3fn",
    30: "float8_e5m2",
    34: "uint32",
    35: "uint64",
}


class TorchExport(Format):
    """What ``torch.export.save`` writes."""

    name = "torch_export"
    title = "torch export"

    def recognise(self, file: Unread) -> bool:
        return any(name.endswith((WEIGHTS, *OLDER)) for name in file.entries)

    def read(self, file: Unread) -> Contents:
        return read(file.blob, file.entries)


TORCH_EXPORT = TorchExport()


def read(blob: Blob, entries: dict[str, ZipEntry]) -> Contents:
    """The contents of an exported program's archive.

    Raises:
        CheckpointError: It is damaged or hostile.
    """
    older = [name for name in entries if name.endswith(OLDER)]
    if older:
        return Contents(TORCH_EXPORT.title, _nested(blob, entries, older[0]))
    root = next(name for name in entries if name.endswith(WEIGHTS))[: -len(WEIGHTS)]
    torch_zip.check_byte_order(blob, entries, root)
    folder = WEIGHTS.rpartition("/")[0]
    tree = {
        name: _weight(blob, entries, f"{root}{folder}/", name, info)
        for name, info in _table(blob, entries, root + WEIGHTS).items()
    }
    constants = _table(blob, entries, root + CONSTANTS) if root + CONSTANTS in entries else {}
    skipped = tuple(Skipped(name, "constant of the exported program, not in its state_dict") for name in constants)
    return Contents(TORCH_EXPORT.title, tree, skipped)


def _table(blob: Blob, entries: dict[str, ZipEntry], name: str) -> dict[str, Any]:
    try:
        table: Any = msgspec.json.decode(read_entry(blob, name, entries[name], MAX_TABLE))
    except (ValueError, RecursionError) as error:
        raise CheckpointError("damaged table of weights", where=f"{name} in {blob.name}", found=str(error)) from error
    config = table.get("config") if type(table) is dict else None
    if type(config) is not dict:
        raise CheckpointError("damaged table of weights", where=f"{name} in {blob.name}")
    return config


def _weight(blob: Blob, entries: dict[str, ZipEntry], folder: str, name: str, info: Any) -> Tree:
    try:
        path, meta = f"{folder}{info['path_name']}", info["tensor_meta"]
        code = meta["dtype"]
        size, stride = (tuple(number["as_int"] for number in meta[key]) for key in ("sizes", "strides"))
        offset = meta["storage_offset"]["as_int"]
        if info["use_pickle"]:
            return _nested(blob, entries, path)
        dtype = dtype_of(_DTYPES[code]) if code in _DTYPES else None
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            "damaged table of weights", where=f"{name!r:.200} in {blob.name}", found=str(error)
        ) from error
    if dtype is None:
        return Refused(f"tensor of torch.export type {code}, which is not supported")
    storage = torch_zip.entry_storage(blob, path, entries)
    if storage is None:
        raise CheckpointError("exported weight is missing", where=f"{path} in {blob.name}", expected=f"{name!r:.200}")
    return stored(storage, np.dtype(dtype), (), path)._replace(offset=offset, size=size, stride=stride)


def _nested(blob: Blob, entries: dict[str, ZipEntry], name: str) -> Tree:
    entry = entries.get(name)
    if entry is None or entry.method != zipdir.STORED or entry.encrypted:
        raise CheckpointError(
            "torch file inside of the archive is missing or compressed", where=f"{name} in {blob.name}"
        )
    inner = PartBlob(blob, zipdir.locate(blob, name, entry), entry.nbytes, name)
    return torch_zip.read(inner, zipdir.read_directory(inner)).tree
