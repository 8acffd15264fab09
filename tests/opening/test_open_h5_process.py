"""HDF5 files that crash the library, or would take all the memory there is: the process that reads them lives on."""

from __future__ import annotations

import lzma
import struct
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest

from remap.errors import CheckpointError
from remap.formats.keras import h5_process
from remap.formats.keras.h5_process import PROCESS, H5Process
from remap.opening.anything import open_weights
from remap.tensors.blob import BytesBlob

DAMAGED = sorted((Path(__file__).parent / "damaged_h5").iterdir())
NUMBERS = np.arange(12, dtype="f4").reshape(3, 4)


def sound(path):
    with h5py.File(path, "w") as file:
        file["a/vars/0"] = NUMBERS
        file.create_dataset("b/vars/0", data=NUMBERS, compression="gzip")
    return path


def assert_reads(path):
    found = open_weights(path)
    assert [tensor.array().tolist() for tensor in found.values()] == [NUMBERS.tolist()] * 2


@pytest.mark.parametrize("packed", DAMAGED, ids=lambda path: path.name)
@pytest.mark.parametrize("archive", [False, True])
def test_what_breaks_the_library_is_an_error(packed, archive, tmp_path):
    data = lzma.decompress(packed.read_bytes())
    path = tmp_path / "w.weights.h5"
    path.write_bytes(data)
    if archive:
        path = tmp_path / "w.keras"
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("model.weights.h5", data)
    started = time.process_time()
    with pytest.raises(CheckpointError, match=r"cannot read the HDF5 file(.|\n)*it is damaged"):
        open_weights(path)
    assert time.process_time() - started < 5
    assert_reads(sound(tmp_path / "sound.h5"))


def test_the_library_is_not_loaded_here(tmp_path):
    """Nor anything else of a file that it does not vouch for."""
    path = sound(tmp_path / "w.weights.h5")
    code = (
        "import sys\nfrom remap.opening.anything import open_weights\n"
        f"found = open_weights({str(path)!r})\nprint(len(found), [t.array().sum() for t in found.values()][0])\n"
        "print('h5py' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 66.0\nFalse\n"


def test_one_process_serves_all_files(tmp_path):
    sound(tmp_path / "w.h5")
    assert_reads(tmp_path / "w.h5")
    process = PROCESS._process
    for _ in range(3):
        assert_reads(tmp_path / "w.h5")
    (tmp_path / "cut.h5").write_bytes((tmp_path / "w.h5").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot read the HDF5 file"):
        open_weights(tmp_path / "cut.h5")
    assert PROCESS._process is process


def test_a_process_that_is_killed_is_begun_anew(tmp_path):
    sound(tmp_path / "w.h5")
    assert_reads(tmp_path / "w.h5")
    PROCESS._process.kill()
    PROCESS._process.wait()
    with pytest.raises(CheckpointError, match="cannot read the HDF5 file"):
        open_weights(tmp_path / "w.h5")
    assert_reads(tmp_path / "w.h5")


def test_it_ends_with_its_owner():
    code = "import time\nfrom remap.formats.keras.h5_process import PROCESS\nprint(PROCESS._running().pid, flush=True)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    limit = time.monotonic() + 20
    while time.monotonic() < limit and Path(f"/proc/{int(done.stdout)}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{int(done.stdout)}").exists()


def test_a_fork_has_its_own(tmp_path):
    sound(tmp_path / "w.h5")
    assert_reads(tmp_path / "w.h5")
    code = (
        "import os, sys\nfrom remap.opening.anything import open_weights\n"
        f"path = {str(tmp_path / 'w.h5')!r}\n"
        "first = open_weights(path)\nchild = os.fork()\n"
        "second = open_weights(path)\n"
        "assert all((first[name].array() == second[name].array()).all() for name in first)\n"
        "if child: sys.exit(os.waitpid(child, 0)[1])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_time_is_limited(tmp_path, monkeypatch):
    """A program that does nothing else."""
    program = tmp_path / "spin.py"
    real = h5_process.PROGRAM.read_text()
    assert "def listing(file: Any)" in real
    program.write_text(real.replace("    links: list[tuple[str, Any]] = []\n", "    while True: pass\n"))
    monkeypatch.setattr(h5_process, "PROGRAM", program)
    monkeypatch.setattr(h5_process, "SECONDS", 1)
    with pytest.raises(CheckpointError, match="came to no end"):
        H5Process().listing(BytesBlob(sound(tmp_path / "w.h5").read_bytes(), "here"))


def test_a_failure_of_the_file_is_told_as_it_is(tmp_path):
    class Gone(BytesBlob):
        def read(self, start, length):
            if start > 0:
                raise CheckpointError("the server says no", where="here")
            return super().read(start, length)

    with h5py.File(tmp_path / "w.h5", "w") as file:
        for number in range(2000):
            file[f"group {number}/vars/0"] = NUMBERS
    with pytest.raises(CheckpointError, match="the server says no"):
        PROCESS.listing(Gone((tmp_path / "w.h5").read_bytes(), "here"))
    assert_reads(sound(tmp_path / "sound.h5"))


def test_threads_take_turns(tmp_path):
    array = np.random.default_rng(0).normal(size=(300, 1000)).astype("f4")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for number in range(4):
            file.create_dataset(f"{number}", data=array + number, compression="gzip")
    found, wrong = open_weights(tmp_path / "w.h5"), []

    def read(name):
        if not np.array_equal(found[name].array(), array + int(name)):
            wrong.append(name)

    threads = [threading.Thread(target=read, args=(name,)) for name in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(threads) == 4
    assert wrong == []


def test_a_reader_that_is_left_in_the_middle(tmp_path):
    """The next question is answered all the same."""
    sound(tmp_path / "w.h5")
    blob = BytesBlob((tmp_path / "w.h5").read_bytes(), "here")
    pieces = PROCESS.read(blob, "b/vars/0", 48, 8, 48)
    assert np.frombuffer(next(pieces), "f4").tolist() == [0, 1]
    pieces.close()
    assert_reads(tmp_path / "w.h5")


TYPES = ["<f4", "<f2", "<f8", "<i4", "<u2", "?", "<c8"]


@pytest.mark.parametrize("dtype", TYPES)
def test_a_damaged_description_of_numbers_is_noticed(dtype, tmp_path):
    """Each bit of it, of a long one one a byte: none may give other numbers than the library does."""
    array = np.array([[1.5, 2.25, 3, 100]], "f8").astype(dtype)
    path = tmp_path / "w.weights.h5"
    with h5py.File(path, "w") as file:
        file["a"] = array
    whole = path.read_bytes()
    with h5py.File(path) as file:
        encoded = file["a"].id.get_type().encode()[2:]
    at = whole.find(encoded)
    assert at > 0
    seen = set()
    for place in range(at, at + len(encoded)):
        for bit in range(8) if len(encoded) < 40 else (place % 8,):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            path.write_bytes(data)
            try:
                found = open_weights(path)
            except CheckpointError as error:
                seen.add(error.problems[0].what)
                continue
            if "a" in found:
                with h5py.File(path) as file:
                    truth = file["a"][()]
                assert found["a"].dtype == truth.dtype.newbyteorder("<")
                assert found["a"].array().tobytes() == truth.astype(found["a"].dtype).tobytes(), (place - at, bit)
    assert seen


def test_bfloat16_and_flags_are_as_keras_writes_them(tmp_path):
    half = np.arange(4).astype(ml_dtypes.bfloat16)
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["half"] = half.view("V2")
        file["half"].attrs["dtype"] = "bfloat16"
        file["flags"] = np.array([True, False])
    found = open_weights(tmp_path / "w.weights.h5")
    assert found["half"].array().tolist() == half.tolist()
    assert found["flags"].array().tolist() == [True, False]


@pytest.mark.parametrize("name", [b"a\xff", b"\xed\xa0\x80", b"n" * 20_000, b"/".join([b"a"] * 600)])
def test_names_that_no_dataset_can_have(name, tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        links.set_create_intermediate_group(True)
        links.set_char_encoding(h5py.h5t.CSET_UTF8)
        h5py.h5d.create(file.id, name, h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((2,)), None, links)
    with pytest.raises(CheckpointError) as failure:
        open_weights(tmp_path / "w.h5")
    str(failure.value).encode()


def test_a_shape_that_no_array_can_have(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((0, 1 << 62)))
    with pytest.raises(CheckpointError, match="absurd shape"):
        open_weights(tmp_path / "w.h5")


def test_a_shard_free_list_that_loops(tmp_path):
    """The list of free places in a heap of names that points to itself."""
    path = sound(tmp_path / "w.h5")
    data = bytearray(path.read_bytes())
    at = data.find(b"HEAP")
    size, _, start = struct.unpack_from("<3Q", data, at + 8)
    struct.pack_into("<Q", data, at + 16, size - 16)
    struct.pack_into("<2Q", data, start + size - 16, size - 16, 16)
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="cannot read the HDF5 file"):
        open_weights(path)
