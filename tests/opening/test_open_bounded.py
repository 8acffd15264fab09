"""What a hostile file may cost: a small multiple of its size, and a constant, in memory and time."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hostile_files import KINDS, safetensors

from remap.errors import CheckpointError
from remap.formats.pickles import state
from remap.opening.anything import open_weights
from remap.opening.open import open_checkpoint
from remap.tensors import names

pytestmark = pytest.mark.no_cover  # the same roads thousands of times, so that counting lines doubles their time

MEMORY, MEMORY_PER_BYTE = 200_000, 0.06
"""Kilobytes, and kilobytes for each byte of the file."""
OTHER_PROCESS = 400_000
"""Kilobytes of the process that reads HDF5, interpreter and all."""
SECONDS, SECONDS_PER_BYTE = 6.0, 1.5e-6
"""Of a processor; a pickle of its most operations takes some."""
ADDRESS_SPACE = 4 << 30
_HEADER = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}"

READ = """
import json, resource, sys
from pathlib import Path
from remap.errors import RemapError
from remap.formats.keras.h5_process import PROCESS
from remap.opening.anything import open_weights
import h5py, numpy
resource.setrlimit(resource.RLIMIT_AS, ({space}, {space}))
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
def kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
Path("/proc/self/clear_refs").write_text("5")
used = resource.getrusage(resource.RUSAGE_SELF)
before, started = kilobytes("VmRSS:"), used.ru_utime + used.ru_stime
try:
    for tensor in open_weights(sys.argv[1]).values():
        tensor.array().tobytes()
    said = "read"
except RemapError as error:
    said = str(error)
grown = kilobytes("VmHWM:") - before
PROCESS._end()
used, other = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
seconds = used.ru_utime + used.ru_stime - started + other.ru_utime + other.ru_stime
print(json.dumps([said, seconds, grown, other.ru_maxrss]))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_costs_what_its_size_explains(kind, tmp_path):
    path = KINDS[kind](tmp_path / "file")
    size = path.stat().st_size
    script = READ.format(space=ADDRESS_SPACE)
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    said, seconds, kilobytes, other = json.loads(done.stdout)
    assert other < OTHER_PROCESS, said
    assert kilobytes < MEMORY + MEMORY_PER_BYTE * size, said
    assert seconds < SECONDS + SECONDS_PER_BYTE * size, said
    assert len(said) < 10_000


def test_a_limit_grows_with_the_file(tmp_path, monkeypatch):
    """What is refused in a small file is read in one that has as many bytes as it takes."""
    path = KINDS["one_by_one"](tmp_path / "file")
    assert set(open_checkpoint(path)) == {"w"}
    monkeypatch.setattr(state, "MEMORY_PER_BYTE", 1)
    with pytest.raises(CheckpointError, match="more memory than its size explains"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a." * names.MAX_PARTS + "w", "a name of 501 parts"),
        ("a/" * names.MAX_PARTS + "w", "a name of 501 parts"),
        ("n" * (names.MAX_LENGTH + 1), "a name of 16,385 characters"),
        ("a.\ud800", "half of a character"),
        ("\udc80", "half of a character"),
    ],
)
def test_names_that_no_tensor_can_have(name, says, tmp_path):
    with pytest.raises(CheckpointError, match=says) as failure:
        open_checkpoint(safetensors(tmp_path / "a", ["b", name]))
    str(failure.value).encode()


def test_names_that_are_long_but_can_be(tmp_path):
    wanted = ["a." * (names.MAX_PARTS - 1) + "w", "n" * names.MAX_LENGTH, "größe", "重み"]
    assert set(open_checkpoint(safetensors(tmp_path / "a", wanted))) == set(wanted)


def test_what_is_skipped_can_be_printed(tmp_path, remap_command):
    import pickle

    import torch

    state_dict = {"w": torch.ones(2), "\ud800 note": 3, "other": {"\udfff": 1}}
    torch.save(state_dict, tmp_path / "a.pt")
    pickle.dumps(state_dict)
    skipped = open_checkpoint(tmp_path / "a.pt").skipped
    assert "\\ud800 note" in {each.name for each in skipped}
    ran = remap_command("inspect", tmp_path / "a.pt")
    assert ran.code == 0, ran.err
    ran.out.encode()


def test_what_an_error_names_can_be_printed(tmp_path):
    """A file in an archive whose name is no text, and whose contents are damaged."""
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.npz", "w") as made:
        made.writestr("nXYm.npy", b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + _HEADER.ljust(118))
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data.replace(b"nXYm", b"n\xff\xfem"))
    with pytest.raises(CheckpointError, match="shape does not fit its bytes") as failure:
        open_checkpoint(tmp_path / "a.npz")
    assert r"\udcff" in str(failure.value)
    str(failure.value).encode()


def test_an_index_that_names_half_of_a_character(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "\ud800.safetensors"}}))
    with pytest.raises(CheckpointError, match="outside of its folder"):
        open_weights(index)
