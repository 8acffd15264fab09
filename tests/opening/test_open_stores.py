"""Checkpoints in object stores, by the packages that people use: s3fs, gcsfs, huggingface_hub and aiohttp."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import fsspec
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from stores import Amazon, Google, HuggingFace, Web

from remap.errors import CheckpointError
from remap.opening.open import open_checkpoint

STORES = {"s3": Amazon, "gs": Google, "hf": HuggingFace, "http": Web}
REFUSED = {"s3": "aws configure", "gs": "gcloud auth", "hf": "hf auth login", "http": "check your access"}
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub"}
FORMATS = ("zip", "legacy", "safetensors")
HEADERS = {"zip": 80_000, "legacy": 1 << 20, "safetensors": 2_000}
"""What may be fetched to list the tensors: a zip archive is searched for its directory, a legacy file has none."""


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """No connection kept, no credentials of whoever runs the tests, no waiting between attempts."""

    async def at_once(_delay, result=None):
        return result

    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "HF_")):
            monkeypatch.delenv(name)
    for name, value in {
        "HOME": tmp_path,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("asyncio.sleep", at_once)
    monkeypatch.setattr("time.sleep", lambda _: None)
    for found in list(fsspec.registry.values()):
        found.clear_instance_cache()


@pytest.fixture(params=STORES)
def store(request, clean, monkeypatch):
    found = STORES[request.param]()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", found.address)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", found.address)
    monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": found.address, "token": False})
    yield found
    found.close()


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {"big.weight": torch.randn(1000, 3000), "small.weight": torch.randn(5, 3)}


@pytest.fixture(params=FORMATS)
def saved(request, tmp_path, state):
    path = tmp_path / f"a.{request.param}"
    if request.param == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=request.param == "zip")
    return path


def test_read_by_range(store, saved, state, same):
    url = store.put("folder/model.bin", saved.read_bytes())
    headers = HEADERS[saved.suffix[1:]]
    found = open_checkpoint(url)
    assert 0 < store.sent <= headers + 512 * 3 < found["big.weight"].nbytes
    before = store.sent
    np.testing.assert_array_equal(found["small.weight"].array(), state["small.weight"].numpy())
    assert store.sent - before < 1000
    same(found, {name: state[name] for name in found})
    assert set(found) == set(state)
    assert store.sent < found.nbytes + headers + 4000
    assert str(found.path) == url


def test_inspect_and_apply(store, saved, state, tmp_path, remap_command):
    url = store.put("folder/model.bin", saved.read_bytes())
    shown = remap_command("inspect", url)
    assert shown.code == 0
    assert url in shown.out.replace("\n", "")
    assert json.loads(remap_command("inspect", url, "--json").out)["path"] == url
    assert 0 < store.sent < 3 * (1 << 20) < 12_000_000
    rules = tmp_path / "rules.toml"
    rules.write_text("""format = 1
[[rename]]
match = '(?P<name>\\w+)\\.weight'
to = '{name}/kernel'
axes = 'o i -> i o'
""")
    ran = remap_command("apply", rules, url, "-o", tmp_path / "out.safetensors", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["checkpoint"]["path"] == url
    written = load_file(tmp_path / "out.safetensors")
    assert {name: array.shape for name, array in written.items()} == {
        "big/kernel": (3000, 1000),
        "small/kernel": (3, 5),
    }
    for name, tensor in state.items():
        np.testing.assert_array_equal(written[name.replace(".weight", "/kernel")], tensor.numpy().T)


def test_a_folder_and_what_lies_beside(store, state, tmp_path, same, remap_command):
    """Shards by their index; a parameter of the rules from the config.json in the same folder."""
    for name, tensor in state.items():
        save_file({name: tensor}, tmp_path / f"{name}.safetensors")
        store.put(f"model/{name}.safetensors", (tmp_path / f"{name}.safetensors").read_bytes())
    index = {"weight_map": {name: f"{name}.safetensors" for name in state}}
    store.put("model/config.json", b'{"rows": 500}')
    url = store.put("model/model.safetensors.index.json", json.dumps(index).encode())
    same(open_checkpoint(url), state)
    if store.scheme != "http":  # has no folders
        same(open_checkpoint(url.rpartition("/")[0]), state)
    rules = tmp_path / "rules.toml"
    rules.write_text(
        'format = 1\n[params.rows]\nfrom = "config.json:rows"\n[[rename]]\nmatch = "big.weight"\nto = "big/kernel"\n'
        'axes = "(n rows) i -> n rows i"\n[[ignore]]\nmatch = "small.weight"\nreason = "not of interest"\n'
    )
    ran = remap_command("apply", rules, url, "-o", tmp_path / "out.safetensors")
    assert ran.code == 0, ran.err
    assert load_file(tmp_path / "out.safetensors")["big/kernel"].shape == (2, 500, 3000)


def failure(run, url):
    """What the command prints, which is one error and nothing else."""
    ran = run("inspect", url)
    assert ran.code == 3
    assert ran.out == ""
    assert ran.err.startswith("error: "), ran.err
    assert "Traceback" not in ran.err
    assert url in ran.err
    return ran.err


def test_missing(store, remap_command):
    url = store.put("folder/model.bin", b"never read")
    assert "no such checkpoint" in failure(remap_command, f"{url}x")
    if store.scheme == "hf":
        told = failure(remap_command, url.replace("someone", "nobody"))
        assert "check the address; for a private or gated model run 'hf auth login'" in told
    elif store.scheme != "http":
        assert "no such checkpoint" in failure(remap_command, url.replace("//bucket", "//nowhere"))


def test_access_refused(store, remap_command):
    url = store.put("folder/model.bin", b"never read")
    store.refusing = True
    told = failure(remap_command, url)
    assert "access to the URL is refused" in told
    assert REFUSED[store.scheme] in told


def test_hostile_is_refused_before_it_is_fetched(store):
    class Attack:
        def __reduce__(self):
            return os.system, ("echo pwned",)

    url = store.put("model.pkl", pickle.dumps({"a": Attack(), "filler": b"x" * 20_000_000}))
    with pytest.raises(CheckpointError, match="hostile checkpoint"):
        open_checkpoint(url)
    assert store.sent < 1_100_000


def test_no_credentials(clean, monkeypatch, remap_command):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    told = failure(remap_command, "s3://bucket/a.pt")
    assert "access to the URL is refused" in told
    assert "FSSPEC_S3_ANON=true" in told


def test_body_cut_off(store, saved, state, tmp_path, remap_command):
    url = store.put("folder/model.bin", saved.read_bytes())
    found = open_checkpoint(url)
    store.breaking = True
    assert "cannot read the URL" in failure(remap_command, url)
    with pytest.raises(CheckpointError, match="cannot read the URL"):
        found["big.weight"].array()
    store.breaking = False
    np.testing.assert_array_equal(found["big.weight"].array(), state["big.weight"].numpy())


def test_server_gone(store, state, tmp_path):
    save_file(state, tmp_path / "a.safetensors")
    found = open_checkpoint(store.put("folder/model.bin", (tmp_path / "a.safetensors").read_bytes()))
    store.close()
    with pytest.raises(CheckpointError, match="cannot read the URL"):
        found["big.weight"].array()


def test_the_hub_that_the_environment_names(state, tmp_path):
    """In a process of its own: the variable is read once."""
    torch.save(state, tmp_path / "a.pt")
    store = HuggingFace()
    try:
        url = store.put("model.bin", (tmp_path / "a.pt").read_bytes())
        ran = subprocess.run(
            [sys.executable, "-m", "remap", "inspect", url, "--json"],
            capture_output=True,
            text=True,
            env=os.environ | {"HF_ENDPOINT": store.address},
        )
    finally:
        store.close()
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(ran.stdout)
    assert shown["path"] == url
    assert {tensor["name"] for tensor in shown["tensors"]} == state.keys()
    assert 0 < store.sent < 3_000_000 < shown["bytes"]


def test_an_output_without_a_name(store, state, tmp_path, monkeypatch, remap_command):
    """Beside the checkpoint is no place, so it is written here."""
    save_file(state, tmp_path / "a.safetensors")
    url = store.put("folder/model.safetensors", (tmp_path / "a.safetensors").read_bytes())
    (tmp_path / "rules.toml").write_text(
        "format = 1\n[[rename]]\nmatch = '(?P<name>\\w+)'\nto = '{name}'\nlayout = 'dense'\n"
    )
    monkeypatch.chdir(tmp_path)
    ran = remap_command("apply", "rules.toml", url)
    assert ran.code == 0, ran.err
    assert (tmp_path / "model.h5").exists()


@pytest.mark.parametrize("scheme", PACKAGES)
def test_missing_package(scheme):
    script = f"""
import sys
sys.modules[{PACKAGES[scheme]!r}] = None
from remap.cli.main import main
main(["inspect", "{scheme}://bucket/name/a.pt"])
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 9
    assert f"pip install 'remap[remote]' {PACKAGES[scheme]}" in ran.stderr
    assert "Traceback" not in ran.stderr
