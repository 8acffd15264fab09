"""Names that a format cannot hold, or holds at a price: each is refused before anything is written, or costs little."""

from __future__ import annotations

import resource
import time

import h5py
import msgspec
import numpy as np
import pytest
from plans import h5_target, plan_of
from test_write_files import leftovers, names

from remap.errors import RemapError
from remap.opening.anything import open_weights
from remap.writing.write import write

ONE = np.ones(2, "f4")
HALF = chr(0xD800)


@pytest.mark.parametrize("name", ["w.h5", "w.npz", "w.safetensors", "w.ckpt"])
def test_half_of_a_character_is_no_name(name, tmp_path):
    with pytest.raises(RemapError, match=r"name is no text(.|\n)*ud800"):
        write(plan_of({f"a/{HALF}": ONE, "b": ONE}, tmp_path), tmp_path / name)
    assert leftovers(tmp_path) == []


def test_a_name_longer_than_an_archive_has_room_for(tmp_path):
    longest = "n" * (0xFFFF - len(".npy"))
    write(plan_of({longest: ONE}, tmp_path), tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as archive:
        assert archive[longest].tolist() == ONE.tolist()
    with pytest.raises(RemapError, match=r"too long for an archive(.|\n)*65,536 bytes"):
        write(plan_of({longest + "n": ONE}, tmp_path), tmp_path / "v.npz")
    assert leftovers(tmp_path) == ["w.npz"]


@pytest.mark.parametrize("name", ["a/x\0y", "a\0b/x", "\0"])
@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_hdf5_holds_no_nul(name, suffix, tmp_path):
    target = h5_target({name: (2,)}) if suffix == ".weights.h5" else None
    with pytest.raises(RemapError, match="NUL character"):
        write(plan_of({name: ONE}, tmp_path, target), tmp_path / f"w{suffix}")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("paths", [["a/x", "a//x"], ["a/x", "a/./x"], ["a/x", "/a/x"], ["a/x", "a/x/y"], ["a/x", "a"]])
def test_names_that_are_one_place_in_hdf5(paths, tmp_path):
    target = h5_target({"first": (2,), "second": (2,)})
    variables = tuple(
        msgspec.structs.replace(variable, places={"weights_h5": ((path,),)})
        for variable, path in zip(target.variables, paths, strict=True)
    )
    target = msgspec.structs.replace(target, variables=variables)
    with pytest.raises(RemapError, match="two variables have one place"):
        write(plan_of({"first": ONE, "second": ONE}, tmp_path, target), tmp_path / "w.weights.h5")
    assert leftovers(tmp_path) == []


def test_a_name_longer_than_an_attribute_is_told(tmp_path):
    with pytest.raises(RemapError, match=r"no room for a name(.|\n)*70,002 bytes"):
        write(plan_of({"n" * 70_000: ONE}, tmp_path), tmp_path / "w.h5")
    assert leftovers(tmp_path) == []


def test_thousands_of_names_with_long_ones_among_them_cost_no_more_than_themselves(tmp_path):
    """Not each as much as the longest."""
    arrays = {f"layer_{number}/kernel": ONE for number in range(3000)} | {f"{'n' * 30_000}/kernel": ONE}
    plan = plan_of(arrays, tmp_path)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    write(plan, tmp_path / "w.h5")
    assert time.process_time() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert (tmp_path / "w.h5").stat().st_size < 10_000_000
    with h5py.File(tmp_path / "w.h5") as file:
        parts = sorted((key for key in file.attrs if key.startswith("layer_names")), key=lambda key: int(key[11:]))
        assert [name for part in parts for name in names(file.attrs[part])] == [name.split("/")[0] for name in arrays]


def test_what_is_written_under_long_names_can_be_read(tmp_path):
    name = f"{'n' * 5000}/kernel"
    write(plan_of({name: ONE}, tmp_path), tmp_path / "w.h5")
    assert len(open_weights(tmp_path / "w.h5")) == 1
