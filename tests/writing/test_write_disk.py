"""What is asked of Linux for large files, and that files are written without it."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

import h5py
import numpy as np
import pytest
from plans import numbers, plan_of

from remap.errors import RemapError
from remap.writing import disk
from remap.writing.write import write

linux = pytest.mark.skipif(sys.platform != "linux", reason="calls of Linux")


@linux
def test_blocks_are_set_aside_and_the_size_stays(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    handle = os.open(path, os.O_WRONLY)
    disk.reserve(handle, 0, 1_000_000)
    os.close(handle)
    assert path.stat().st_size == 1
    assert path.stat().st_blocks * 512 >= 1_000_000


def _failing(number: int):
    def call(*arguments: int) -> int:
        ctypes.set_errno(number)
        return -1

    return lambda *names: call


def test_a_disk_that_is_full_is_told_before_a_byte_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "_function", _failing(errno.ENOSPC))
    with pytest.raises(RemapError, match="No space left"):
        write(plan_of({"a/b": numbers((30, 40), np.dtype("f4"), 0)}, tmp_path), tmp_path / "w.h5")
    assert not list(tmp_path.glob("*w.h5*"))


@pytest.mark.parametrize("function", [_failing(errno.EOPNOTSUPP), lambda *names: None])
def test_a_system_without_the_calls_writes_the_same(function, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "_function", function)
    monkeypatch.setattr(disk, "START_BYTES", 1000)
    array = numbers((300, 400), np.dtype("f4"), 0)
    write(plan_of({"a/b": array}, tmp_path), tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert np.array_equal(file["a/a/b:0"][()], array)


def test_large_datasets_begin_at_a_page(tmp_path):
    arrays = {f"a/{name}": numbers((300, 400), np.dtype("f4"), number) for number, name in enumerate("bcd")}
    write(plan_of(arrays, tmp_path), tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert [file[f"a/{name}:0"].id.get_offset() % 4096 for name in arrays] == [0, 0, 0]
