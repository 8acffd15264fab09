"""Outputs that replace others: interrupted, killed, or written by two processes at once."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from plans import h5_target, plan_of
from test_write_files import leftovers

from remap.errors import RemapError, UsageError
from remap.opening.anything import open_weights
from remap.tensors.tensor import Checkpoint
from remap.writing import temporary
from remap.writing.staging import Staging
from remap.writing.write import write

HERE = Path(__file__).parent
SHAPES = {"a/x": (3,), "b/x": (3,)}
OUTPUTS = ["w.h5", "w.npz", "w.weights.json", "w.ckpt"]
SEVERAL = ["w.weights.json", "w.ckpt"]


def put(folder, name, value, *, force=False, progress=None):
    """Write an output whose numbers are all ``value``."""
    own = folder / f"source {value} {os.getpid()}"
    own.mkdir(exist_ok=True)
    plan = plan_of({key: np.full(shape, value, "f4") for key, shape in SHAPES.items()}, own, h5_target(SHAPES))
    options = {"max_shard_size": 1.5e-8} if name == "w.weights.json" else {}
    return write(plan, folder / name, force=force, progress=progress, **options)


def values(folder, name) -> set[float]:
    checkpoint: Checkpoint = open_weights(folder / name)
    assert len(checkpoint) == 2
    return {float(number) for tensor in checkpoint.values() for number in tensor.array()}


def outputs(folder):
    return [name for name in leftovers(folder) if not name.startswith("source")]


RENAMES = [(function, number) for function in ("replace", "rename") for number in range(1, 5)]


@pytest.mark.parametrize(("function", "number"), RENAMES)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_an_interrupt_leaves_the_old_output_or_the_new(name, when, function, number, tmp_path, monkeypatch):
    put(tmp_path, name, 1)
    files = outputs(tmp_path)
    real, calls = getattr(Path, function), []

    def renaming(path, final):
        calls.append(final)
        if when == "before" and len(calls) == number:
            raise KeyboardInterrupt
        done = real(path, final)
        if len(calls) == number:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Path, function, renaming)
        try:
            put(tmp_path, name, 2, force=True)
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
    assert interrupted == (len(calls) >= number)
    assert values(tmp_path, name) in ([{1.0}, {2.0}] if interrupted else [{2.0}])
    assert outputs(tmp_path) == files


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_interrupt_leaves_nothing_of_a_first_output(name, tmp_path, monkeypatch):
    real, calls = Path.replace, []

    def replace(path, final):
        calls.append(final)
        done = real(path, final)
        if len(calls) == 1 and name in SEVERAL:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        if name in SEVERAL:
            with pytest.raises(KeyboardInterrupt):
                put(tmp_path, name, 1)
            assert outputs(tmp_path) == []
        else:
            put(tmp_path, name, 1)
            assert values(tmp_path, name) == {1.0}


KILLED = """
import os, signal, sys
sys.path[:0] = [{here!r}]
from pathlib import Path
import test_write_together as here
function, number = {function!r}, {number}
if function:
    real, calls = getattr(Path, function), []
    def renaming(path, final):
        calls.append(final)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(path, final)
    setattr(Path, function, renaming)
    progress = None
else:
    progress = lambda done: os.kill(os.getpid(), signal.SIGKILL)
here.put(Path({folder!r}), {name!r}, 2, force=True, progress=progress)
"""


def killed(folder, name, function, number):
    """Whether a process that replaces an output was killed at that point."""
    script = KILLED.format(here=str(HERE), folder=str(folder), name=name, function=function, number=number)
    return (
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == -signal.SIGKILL
    )


@pytest.mark.parametrize(("function", "number"), [("", 1), ("rename", 2), ("replace", 1), ("replace", 2)])
@pytest.mark.parametrize("name", ["w.npz", *SEVERAL])
def test_a_kill_never_leaves_a_mixture_that_loads(name, function, number, tmp_path):
    put(tmp_path, name, 1)
    files = outputs(tmp_path)
    if not killed(tmp_path, name, function, number):
        assert name not in SEVERAL
        assert values(tmp_path, name) == {2.0}
        return
    try:
        assert values(tmp_path, name) == {1.0}
    except RemapError:
        assert function, "nothing had been renamed"
        assert name in SEVERAL
        kept = [path for path in tmp_path.iterdir() if path.name.endswith(".old")]
        assert kept, "the old output is still there, under another name"
    assert outputs(tmp_path) != files, "it left something"
    put(tmp_path, name, 3, force=True)
    assert values(tmp_path, name) == {3.0}
    assert outputs(tmp_path) == files, "the next run clears it away"


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_a_living_run_is_writing_is_left_alone(name, tmp_path):
    with Staging() as staging:
        first = staging.temporary(tmp_path / name)
        others = [staging.temporary(tmp_path / f"{name}.{number}") for number in range(3)]
        put(tmp_path, name, 2, force=True)
        assert all(path.exists() for path in (first, *others))
    assert values_are_empty(tmp_path / name)


def values_are_empty(path):
    return path.stat().st_size == 0


def test_without_locks_nothing_of_others_is_removed(tmp_path, monkeypatch):
    left = tmp_path / ".w.npz.0123abcd.tmp"
    left.write_text("of a run that may be alive")
    with monkeypatch.context() as patch:
        patch.setattr(temporary, "fcntl", None)
        put(tmp_path, "w.npz", 1)
        assert left.exists()
    put(tmp_path, "w.npz", 2, force=True)
    assert not left.exists()


def test_files_of_others_that_are_called_alike_stay(tmp_path):
    strange = [".w.npz.tmp", ".w.npz.123.tmp", ".v.npz.0123abcd.tmp", "w.npz.0123abcd.tmp", ".w.npz.0123ABCD.tmp"]
    for name in strange:
        (tmp_path / name).touch()
    put(tmp_path, "w.npz", 1)
    assert all((tmp_path / name).exists() for name in strange)


def test_two_processes_of_one_number_do_not_meet(tmp_path, monkeypatch):
    """In two containers that share a folder both can be number 1."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with Staging() as outer:
        outer.temporary(tmp_path / "w.txt").write_text("outer")
        with Staging() as inner:
            inner.temporary(tmp_path / "w.txt").write_text("inner")
        assert (tmp_path / "w.txt").read_text() == "inner"
    assert (tmp_path / "w.txt").read_text() == "outer"
    assert outputs(tmp_path) == ["w.txt"]


def test_an_output_that_appears_meanwhile_is_not_replaced_unasked(tmp_path):
    def meanwhile(done):
        (tmp_path / "w.npz").write_text("mine")

    with pytest.raises(UsageError, match="exists already"):
        put(tmp_path, "w.npz", 1, progress=meanwhile)
    assert (tmp_path / "w.npz").read_text() == "mine"
    assert outputs(tmp_path) == ["w.npz"]


def test_the_token_is_another_where_one_exists(tmp_path, monkeypatch):
    tokens = iter(["00000000", "11111111"])
    monkeypatch.setattr(temporary, "new_token", lambda: next(tokens))
    (tmp_path / ".w.npz.00000000.tmp").write_text("mine")
    handle = os.open(tmp_path / ".w.npz.00000000.tmp", os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    put(tmp_path, "w.npz", 1)
    assert (tmp_path / ".w.npz.00000000.tmp").read_text() == "mine"
    os.close(handle)


WRITER = """
import sys
sys.path[:0] = [{here!r}]
from pathlib import Path
import test_write_together as here
print("ready", flush=True)
sys.stdin.readline()
for turn in range(20):
    here.put(Path({folder!r}), {name!r}, {value}, force=True)
"""


@pytest.mark.parametrize("name", SEVERAL)
def test_two_that_write_one_output_at_once_do_not_mix(name, tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER.format(here=str(HERE), folder=str(tmp_path), name=name, value=value)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for value in (1, 2)
    ]
    for writer in writers:
        writer.stdout.readline()
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        _, said = writer.communicate(timeout=60)
        assert writer.returncode == 0, said
    assert values(tmp_path, name) in ({1.0}, {2.0})
    assert not [each for each in outputs(tmp_path) if each.startswith(".")]


def test_the_pointer_of_a_folder_belongs_to_who_wrote_it(tmp_path):
    mine = 'model_checkpoint_path: "step-1000"\nall_model_checkpoint_paths: "step-1000"\n'
    (tmp_path / "checkpoint").write_text(mine)
    written = put(tmp_path, "w.ckpt", 1)
    assert (tmp_path / "checkpoint").read_text() == mine
    assert "tf.train.latest_checkpoint gives step-1000" in written.load_line
    assert all(line.startswith("#") for line in written.load_line.splitlines() if "latest_checkpoint" in line)


@pytest.mark.parametrize("latest", ["{name}", "{folder}/{name}"])
def test_a_pointer_to_this_output_stays_as_it_is(latest, tmp_path):
    mine = f'model_checkpoint_path: "{latest.format(name="w.ckpt", folder=tmp_path)}"\nlast_preserved_timestamp: 7.0\n'
    (tmp_path / "checkpoint").write_text(mine)
    written = put(tmp_path, "w.ckpt", 1)
    assert (tmp_path / "checkpoint").read_text() == mine
    assert "latest_checkpoint" not in written.load_line


def test_a_folder_without_a_pointer_gets_one(tmp_path):
    written = put(tmp_path, "w.ckpt", 1)
    assert 'model_checkpoint_path: "w.ckpt"' in (tmp_path / "checkpoint").read_text()
    assert "latest_checkpoint" not in written.load_line
