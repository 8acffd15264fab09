"""Places that cannot be read or written: one message that says which and why, no traceback, nothing left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

RUN = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root may do everything
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.executable, [sys.executable, "-m", "remap", *sys.argv[1:]])
"""


@pytest.fixture
def linear(fixtures):
    return fixtures / "linear/linear.toml", fixtures / "linear/linear.safetensors"


@pytest.fixture
def as_user(tmp_path):
    """Runs the command line as somebody for whom permissions count; folders can be removed afterwards."""

    def run(*arguments):
        return subprocess.run([sys.executable, "-c", RUN, *map(str, arguments)], capture_output=True, text=True)

    yield run
    for path in tmp_path.iterdir():
        path.chmod(0o755)


def assert_told(ran, code, *texts):
    assert ran.returncode == code, ran.stderr
    assert ran.stderr.startswith("error: "), ran.stderr
    for text in texts:
        assert text in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "internal" not in ran.stderr


def test_what_may_not_be_read(as_user, linear, tmp_path):
    rules, source = linear
    closed, file = tmp_path / "closed", tmp_path / "a.safetensors"
    file.write_bytes(source.read_bytes())
    file.chmod(0)
    closed.mkdir(mode=0)
    for command in (("inspect", file), ("diff", file, source), ("apply", rules, file, "-o", tmp_path / "w.h5")):
        assert_told(as_user(*command), 3, "cannot read the checkpoint", f"at {file}", "Permission denied")
    assert_told(as_user("inspect", closed), 3, "cannot read the folder", f"at {closed}", "Permission denied")
    assert_told(as_user("inspect", closed / "a.pt"), 3, "cannot read the checkpoint", f"at {closed / 'a.pt'}")


@pytest.mark.parametrize("name", ["w.h5", "w.npz", "w.safetensors", "w.ckpt"])
def test_where_nothing_may_be_written(name, as_user, linear, tmp_path):
    for mode, folder in ((0o555, tmp_path / "read"), (0, tmp_path / "closed")):
        folder.mkdir()
        folder.chmod(mode)
        ran = as_user("apply", *linear, "-o", folder / name)
        assert_told(ran, 7, "the output cannot be written", f"at {folder / name}", "write where you may")
        folder.chmod(0o755)
        assert list(folder.iterdir()) == []


def test_outputs_are_local(linear, tmp_path, monkeypatch, remap_command):
    monkeypatch.chdir(tmp_path)
    for url in ("s3://bucket/w.h5", "memory://w.npz", "hf://someone/model/w.ckpt"):
        ran = remap_command("apply", *linear, "-o", url)
        assert ran.code == 2
        assert "the output is a URL" in ran.err
        assert "mkdir" not in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_check_loads_local_files(fixtures, linear, remap_command):
    model = f"{fixtures / 'linear/keras_model.py'}:build"
    rules, source = linear
    ran = remap_command("check", "memory://w.h5", "--model", model, "--rules", rules, "--checkpoint", source)
    assert ran.code == 2
    assert "load local files only" in ran.err
    assert "at memory://w.h5" in ran.err


@pytest.mark.full
def test_check_of_another_file_says_what_is_missing(fixtures, linear, remap_command):
    model = f"{fixtures / 'linear/keras_model.py'}:build"
    rules, source = linear
    ran = remap_command("check", source, "--model", model, "--rules", rules, "--checkpoint", source)
    assert ran.code == 8
    assert "at dense/kernel\n  found: no such variable in the file" in ran.err


@pytest.mark.parametrize("command", ["inspect", "apply"])
def test_a_pipe_is_not_waited_for(command, linear, tmp_path, remap_command):
    os.mkfifo(tmp_path / "pipe")
    rules, _ = linear
    ran = remap_command(*(("inspect",) if command == "inspect" else ("apply", rules)), tmp_path / "pipe")
    assert ran.code == 3
    assert "a pipe or a device" in ran.err


def test_a_server_that_is_not_there(remap_command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a.pt"
        ran = remap_command("inspect", url)
    assert ran.code == 3
    assert "cannot read the URL" in ran.err
    assert "check the address and the connection" in ran.err


WITH_PACKAGES = [pytest.param(url, marks=pytest.mark.full) for url in ("hf://", "s3://")]


@pytest.mark.parametrize("url", ["htps://x/a.pt", "http://", "https://no such host/a.pt", "://a.pt", *WITH_PACKAGES])
def test_addresses_that_are_mistyped(url, remap_command):
    ran = remap_command("inspect", url)
    assert ran.code == 3, ran.err
    assert ran.err.startswith("error: "), ran.err
    assert "internal" not in ran.err


def test_the_list_that_tensorflow_keeps(linear, tmp_path, remap_command):
    assert remap_command("apply", *linear, "-o", tmp_path / "w.ckpt").code == 0
    ran = remap_command("inspect", tmp_path / "checkpoint")
    assert ran.code == 3
    assert "give what one's .index and .data files start with" in ran.err
