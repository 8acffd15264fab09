"""The same files on systems that lack a call: each missing one is simulated, and the output is the same."""

from __future__ import annotations

import errno
import mmap
import os
import stat

import h5py
import numpy as np
import pytest
from plans import numbers, plan_of
from safetensors.numpy import save_file

import remap
from remap.errors import WriteError
from remap.tensors import computed
from remap.tensors.computed import ComputedStorage
from remap.tensors.pwrite import write_all
from remap.writing.write import write


def arrays() -> dict[str, np.ndarray]:
    return {f"a/{name}": numbers((300, 400), np.dtype("f4"), number) for number, name in enumerate("bcd")}


def assert_written(path):
    with h5py.File(path) as file:
        for name, array in arrays().items():
            assert np.array_equal(file[f"a/{name}:0"][()], array)
    assert [other.name for other in path.parent.iterdir() if ".tmp" in other.name] == []


def test_without_pwrite(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "pwrite")
    write(plan_of(arrays(), tmp_path), tmp_path / "w.h5")
    assert_written(tmp_path / "w.h5")


def test_without_pwrite_a_short_write_goes_on(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "pwrite")
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:7]))
    with (tmp_path / "file").open("wb") as file:
        write_all(file.fileno(), bytes(range(100)), 50)
    assert (tmp_path / "file").read_bytes() == bytes(50) + bytes(range(100))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EBADF, errno.EINVAL])
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_where_a_folder_cannot_be_waited_for(call, number, tmp_path, monkeypatch):
    fail_for_folders(call, number, monkeypatch)
    write(plan_of(arrays(), tmp_path), tmp_path / "w.h5")
    assert_written(tmp_path / "w.h5")


def test_a_disk_that_fails_under_a_folder_is_told(tmp_path, monkeypatch):
    fail_for_folders("fsync", errno.EIO, monkeypatch)
    with pytest.raises(WriteError, match="cannot be written"):
        write(plan_of(arrays(), tmp_path), tmp_path / "w.h5")


def test_a_file_is_waited_for_by_a_handle_that_may_write(tmp_path, monkeypatch):
    """Windows refuses any other."""
    fcntl = pytest.importorskip("fcntl")
    waited = []

    def fsync(handle):
        if stat.S_ISREG(os.fstat(handle).st_mode):
            waited.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE)

    monkeypatch.setattr(os, "fsync", fsync)
    write(plan_of(arrays(), tmp_path), tmp_path / "w.h5")
    assert waited == [os.O_RDWR]


@pytest.mark.parametrize("error", [OSError, NotImplementedError])
def test_without_links_an_output_of_several_files_is_replaced(error, tmp_path, monkeypatch):
    def link(*names, **options):
        raise error("no links")

    monkeypatch.setattr(os, "link", link)
    for _ in range(2):
        write(plan_of(arrays(), tmp_path), tmp_path / "w.ckpt", force=True)
    names = sorted(path.name for path in tmp_path.glob("*w.ckpt*"))
    assert names == ["w.ckpt.data-00000-of-00001", "w.ckpt.index"]


def test_without_madvise_tensors_are_read_and_released(tmp_path, monkeypatch):
    for name in [name for name in dir(mmap) if name.startswith("MADV_")]:
        monkeypatch.delattr(mmap, name)
    monkeypatch.setattr(computed, "IN_MEMORY", 0)
    save_file(arrays(), tmp_path / "a.safetensors")
    for name, tensor in remap.open_checkpoint(tmp_path / "a.safetensors").items():
        assert np.array_equal(tensor.array(), arrays()[name])
        tensor.storage.drop_pages()
        tensor.storage.release()
    storage = ComputedStorage(4, "somewhere", lambda put: put(0, b"1234"))
    assert storage.map().tobytes() == b"1234"
    storage.drop_pages()
    assert storage.map().tobytes() == b"1234"


def fail_for_folders(call, number, monkeypatch):
    real = getattr(os, call)

    def failing(what, *rest, **options):
        folder = stat.S_ISDIR(os.fstat(what).st_mode) if call == "fsync" else os.path.isdir(what)  # noqa: PTH112
        if folder:
            raise OSError(number, os.strerror(number))
        return real(what, *rest, **options)

    monkeypatch.setattr(os, call, failing)
