"""A sheet is data: whoever has it can fill it, and it says of every byte to whom it belongs."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest
from plans import h5_target, numbers, plan_of

from remap.formats.format import FormatOptions
from remap.formats.output import output_format
from remap.writing.write import write

NAMES = ["w.safetensors", "w.npz", "w.ckpt", "w.h5", "w.weights.h5", "w.weights.json"]


@pytest.fixture
def planned(tmp_path):
    arrays = {f"l{number}/kernel": numbers((40, 30), np.dtype("f4"), number) for number in range(12)}
    arrays |= {"a/empty": np.empty((0, 4), "f4"), "a/half": numbers((7,), np.dtype(ml_dtypes.bfloat16), 3)}
    target = h5_target({name: array.shape for name, array in arrays.items()})
    return plan_of(arrays, tmp_path, target), arrays


def laid_out(plan, out: Path, **options):
    return output_format(out).lay_out(plan, out, FormatOptions(**options))


def spans(file):
    """The ranges of what is known of a file, as (start, stop)."""
    ranges = [(region.offset, region.offset + region.nbytes) for region in file.regions if region.nbytes]
    return sorted(ranges + [(piece.offset, piece.offset + len(piece.data)) for piece in file.fixed])


@pytest.mark.parametrize("name", NAMES)
def test_no_byte_belongs_to_two(name, planned, tmp_path):
    options = {"max_shard_size": 2e-5} if name.endswith("json") else {}
    sheet = laid_out(planned[0], tmp_path / name, **options)
    assert len(sheet.files) >= (4 if name.endswith("json") else 1)
    assert sheet.nbytes == sum(region.nbytes for file in sheet.files for region in file.regions)
    for file in sheet.files:
        ranges = spans(file)
        assert all(stop <= start for (_, stop), (start, _) in pairwise(ranges))
        assert all(0 <= start < stop <= file.size for start, stop in ranges)


def fill(sheet) -> list[bytes]:
    """A sheet filled as its words say, by the plainest means."""
    files = [bytearray(file.size) for file in sheet.files]
    for data, file in zip(files, sheet.files, strict=True):
        for piece in file.fixed:
            data[piece.offset : piece.offset + len(piece.data)] = piece.data
        for region in file.regions:
            array = region.assignment.value.array().astype(region.dtype)
            data[region.offset : region.offset + region.nbytes] = array.tobytes()
        if file.closing is not None:
            for piece in file.closing.pieces(lambda number, start, count: bytes(files[number][start : start + count])):
                data[piece.offset : piece.offset + len(piece.data)] = piece.data
        assert len(data) == file.size
    return [bytes(data) for data in files]


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz", "w.ckpt"])
def test_filled_by_hand_it_is_what_the_engine_writes(name, planned, tmp_path):
    written = write(planned[0], tmp_path / name)
    assert fill(laid_out(planned[0], tmp_path / name)) == [path.read_bytes() for path in written.paths]


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5"])
def test_hdf5_filled_by_hand_is_read_by_its_library(name, planned, tmp_path):
    plan, arrays = planned
    (data,) = fill(laid_out(plan, tmp_path / name))
    (tmp_path / "by_hand.h5").write_bytes(data)
    read = {}
    with h5py.File(tmp_path / "by_hand.h5") as file:
        file.visititems(lambda path, item: read.update({path: item[()]}) if isinstance(item, h5py.Dataset) else None)
    assert len(read) == len(arrays)
    for path, array in arrays.items():
        stored = read[f"{path}/vars/0" if name == "w.weights.h5" else f"{path.partition('/')[0]}/{path}:0"]
        assert stored.shape == array.shape
        wanted = (
            array.view("V2") if name == "w.weights.h5" and array.dtype.itemsize == 2 else array.astype(stored.dtype)
        )
        assert stored.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_it_survives_being_pickled(name, planned, tmp_path):
    sheet = laid_out(planned[0], tmp_path / name)
    assert fill(pickle.loads(pickle.dumps(sheet))) == fill(sheet)
