"""Keras's sharded weights: ``NAME.weights.json`` and ``NAME_00000.weights.h5`` ..., since Keras 3.10.

Every group of variables is in one shard and named as a plain string, shards are in the order in which Keras visits
them and named by its own pattern: what all versions read. Versions 3.10 to 3.15.0 do not notice a missing shard.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from remap.errors import CheckpointError, UsageError
from remap.formats.contents import Contents
from remap.formats.folders.shards import mapped
from remap.formats.format import FormatOptions, quoted
from remap.formats.keras.keras_h5 import open_keras_h5
from remap.formats.keras.weights_h5 import KerasWeights, datasets_of, describe
from remap.formats.sheet import Sheet, fixed_file
from remap.formats.unread import Unread
from remap.tensors.blob import Blob
from remap.tensors.location import listed_file
from remap.tensors.tensor import Skipped, Tensor

if TYPE_CHECKING:
    from remap.formats.containers.hdf5 import Dataset
    from remap.planning.plan import Plan

SUFFIX = ".weights.json"


class WeightsJson(KerasWeights):
    """An index and its shards."""

    name = "weights_json"
    title = "Keras weights in shards"
    suffixes = (SUFFIX,)
    settings = ("max_shard_size",)

    def recognise(self, file: Unread) -> bool:
        return file.name.endswith(SUFFIX) and file.exists and not file.is_folder

    def read(self, file: Unread) -> Contents:
        """The weights behind an index.

        Raises:
            CheckpointError: It is damaged, a shard is missing or lies elsewhere, or a dataset is in two.
        """
        names, folder = _shard_names(file.blob), file.place.parent()
        problems = [problem for name in names if (problem := listed_file(folder, name, file.blob.name))]
        if problems:
            raise CheckpointError(problems)
        tensors: dict[str, Tensor] = {}
        skipped: list[Skipped] = []
        for name in names:
            shard = open_keras_h5(file.place.name, folder.child(name).blob())
            twice = tensors.keys() & shard.keys()
            if twice:
                raise CheckpointError("a dataset lies in two shards", where=f"{min(twice)} of {file.blob.name}")
            tensors.update(shard)
            skipped += shard.skipped
        return Contents(f"Keras weights in {len(names)} shards", tensors, tuple(skipped))

    def lay_out(self, plan: Plan, out: Path, options: FormatOptions) -> Sheet:
        """Shards of at most ``max_shard_size`` gigabytes, then the index.

        Raises:
            UsageError: The model is not known, the size is none, or one group of variables alone is larger.
        """
        from remap.formats.containers.hdf5 import hdf5_file

        if not options.max_shard_size > 0:
            raise UsageError(
                "shards of no size",
                found=f"--max-shard-size {options.max_shard_size:g}",
                expected="gigabytes, more than 0",
            )
        base = out.name.removesuffix(SUFFIX)
        shards = _shards(_groups(datasets_of(plan)), options.max_shard_size)
        paths = [out.with_name(f"{base}_{number:05}.weights.h5") for number in range(len(shards))]
        places = {f"/{group}": path.name for shard, path in zip(shards, paths, strict=True) for group in shard}
        total = sum(dataset.assignment.nbytes for shard in shards for group in shard.values() for dataset in group)
        files = [
            hdf5_file(path, [dataset for group in shard.values() for dataset in group], describe)
            for path, shard in zip(paths, shards, strict=True)
        ]
        index = json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2)
        return Sheet((*files, fixed_file(out, index)))

    def load_lines(self, plan: Plan, out: Path, options: FormatOptions) -> str:
        return f"model.load_weights({quoted(out)})  # Keras 3.10 or later"


WEIGHTS_JSON = WeightsJson()

DatasetGroups = dict[str, "list[Dataset]"]


def _groups(datasets: list[Dataset]) -> DatasetGroups:
    """Datasets by their group, copies in other groups as datasets of their own."""
    from remap.formats.containers.hdf5 import Dataset

    groups: DatasetGroups = {}
    for dataset in datasets:
        for path in (dataset.path, *dataset.links):
            one = Dataset(path, dataset.assignment, dataset.dtype)
            groups.setdefault(str(Path(path).parent), []).append(one)
    return groups


def _shards(groups: DatasetGroups, gigabytes: float) -> list[DatasetGroups]:
    limit, shards, room = gigabytes * 1e9, list[DatasetGroups](), 0.0
    for group, datasets in groups.items():
        nbytes = sum(dataset.assignment.nbytes for dataset in datasets)
        if nbytes > limit:
            raise UsageError(
                "the variables of one layer do not fit a shard",
                where=group,
                found=f"{nbytes / 1e9:g} GB",
                expected=f"at most {gigabytes:g} GB",
                fix="choose a larger max_shard_size",
            )
        if nbytes > room or not shards:
            shards.append({})
            room = limit
        shards[-1][group] = datasets
        room -= nbytes
    return shards


def _shard_names(blob: Blob) -> list[str]:
    """The files that an index names: Keras 3.10 writes one for each group of variables, later ones a list."""
    values = mapped(blob).values()
    named = [name for value in values for name in (value if type(value) is list and value else [value])]
    if not all(type(name) is str for name in named):
        raise CheckpointError(
            "damaged index of Keras shards",
            where=blob.name,
            expected='{"weight_map": {"/layers/dense/vars": "NAME_00000.weights.h5"}}',
        )
    return list(dict.fromkeys(named))
