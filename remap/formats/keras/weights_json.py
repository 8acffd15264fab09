"""Keras's sharded weights: ``NAME.weights.json`` and ``NAME_00000.weights.h5`` ..., since Keras 3.10.

Every group of variables is in one shard and named as a plain string, shards are in the order in which Keras visits
them and named by its own pattern: what all versions read. Versions 3.10 to 3.15.0 do not notice a missing shard.
"""

from __future__ import annotations

import json
from pathlib import Path

from remap.errors import UsageError
from remap.formats.containers.hdf5 import Dataset, write_hdf5
from remap.formats.keras.weights_h5 import datasets_of, describe
from remap.writing.job import Job

SUFFIX = ".weights.json"


def write_weights_json(job: Job) -> None:
    """Write a plan in shards of at most ``max_shard_size`` gigabytes.

    Raises:
        UsageError: The model is not known, the size is none, or one group of variables alone is larger.
    """
    if not job.options.max_shard_size > 0:
        raise UsageError(
            "shards of no size",
            found=f"--max-shard-size {job.options.max_shard_size:g}",
            expected="gigabytes, more than 0",
        )
    base = job.out.name.removesuffix(SUFFIX)
    shards = _shards(_groups(datasets_of(job.plan)), job.options.max_shard_size)
    paths = [job.out.with_name(f"{base}_{number:05}.weights.h5") for number in range(len(shards))]
    places = {f"/{group}": path.name for shard, path in zip(shards, paths, strict=True) for group in shard}
    total = sum(dataset.assignment.nbytes for shard in shards for group in shard.values() for dataset in group)
    temporary = [job.create(path) for path in paths]
    index = job.create(job.out)
    for path, shard in zip(temporary, shards, strict=True):
        write_hdf5(path, [dataset for group in shard.values() for dataset in group], job.filler, describe)
    index.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2))


def load_line(job: Job) -> str:
    """The line that loads what was written."""
    return f"model.load_weights({job.quoted})  # Keras 3.10 or later"


DatasetGroups = dict[str, list[Dataset]]


def _groups(datasets: list[Dataset]) -> DatasetGroups:
    """Datasets by their group, copies in other groups as datasets of their own."""
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
