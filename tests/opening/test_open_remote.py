"""Checkpoints behind URLs: what is read, and that it is read by range."""

from __future__ import annotations

import builtins
import http.server
import json
import threading
from typing import ClassVar

import fsspec
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from remap.errors import CheckpointError, MissingPackageError
from remap.opening.open import open_checkpoint


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {"big": torch.randn(300, 1000), "small": torch.arange(5)}


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


def upload(memory, local, url):
    memory.pipe(url, local.read_bytes())
    return f"memory://{url}"


@pytest.fixture(params=["zip", "legacy", "safetensors"])
def saved(request, tmp_path, state):
    path = tmp_path / f"a.{request.param}"
    if request.param == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=request.param == "zip")
    return path


def test_memory_and_file(memory, saved, state, same):
    for url in (upload(memory, saved, "/x/model.pt"), f"file://{saved}"):
        found = open_checkpoint(url)
        same(found, {name: state[name] for name in found})
        assert set(found) == set(state)


def test_index_and_folder(memory, tmp_path, state, same):
    weights = {}
    for name, tensor in state.items():
        torch.save({name: tensor}, tmp_path / f"{name}.bin")
        upload(memory, tmp_path / f"{name}.bin", f"/m/{name}.bin")
        weights[name] = f"{name}.bin"
    memory.pipe("/m/pytorch_model.bin.index.json", json.dumps({"weight_map": weights}).encode())
    same(open_checkpoint("memory://m/pytorch_model.bin.index.json"), state)
    same(open_checkpoint("memory://m"), state)
    memory.rm("/m/small.bin")
    with pytest.raises(CheckpointError, match=r"shard is missing(.|\n)*small.bin"):
        open_checkpoint("memory://m")


@pytest.mark.parametrize("shard", ["../secret.bin", "/secret.bin", "https://elsewhere/x.bin", "a/../../secret.bin"])
def test_index_that_leads_away(memory, shard):
    memory.pipe("/secret.bin", b"x")
    memory.pipe("/m/x.index.json", json.dumps({"weight_map": {"w": shard}}).encode())
    with pytest.raises(CheckpointError, match="outside of its folder"):
        open_checkpoint("memory://m/x.index.json")


def test_missing(memory):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        open_checkpoint("memory://nowhere/a.pt")


def test_unknown_kind_of_url():
    with pytest.raises(CheckpointError, match=r"cannot read the URL(.|\n)*nonsense"):
        open_checkpoint("nonsense://a.pt")


def test_without_fsspec(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "fsspec":
            raise ImportError("No module named 'fsspec'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingPackageError, match=r"pip install 'remap\[remote\]'"):
        open_checkpoint("memory://a.pt")


class Handler(http.server.BaseHTTPRequestHandler):
    files: ClassVar[dict] = {}
    sent: ClassVar[list] = []
    ranges = True

    def do_HEAD(self):
        self.answer(head=True)

    def do_GET(self):
        self.answer(head=False)

    def answer(self, head):
        data = self.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        total = len(data)
        if asked and self.ranges:
            first, last = asked.removeprefix("bytes=").split("-")
            data = data[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        else:
            self.send_response(200)
        if self.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not head:
            self.sent.append(len(data))
            self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture(params=[True, False], ids=["ranges", "no ranges"])
def server(request):
    handler = type("Own", (Handler,), {"files": {}, "sent": [], "ranges": request.param})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


def test_http(server, tmp_path, state, same):
    address, handler = server
    torch.save(state, tmp_path / "a.pt")
    handler.files["/a.pt"] = (tmp_path / "a.pt").read_bytes()
    found = open_checkpoint(f"{address}/a.pt")
    if handler.ranges:
        assert sum(handler.sent) < 80_000 < found["big"].nbytes
    small = found["small"].array()
    np.testing.assert_array_equal(small, np.arange(5))
    if handler.ranges:
        assert sum(handler.sent) < 80_000
    same(found, state)
    with pytest.raises(CheckpointError):
        open_checkpoint(f"{address}/b.pt")
