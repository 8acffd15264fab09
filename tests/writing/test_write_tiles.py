"""Tensors larger than what is mapped at a time: cut into boxes, read in groups, the numbers all the same."""

from __future__ import annotations

import itertools

import h5py
import numpy as np
import pytest
from plans import numbers, plan_of, reversing, tensors_in

from remap.layout import copy as blocks
from remap.layout import tiles as engine
from remap.layout.copy import copy
from remap.layout.recipe import Piece, Recipe, View
from remap.layout.tiles import Value, tiles
from remap.tensors import pwrite
from remap.writing import disk, fill
from remap.writing.write import write

SHAPES = [(300, 500), (40, 3, 50, 60), (500_000,), (1, 700, 1, 300), (3, 3, 128, 200), (2, 200_000)]


@pytest.fixture
def small(monkeypatch):
    """Everything a thousand times smaller."""
    monkeypatch.setattr(engine, "MAPPED_BYTES", 64 * 1024)
    monkeypatch.setattr(engine, "FAULT_BYTES", 4096)
    monkeypatch.setattr(engine, "RUN", 64)
    monkeypatch.setattr(engine, "LARGE_RUN", 256)
    monkeypatch.setattr(fill, "TILE_BYTES", 32 * 1024)
    monkeypatch.setattr(pwrite, "WRITE_BYTES", 1000)
    monkeypatch.setattr(disk, "START_BYTES", 10_000)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2048)


@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_cover_a_variable_once(shape, small, tmp_path):
    array = numbers(shape, np.dtype("f4"), 0)
    value = reversing(tensors_in(tmp_path / "a", {"x": array})["x"])
    found = np.zeros(shape, int)
    for tile in tiles(value.recipe, 32 * 1024):
        found[tuple(slice(a, b) for a, b in zip(tile.start, tile.stop, strict=True))] += 1
    assert found.min() == found.max() == 1
    assert len(tiles(value.recipe, 32 * 1024)) >= array.nbytes // (40 * 1024)


def test_large_tensors_are_written_right(small, tmp_path):
    arrays = {f"a/{number}": numbers(shape, np.dtype("f4"), number) for number, shape in enumerate(SHAPES)}
    arrays["b/half"] = numbers((400, 300), np.dtype("f2"), 9)
    write(plan_of(arrays, tmp_path, dtypes={"b/half": "float32"}), tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        for name, array in arrays.items():
            assert np.array_equal(file[f"{name[0]}/{name}:0"][()], array), name


def test_large_stacks_and_sums(small, tmp_path):
    arrays = {str(number): numbers((60, 70), np.dtype("f4"), number) for number in range(10)}
    sources = tuple(tensors_in(tmp_path / "a", arrays).values())
    views = [View(number, 0, (70, 60), (60, 1)).permute((1, 0)) for number in range(10)]
    stack = tuple(Piece(view.insert(0), (number, 0, 0)) for number, view in enumerate(views))
    stacked = Value(Recipe((10, 60, 70), (10, 60, 70), np.dtype("f4"), (stack,)), sources)
    assert np.array_equal(joined(stacked), np.stack(list(arrays.values())))
    terms = tuple((Piece(view, (0, 0)),) for view in views)
    summed = Value(Recipe((60, 70), (60, 70), np.dtype("f4"), terms, scale=2.0), sources)
    assert np.allclose(joined(summed), 2 * sum(arrays.values()), rtol=1e-6)


def joined(value):
    found = np.empty(value.recipe.shape, value.recipe.dtype)
    for tile in tiles(value.recipe, 8 * 1024):
        found[tuple(slice(a, b) for a, b in zip(tile.start, tile.stop, strict=True))] = value.render(tile)
    return found


@pytest.mark.parametrize("dtype", ["u1", "f2", "f4", "f8", "c16"])
def test_copies_are_exact_for_every_order_of_axes(dtype, small):
    for shape in ((70, 90), (6, 33, 17), (5, 4, 3, 70), (64, 3, 3, 64)):
        source = numbers(shape, np.dtype(dtype), 1)
        for order in itertools.permutations(range(len(shape))):
            for view in (source.transpose(order), source.transpose(order)[::-1], source.transpose(order)[..., ::2]):
                found = np.zeros(view.shape, dtype)
                copy(found, view)
                assert np.array_equal(found, view)
