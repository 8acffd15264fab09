"""Large tensors that cannot be read in place: bounded memory, equal numbers, no file left behind."""

from __future__ import annotations

import errno
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from stores import Web
from test_open_folders import cut

from remap.errors import CheckpointError
from remap.opening.open import open_checkpoint
from remap.tensors import computed
from remap.tensors.computed import ComputedStorage

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

ROWS, COLUMNS = 8_000, 8_000
LIMIT = 220_000
"""Kilobytes at the peak, mapped pages, libraries and all; the tensor alone has 256,000."""
SCRIPT = """
import sys
from pathlib import Path
from remap.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code
lines = Path("/proc/self/status").read_text().splitlines()
print("PEAK", next(line for line in lines if line.startswith("VmHWM:")).split()[1])
"""
RULES = """format = 1
[[rename]]
match = 'w'
to = 'layer/kernel'
axes = 'o i -> i o'
[[ignore]]
match = 'other'
reason = "only there for its place"
optional = true
"""


def distributed(folder, whole, boxes):
    dcp.save({"w": whole[:1].clone(), "other": torch.ones(2)}, checkpoint_id=folder / "d")
    cut(folder / "d", "w", boxes, whole)
    metadata = pickle.loads((folder / "d" / ".metadata").read_bytes())
    metadata.state_dict_metadata["w"].size = whole.shape
    (folder / "d" / ".metadata").write_bytes(pickle.dumps(metadata))
    return folder / "d"


def by_rows(folder, whole):
    step = ROWS // 8
    return distributed(folder, whole, [(slice(at, at + step), slice(0, COLUMNS)) for at in range(0, ROWS, step)])


def by_columns(folder, whole):
    step = COLUMNS // 8
    return distributed(folder, whole, [(slice(0, ROWS), slice(at, at + step)) for at in range(0, COLUMNS, step)])


def deflated(folder, whole):
    archive = zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("w.npy", "w", force_zip64=True) as entry:
        np.lib.format.write_array(entry, whole.numpy())
    return folder / "a.npz"


def quantized(folder, whole):
    state = {"w": torch.quantize_per_tensor(whole, 1.0, 0, torch.qint8)}
    whole.copy_(state["w"].dequantize())
    torch.save(state, folder / "q.pt")
    return folder / "q.pt"


@pytest.fixture(scope="module")
def whole():
    """Numbers that all differ from their neighbours, and deflate well."""
    rows = torch.arange(ROWS, dtype=torch.float32).reshape(-1, 1) % 251
    return rows * 7 + torch.arange(COLUMNS, dtype=torch.float32) % 127 - 60


def applied(folder, source, whole, *options):
    """The peak of a process that converts, its result compared with the truth piece by piece."""
    temporary = folder / "temporary"
    temporary.mkdir()
    (folder / "rules.toml").write_text(RULES)
    out = folder / "w.safetensors"
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, "apply", str(folder / "rules.toml"), str(source), "-o", str(out), *options],
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert ran.returncode == 0, ran.stderr
    (length,) = struct.unpack("<Q", out.open("rb").read(8))
    written = np.memmap(out, "<f4", "r", 8 + length, (COLUMNS, ROWS))
    for at in range(0, COLUMNS, 1000):
        np.testing.assert_array_equal(written[at : at + 1000], whole[:, at : at + 1000].numpy().T)
    assert list(temporary.iterdir()) == []
    return int(ran.stdout.rpartition("PEAK")[2])


@pytest.mark.parametrize("make", [by_rows, by_columns, deflated, quantized])
def test_memory_is_bounded(make, tmp_path, whole):
    truth = whole.clone()
    options = ("--dequantize",) if make is quantized else ()
    assert applied(tmp_path, make(tmp_path, truth), truth, *options) < LIMIT


@pytest.mark.parametrize("legacy", [False, True])
def test_memory_is_bounded_behind_a_url(legacy, tmp_path, whole):
    torch.save({"w": whole}, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    store = Web()
    try:
        url = store.put("a.pt", (tmp_path / "a.pt").read_bytes())
        assert applied(tmp_path, url, whole) < LIMIT
        assert store.sent < whole.nbytes + 2_000_000
    finally:
        store.close()


@pytest.fixture
def in_file(monkeypatch):
    """Whatever is not read in place goes through a file, however small it is."""
    monkeypatch.setattr(computed, "IN_MEMORY", 0)


BOXES = {
    "rows": [(slice(0, 5), slice(0, 9)), (slice(5, 6), slice(0, 9)), (slice(6, 20), slice(0, 9))],
    "columns": [(slice(0, 20), slice(0, 1)), (slice(0, 20), slice(1, 9))],
    "both": [(slice(0, 7), slice(0, 9)), (slice(7, 20), slice(0, 2)), (slice(7, 20), slice(2, 9))],
}


@pytest.mark.parametrize("piece", [16, 100, 1 << 22])
@pytest.mark.parametrize("boxes", BOXES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_chunks_in_a_file(boxes, dtype, piece, in_file, monkeypatch, tmp_path, same):
    monkeypatch.setattr("remap.layout.rendered.PIECE", piece)
    whole = (torch.randn(20, 9) * 50).to(dtype)
    dcp.save({"w": whole, "scalar": torch.tensor(3)}, checkpoint_id=tmp_path / "d")
    cut(tmp_path / "d", "w", BOXES[boxes], whole)
    loaded = {"w": torch.zeros_like(whole), "scalar": torch.tensor(0)}
    dcp.load(loaded, checkpoint_id=tmp_path / "d")
    found = open_checkpoint(tmp_path / "d")
    same(found, {name: loaded[name] for name in found})
    assert found["w"].storage.mapped is not None


def test_deflated_in_a_file(in_file, every_dtype, tmp_path):
    arrays = {name: tensor.numpy() for name, tensor in every_dtype.items() if not name.startswith(("bf", "float8"))}
    arrays["fortran"] = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    found = open_checkpoint(tmp_path / "a.npz")
    for name, truth in np.load(tmp_path / "a.npz").items():
        assert found[name].array().tobytes() == truth.tobytes()
        assert not found[name].array().flags.writeable
        assert found[name].storage.mapped is not None


def test_made_once_until_it_is_released():
    calls = []

    def make(write):
        calls.append(1)
        write(4, b"5678")
        write(0, b"1234")

    for limit, times in ((0, 0), (1 << 20, 2)):
        storage = ComputedStorage(8, "somewhere", make)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(computed, "IN_MEMORY", limit)
            for _ in range(3):
                assert storage.map().tobytes() == b"12345678"
                storage.drop_pages()
            assert len(calls) == times + 1
            storage.release()
            assert storage.map().tobytes() == b"12345678"
            assert len(calls) == times + 2


@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize("made", [b"1234567", b"123456789"])
def test_another_size_than_announced(limit, made, monkeypatch):
    monkeypatch.setattr(computed, "IN_MEMORY", limit)
    with pytest.raises(CheckpointError, match="another size than its header says"):
        ComputedStorage(8, "somewhere", lambda write: write(0, made)).map()


def test_no_room_for_the_file(in_file, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    storage = ComputedStorage(1 << 60, "a deflated array", lambda write: pytest.fail("made for nothing"))
    with pytest.raises(CheckpointError, match=r"there is no room(.|\n)*TMPDIR") as failure:
        storage.map()
    assert str(tmp_path) in str(failure.value)
    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(CheckpointError, match=r"No space left(.|\n)*TMPDIR"):
        ComputedStorage(8, "a deflated array", lambda write: write(0, b"12345678")).map()
    assert list(tmp_path.iterdir()) == []


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
