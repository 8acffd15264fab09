"""What a person sees: whole words at 80 columns, whole lines in a pipe, and names that are never anything but text."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from repository import FIXTURES, ROOT
from safetensors.numpy import save_file

WIDTH = 80
RESNET = ("resnet", FIXTURES / "resnet/thin_resnet50.pt")
ODD = "a[red]:fire:\x1b[31m\u202e.weight"

pty = pytest.importorskip("pty", reason="systems without terminals of their own")


def on_terminal(*arguments: object, width: int = WIDTH) -> str:
    """What a command prints on a terminal without colours."""
    import fcntl
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "remap", *map(str, arguments)],
        stdout=follower,
        stderr=follower,
        stdin=follower,
        env=environment,
        cwd=ROOT,
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 1 << 16)
        except OSError:
            break
        if not part:
            break
        shown += part
    process.wait()
    os.close(leader)
    return re.sub(r"\x1b\[0?1?m", "", shown.decode().replace("\r", ""))  # bold, which is no colour


def piped(*arguments: object) -> str:
    """What a command prints into a pipe."""
    ran = subprocess.run(
        [sys.executable, "-m", "remap", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    return ran.stdout + ran.stderr


@pytest.fixture
def output(tmp_path):
    out = tmp_path / "a.h5"
    piped("apply", *RESNET, "-o", out)
    return out


COMMANDS = {
    "apply": lambda out: ("apply", *RESNET, "--dry-run"),
    "inspect": lambda out: ("inspect", RESNET[1]),
    "rules": lambda out: ("rules",),
    "diff": lambda out: ("diff", out, RESNET[1]),
    "diff by rules": lambda out: ("diff", RESNET[1], out, "--rules", "resnet"),
    "lint": lambda out: ("lint", *RESNET),
    "explain": lambda out: ("explain", *RESNET, "layer1.0.conv1.weight"),
    "usage": lambda out: ("apply",),
}


def words(text: str) -> set[str]:
    return {word.strip(",") for word in text.split() if re.search(r"\w", word)}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_word_is_broken_on_a_narrow_terminal(name, output):
    command = COMMANDS[name](output)
    narrow = on_terminal(*command)
    assert narrow.strip()
    long = [line for line in narrow.splitlines() if len(line) > WIDTH]
    excerpts = [line for line in long if re.match(r"\s*(\d+ )?\s*\|", line)]
    assert [line for line in long if line not in excerpts and len(line.split()) > 1] == []
    assert words(piped(*command)) - words(narrow) - {"PyTorch", "name"} == set()  # headings of first columns


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "usage"])
def test_a_pipe_gets_whole_lines(name, output):
    text = piped(*COMMANDS[name](output))
    wide = on_terminal(*COMMANDS[name](output), width=1000)
    assert [line.rstrip() for line in text.splitlines()] == [line.rstrip() for line in wide.splitlines()]


def test_names_are_never_markup_or_control_characters(tmp_path):
    save_file({ODD: np.ones((2, 3), "f4")}, tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes())
    (tmp_path / "rules.toml").write_text(
        "format = 1\n[[rename]]\nmatch = 'a.*'\nto = 'dense[bold]:fire:'\nlayout = 'dense'\n"
    )
    shown = "a[red]:fire:\\x1b[31m\\u202e"
    for command in (
        ("inspect", tmp_path / "a.safetensors"),
        ("inspect", tmp_path / "a.safetensors", "--flat"),
        ("apply", tmp_path / "rules.toml", tmp_path / "a.safetensors", "-o", tmp_path / "o.npz", "--force"),
        ("explain", tmp_path / "rules.toml", tmp_path / "a.safetensors", ODD),
    ):
        text = on_terminal(*command, width=300)
        assert shown in text, command
        assert "\x1b[31m" not in text
        assert "\u202e" not in text


def test_errors_show_names_as_text(tmp_path):
    save_file({ODD: np.ones((2, 3), "f4")}, tmp_path / "a.safetensors")
    (tmp_path / "rules.toml").write_text("format = 1\n[[ignore]]\nmatch = 'b'\nreason = 'x'\n")
    text = on_terminal("apply", tmp_path / "rules.toml", tmp_path / "a.safetensors", "-o", tmp_path / "o.npz")
    assert "a[red]:fire:\\x1b[31m" in text
    assert "\x1b[31m" not in text
