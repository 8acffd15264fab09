"""Folders of sentence-transformers: ``modules.json`` lists modules in a row, each with a folder of its own."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, NamedTuple

from remap.errors import CheckpointError, Problem
from remap.formats.containers import json_unique
from remap.formats.folders import shards
from remap.formats.folders.shards import Shards
from remap.tensors.location import Location, is_outside

LIST = "modules.json"
MAX_LIST = 1 << 20
FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Names of a module's weights, in the order that the library looks for them."""
INNER = {"Transformer": "auto_model.", "MLMTransformer": "auto_model.", "CLIPModel": "model."}
"""Classes around a model of transformers, and the attribute that it is; newest versions call each ``model``."""
WITH_WEIGHTS = {
    *INNER,
    "Dense",
    "CNN",
    "LSTM",
    "LayerNorm",
    "WeightedLayerPooling",
    "WordEmbeddings",
    "WordWeights",
    "StaticEmbedding",
    "SparseStaticEmbedding",
    "SparseAutoEncoder",
    "Router",
}
"""Classes that have tensors, whatever their settings."""
MEANT = "or give the path of the one file of weights that is meant"


class SentenceModule(NamedTuple):
    """One module as the list has it, and where its weights lie: None where there are none."""

    name: str
    path: str
    kind: str
    weights: Location | Shards | None

    @property
    def prefix(self) -> str:
        """What the names of its tensors begin with in ``SentenceTransformer.state_dict()``."""
        return f"{self.name}.{INNER.get(self.kind, '')}"

    def __str__(self) -> str:
        if self.weights is None:
            return f"none of {self.name} ({self.kind})"
        if isinstance(self.weights, Shards):
            return f"{self.prefix} from {len(self.weights.files)} files in {self.path}"
        return f"{self.prefix} from {PurePosixPath(self.path) / self.weights.name.rpartition('/')[2]}"


def read(folder: Location) -> list[SentenceModule]:
    """The modules that a folder's list names.

    Raises:
        CheckpointError: The list is damaged, or names a module twice or outside of the folder.
    """
    entries = _entries(folder)
    paths = [PurePosixPath(entry["path"]).as_posix() for entry in entries]
    problems = [problem for path in paths if (problem := _misplaced(folder, path))]
    for what, values in (("name", [entry["name"] for entry in entries]), ("folder", paths)):
        twice = sorted({value for value in values if values.count(value) > 1})
        problems += [
            Problem(f"several modules have one {what}", where=f"{value!r:.200} in {_list(folder).name}")
            for value in twice
        ]
    if problems:
        raise CheckpointError(problems)
    return [
        SentenceModule(entry["name"], path, entry["type"].rpartition(".")[2], _weights(_below(folder, path)))
        for entry, path in zip(entries, paths, strict=True)
    ]


def are_joined(modules: list[SentenceModule]) -> bool:
    """Whether more than the first module has weights: its names alone are then not enough to tell them apart."""
    return any(module.weights is not None or module.kind in WITH_WEIGHTS for module in modules[1:])


def demand_weights(folder: Location, modules: list[SentenceModule]) -> None:
    """Raise for modules whose weights must lie in a file that is not there."""
    problems = [
        Problem(
            "module without its weights",
            where=f"{module.name} ({module.kind}) in {_list(folder).name}",
            expected=f"{FILES[0]} or {FILES[2]} in {_below(folder, module.path).name}",
            fix=f"fetch the missing file, {MEANT}",
        )
        for module in modules
        if module.weights is None and module.kind in WITH_WEIGHTS
    ]
    if problems:
        raise CheckpointError(problems)


def _list(folder: Location) -> Location:
    return folder.child(LIST)


def _below(folder: Location, path: str) -> Location:
    return folder if path == "." else folder.child(path)


def _entries(folder: Location) -> list[dict[str, Any]]:
    blob = _list(folder).blob()
    try:
        if blob.size > MAX_LIST:
            raise ValueError(f"more than {MAX_LIST} bytes")
        entries: Any = json_unique.decode(blob.read(0, blob.size))
        if type(entries) is not list or not entries or not all(map(_is_entry, entries)):
            raise ValueError("no list of modules, each with a name without dots, a path and a type")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            "cannot read the list of modules",
            where=blob.name,
            found=str(error),
            expected='[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, ...]',
            fix=f"fetch it again, {MEANT}",
        ) from error
    return entries


def _is_entry(entry: Any) -> bool:
    texts = [entry.get(key) for key in ("name", "path", "type")] if type(entry) is dict else [None]
    if not all(type(text) is str and text.isprintable() for text in texts):
        return False
    # a dot in a name would make names of tensors that another module can have too
    return bool(entry["name"]) and "." not in entry["name"]


def _misplaced(folder: Location, path: str) -> Problem | None:
    where = f"{path!r:.200} in {_list(folder).name}"
    outside = is_outside(path)
    reason = "" if outside else folder.escape(path)
    if outside or reason:
        return Problem("module outside of its folder", where=where, found=reason, fix="do not use this folder")
    return None


def _weights(folder: Location) -> Location | Shards | None:
    if not folder.exists():
        return None
    names = folder.names()
    usual = next((name for name in FILES if name in names), None)
    if usual is not None:
        return folder.child(usual)
    return shards.in_folder(folder) if any(name.endswith(shards.ENDINGS) for name in names) else None
