from __future__ import annotations

import argparse
import subprocess
import sys
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from remap.errors import CheckpointError
from remap.opening.open import open_checkpoint


def rewrite(source: Path, target: Path, change) -> Path:
    """Copy an archive; ``change`` maps name and bytes to a name, bytes and method, or to None to leave it out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            made = change(name, old.read(name))
            if made is not None:
                new.writestr(made[0], made[1], compress_type=made[2])
    return target


def test_every_dtype(tmp_path, every_dtype, same):
    torch.save(every_dtype, tmp_path / "a.pt")
    same(open_checkpoint(tmp_path / "a.pt"), every_dtype)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_layout(tmp_path, every_layout, same, protocol):
    torch.save(every_layout, tmp_path / "a.pt", pickle_protocol=protocol)
    found = open_checkpoint(tmp_path / "a.pt")
    same(found, torch.load(tmp_path / "a.pt", weights_only=False))
    assert found.format == "torch zip"
    assert found["dense"].storage is found["tied"].storage is found["transposed"].storage
    assert found["transposed"].strides == every_layout["transposed"].stride()
    assert found["second"].offset == 40


def test_suffix_means_nothing(tmp_path, every_layout, same):
    torch.save(every_layout, tmp_path / "weights.safetensors")
    same(open_checkpoint(str(tmp_path / "weights.safetensors")), every_layout)


def test_foreign_root_and_cuda_tag(tmp_path, same):
    state = {"a": torch.randn(3), "b": torch.arange(4)}
    torch.save(state, tmp_path / "a.pt")
    patched = rewrite(
        tmp_path / "a.pt",
        tmp_path / "b.pt",
        lambda name, data: (
            name.replace("a/", "some root/", 1),
            data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"),
            zipfile.ZIP_STORED,
        ),
    )
    same(open_checkpoint(patched), state)


def test_big_endian_is_refused(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "a.pt")
    patched = rewrite(
        tmp_path / "a.pt",
        tmp_path / "b.pt",
        lambda name, data: (name, b"big" if name.endswith("byteorder") else data, zipfile.ZIP_STORED),
    )
    with pytest.raises(CheckpointError, match="little-endian"):
        open_checkpoint(patched)


def test_compressed_storage_is_refused_by_name(tmp_path):
    torch.save({"a": torch.ones(200)}, tmp_path / "a.pt")
    patched = rewrite(tmp_path / "a.pt", tmp_path / "b.pt", lambda name, data: (name, data, zipfile.ZIP_DEFLATED))
    with pytest.raises(CheckpointError, match=r"compressed(.|\n)*a/data/0"):
        open_checkpoint(patched)


def test_compressed_pickle_is_read(tmp_path, same):
    state = {"a": torch.randn(200)}
    torch.save(state, tmp_path / "a.pt")
    patched = rewrite(
        tmp_path / "a.pt",
        tmp_path / "b.pt",
        lambda name, data: (name, data, zipfile.ZIP_DEFLATED if name.endswith(".pkl") else zipfile.ZIP_STORED),
    )
    same(open_checkpoint(patched), state)


def test_missing_storage_is_named(tmp_path):
    torch.save({"a": torch.ones(2), "b": torch.ones(3)}, tmp_path / "a.pt")
    patched = rewrite(
        tmp_path / "a.pt",
        tmp_path / "b.pt",
        lambda name, data: None if name == "a/data/1" else (name, data, zipfile.ZIP_STORED),
    )
    with pytest.raises(CheckpointError, match=r"storage '1' .*\n.*nothing\n.*12 bytes"):
        open_checkpoint(patched)


def test_short_storage_is_found_from_headers(tmp_path):
    torch.save({"a": torch.ones(8)}, tmp_path / "a.pt")
    patched = rewrite(
        tmp_path / "a.pt",
        tmp_path / "b.pt",
        lambda name, data: (name, data[:-4] if name == "a/data/0" else data, zipfile.ZIP_STORED),
    )
    with pytest.raises(CheckpointError, match=r"28 bytes\n.*32 bytes"):
        open_checkpoint(patched)


def test_foreign_objects_are_listed(tmp_path, same):
    state = OrderedDict(w=torch.randn(2), b=torch.randn(3))
    torch.save(
        {
            "state_dict": state,
            "epoch": 3,
            "args": argparse.Namespace(lr=0.1, out=Path("x")),
            "best": np.float64(0.5),
            "device": torch.device("cpu"),
            "note": "text",
            "optimizer": torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict(),
        },
        tmp_path / "a.pt",
    )
    found = open_checkpoint(tmp_path / "a.pt")
    same(found, state)
    assert found.peeled == ("['state_dict']",)
    skipped = {entry.name: entry.reason for entry in found.skipped}
    assert set(skipped) == {"epoch", "args", "best", "device", "note", "optimizer"}
    assert skipped["args"] == "object argparse.Namespace"
    assert skipped["epoch"] == "number"


def test_pending_conjugate_and_sparse_are_listed(tmp_path):
    torch.save(
        {
            "w": torch.ones(2),
            "conj": torch.randn(3, dtype=torch.complex64).conj(),
            "sparse": torch.eye(3).to_sparse(),
            "meta": torch.empty(3, device="meta"),
        },
        tmp_path / "a.pt",
    )
    found = open_checkpoint(tmp_path / "a.pt")
    assert list(found) == ["w"]
    reasons = {entry.name: entry.reason for entry in found.skipped}
    assert "resolve_conj" in reasons["conj"]
    assert "sparse" in reasons["sparse"]
    assert "meta" in reasons["meta"]


def test_no_framework_is_imported(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    code = (
        "import sys; from remap.opening.open import open_checkpoint;"
        f"print(open_checkpoint({str(tmp_path / 'a.pt')!r})['w'].array().sum());"
        "print([name for name in ('torch', 'tensorflow', 'keras', 'zipfile', 'fsspec') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["2.0", "[]"]


@pytest.mark.no_cover
def test_opening_reads_no_tensor_data(tmp_path):
    torch.save({f"layer{i}.weight": torch.randn(256, 256) for i in range(200)}, tmp_path / "a.pt")
    best = min(_seconds(tmp_path / "a.pt") for _ in range(5))
    assert best < 0.02


def _seconds(path: Path) -> float:
    start = time.process_time()
    open_checkpoint(path)
    return time.process_time() - start
