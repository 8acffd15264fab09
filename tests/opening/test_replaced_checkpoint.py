"""A checkpoint that changes while it is read: an error that says so, and never a mixture of two."""

from __future__ import annotations

import os

import numpy as np
import pytest
from safetensors.numpy import save_file

import remap
from remap.errors import CheckpointError

RULES = "format = 1\n[[rename]]\nmatch = 'l\\.<k>'\nto = 'd{k}'\nlayout = \"dense\"\n"


def state(seed):
    generator = np.random.default_rng(seed)
    shapes = {"weight": (8, 8), "bias": (8,)}
    return {f"l.{k}.{name}": generator.random(shape, np.float32) for k in range(4) for name, shape in shapes.items()}


@pytest.fixture
def job(tmp_path):
    (tmp_path / "r.toml").write_text(RULES)
    save_file(state(0), tmp_path / "last.safetensors")
    return tmp_path / "r.toml", tmp_path / "last.safetensors"


def rename(path):
    """As a training job should: the new file takes the old one's name."""
    save_file(state(1), path.with_name("next"), metadata={"step": "1000000 of 5000000, epoch 12"})
    path.with_name("next").replace(path)


def rewrite(path):
    """As one should not: the same file, written anew."""
    inode, data = path.stat().st_ino, bytearray(path.read_bytes())
    data[-4:] = b"\0\0\0\0"
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))  # clocks of disks are coarse
    assert path.stat().st_ino == inode


CHANGES = [(rename, "replaced"), (rewrite, "written to")]


@pytest.mark.parametrize(("change", "word"), CHANGES)
def test_between_header_and_numbers(change, word, job, tmp_path):
    checkpoint = remap.open_checkpoint(job[1])
    change(job[1])
    with pytest.raises(CheckpointError, match=f"the checkpoint was {word} while it was read") as failure:
        remap.apply(job[0], checkpoint, tmp_path / "out.safetensors")
    assert str(job[1]) in str(failure.value)
    assert failure.value.problems[0].fix
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


@pytest.mark.parametrize(("change", "word"), CHANGES)
def test_while_the_output_is_written(change, word, job, tmp_path):
    changed = []

    def progress(stage, done, total):
        if not changed:
            changed.append(stage)
            change(job[1])

    (tmp_path / "out.safetensors").write_text("mine")
    with pytest.raises(CheckpointError, match=f"the checkpoint was {word} while it was read"):
        remap.apply(*job, tmp_path / "out.safetensors", progress=progress, force=True)
    assert changed == ["write"]
    assert (tmp_path / "out.safetensors").read_text() == "mine"


def test_taken_away_while_the_output_is_written(job, tmp_path):
    with pytest.raises(CheckpointError, match="the checkpoint was taken away while it was read"):
        remap.apply(*job, tmp_path / "out.npz", progress=lambda *_: job[1].unlink(missing_ok=True))
    assert not (tmp_path / "out.npz").exists()


def test_the_command_exits_as_for_a_checkpoint_that_cannot_be_read(job, tmp_path, remap_command):
    model = tmp_path / "model.py"
    model.write_text(
        "import keras, os\n"
        "def build():\n"
        f"    if os.path.exists({str(tmp_path / 'next')!r}):\n"
        f"        os.replace({str(tmp_path / 'next')!r}, {str(job[1])!r})\n"
        "    x = inputs = keras.Input((8,))\n"
        "    for k in range(4):\n"
        "        x = keras.layers.Dense(8, name=f'd{k}')(x)\n"
        "    return keras.Model(inputs, x)\n"
    )
    save_file(state(1), tmp_path / "next", metadata={"step": "1000000 of 5000000, epoch 12"})
    out = tmp_path / "out.safetensors"
    ran = remap_command("apply", *job, "--model", f"{model}:build", "-o", out)
    assert ran.code == 3
    assert "replaced" in ran.err
    assert not out.exists()
    assert remap_command("apply", *job, "--model", f"{model}:build", "-o", out).code == 0


def test_a_checkpoint_that_stays_is_read_again_and_again(job, tmp_path):
    checkpoint = remap.open_checkpoint(job[1])
    for name in ("a.npz", "b.npz"):
        remap.apply(job[0], checkpoint, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
