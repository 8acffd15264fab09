"""The files that are written: layout, element types, names, and that they appear whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest
from msgspec import structs
from plans import h5_target, numbers, plan_of

from remap.errors import UsageError, WriteError
from remap.formats.output import output_format
from remap.writing import fill, staging
from remap.writing.write import write

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def random(shapes, dtype="f4"):
    return {name: numbers(shape, np.dtype(dtype), seed) for seed, (name, shape) in enumerate(shapes.items())}


def datasets(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def names(value):
    return [name.decode() for name in value]


def test_legacy_layout_by_path_alone(tmp_path):
    arrays = random(
        {
            "bn/gamma": (3,),
            "bn/moving_mean": (3,),
            "bn/beta": (3,),
            "conv/kernel": (2, 2, 3, 4),
            "cls": (5,),
            "block/conv/kernel": (1, 1, 2, 2),
        }
    )
    written = write(plan_of(arrays, tmp_path), tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert names(file.attrs["layer_names"]) == ["bn", "conv", "block"]
        assert names(file["bn"].attrs["weight_names"]) == ["bn/gamma:0", "bn/beta:0", "bn/moving_mean:0"]
        assert names(file["block"].attrs["weight_names"]) == ["block/conv/kernel:0"]
        assert names(file["top_level_model_weights"].attrs["weight_names"]) == ["cls:0"]
        assert file.attrs["backend"] == "tensorflow"
        assert int(file.attrs["keras_version"].split(".")[0]) == 2
        for name, array in arrays.items():
            layer = name.split("/")[0] if "/" in name else "top_level_model_weights"
            assert np.array_equal(file[f"{layer}/{name}:0"][()], array)
    assert written.load_line == f'model.load_weights("{tmp_path / "w.h5"}", by_name=True)'
    assert written.format == "legacy_h5"
    assert written.bytes == (tmp_path / "w.h5").stat().st_size


def test_no_group_for_the_models_own_variables_where_it_has_none(tmp_path):
    write(plan_of(random({"a/kernel": (2,)}), tmp_path), tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert set(file) == {"a"}


def test_layer_names_with_slashes(tmp_path):
    arrays = random({"a/kernel": (2, 3), "a/b/kernel": (4,)})
    target = h5_target({name: array.shape for name, array in arrays.items()})
    first, second = target.variables
    renamed = (first, structs.replace(second, places={**second.places, "legacy_h5": (("a/b", "kernel:0"),)}))
    target = type(target)(**{**_fields(target), "variables": renamed, "legacy_layers": ("a", "a/b")})
    write(plan_of(arrays, tmp_path, target), tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert names(file.attrs["layer_names"]) == ["a", "a/b"]
        assert np.array_equal(file["a/b"]["kernel:0"][()], arrays["a/b/kernel"])
        assert np.array_equal(file["a"]["a/kernel:0"][()], arrays["a/kernel"])


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def test_two_variables_in_one_place_are_refused(tmp_path):
    arrays = random({"a/x": (2,), "b/x": (2,)})
    target = h5_target({name: array.shape for name, array in arrays.items()})
    first, second = target.variables
    twice = structs.replace(second, places={**second.places, "weights_h5": first.at("weights_h5")})
    target = type(target)(**{**_fields(target), "variables": (first, twice)})
    with pytest.raises(WriteError, match="two variables have one place"):
        write(plan_of(arrays, tmp_path, target), tmp_path / "w.weights.h5")
    assert [path.name for path in tmp_path.iterdir() if "w." in path.name] == []


def test_a_variable_in_the_place_of_anothers_group_is_refused(tmp_path):
    arrays = random({"a/x": (2,), "b/x": (2,)})
    target = h5_target({name: array.shape for name, array in arrays.items()})
    first, second = target.variables
    inside = structs.replace(second, places={**second.places, "weights_h5": (("a/x",),)})
    target = structs.replace(target, variables=(first, inside))
    with pytest.raises(WriteError, match="two variables have one place"):
        write(plan_of(arrays, tmp_path, target), tmp_path / "w.weights.h5")


def test_many_long_names_are_split_over_attributes(tmp_path):
    arrays = random({f"{'layer' * 40}_{number}/kernel": (1,) for number in range(700)})
    write(plan_of(arrays, tmp_path), tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        parts = sorted((key for key in file.attrs if key.startswith("layer_names")), key=lambda key: int(key[11:]))
        assert len(parts) > 1
        assert [name for part in parts for name in names(file.attrs[part])] == [name.split("/")[0] for name in arrays]


@pytest.mark.parametrize("dtype", ["f2", "f8", "i1", "i8", "u1", "u2", "?", "c8"])
@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_element_types(dtype, suffix, tmp_path):
    arrays = {
        "a/kernel": numbers((3, 4), np.dtype(dtype), 0),
        "a/count": numbers((), np.dtype(dtype), 1),
        "a/empty": np.empty((0, 3), dtype),
    }
    target = h5_target({name: array.shape for name, array in arrays.items()})
    write(plan_of(arrays, tmp_path, target), tmp_path / f"w{suffix}")
    found = datasets(tmp_path / f"w{suffix}")
    assert len(found) == 3
    for (path, value), array in zip(sorted(found.items()), (arrays[name] for name in sorted(arrays)), strict=True):
        assert value.dtype == array.dtype, path
        assert value.shape == array.shape, path
        assert np.array_equal(value, array), path


def test_legacy_holds_bfloat16_as_float32(tmp_path):
    arrays = {"a/kernel": numbers((3, 4), np.dtype(ml_dtypes.bfloat16), 0)}
    written = write(plan_of(arrays, tmp_path), tmp_path / "w.h5")
    found = datasets(tmp_path / "w.h5")["a/a/kernel:0"]
    assert found.dtype == np.float32
    assert np.array_equal(found, arrays["a/kernel"].astype("f4"))
    assert written.loss.name == ""


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_float8_is_refused(suffix, tmp_path):
    arrays = {"a/kernel": numbers((3,), np.dtype(ml_dtypes.float8_e4m3fn), 0)}
    plan = plan_of(arrays, tmp_path, h5_target({"a/kernel": (3,)}))
    with pytest.raises(UsageError, match="a/kernel") as failure:
        write(plan, tmp_path / f"w{suffix}")
    assert "float8_e4m3fn" in str(failure.value)


def test_narrowing_is_measured(tmp_path):
    array = np.array([1.0, 1 + 2**-12, 1000 + 2**-6, np.nan, np.inf, 0.0], "f4")
    written = write(plan_of({"a/x": array}, tmp_path, dtypes={"a/x": "float16"}), tmp_path / "w.h5")
    found = datasets(tmp_path / "w.h5")["a/a/x:0"]
    assert found.dtype == np.float16
    assert np.array_equal(found, array.astype("f2"), equal_nan=True)
    assert written.loss.absolute == 2**-6
    assert written.loss.relative == pytest.approx(2**-12, rel=1e-3)
    assert written.loss.name == "a/x"


def test_what_overflows_is_refused_all_of_it_at_once(tmp_path):
    arrays = {"a/x": np.array([1, 1e9], "f4"), "a/y": np.ones(3, "f4"), "b/z": np.full((300, 300), -1e6, "f4")}
    plan = plan_of(arrays, tmp_path, dtypes=dict.fromkeys(arrays, "float16"))
    with pytest.raises(WriteError) as failure:
        write(plan, tmp_path / "w.h5")
    assert {problem.where: problem.found for problem in failure.value.problems} == {
        "a/x": "1 numbers out of its range",
        "b/z": "90,000 numbers out of its range",
    }
    assert leftovers(tmp_path) == []


def test_integers_that_do_not_fit_are_refused(tmp_path):
    plan = plan_of({"a/x": np.array([1, 300])}, tmp_path, dtypes={"a/x": "int8"})
    with pytest.raises(WriteError, match="a/x"):
        write(plan, tmp_path / "w.h5")


def test_progress_adds_up(tmp_path):
    arrays = random({f"a/{number}": (100, 1000) for number in range(20)}) | {"b/half": numbers((7,), np.dtype("f2"), 0)}
    plan = plan_of(arrays, tmp_path, dtypes={"b/half": "bfloat16"})
    done = []
    write(plan, tmp_path / "w.h5", progress=done.append)
    assert len(done) == 21
    assert sum(done) == plan.nbytes


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name not in ("rules.toml", "source.bin"))


def test_an_existing_output_is_replaced_by_force_only(tmp_path):
    plan = plan_of(random({"a/x": (3,)}), tmp_path)
    (tmp_path / "w.h5").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        write(plan, tmp_path / "w.h5")
    assert (tmp_path / "w.h5").read_text() == "mine"
    write(plan, tmp_path / "w.h5", force=True)
    assert len(datasets(tmp_path / "w.h5")) == 1
    assert leftovers(tmp_path) == ["w.h5"]


def test_a_failure_leaves_the_old_output(tmp_path):
    plan = plan_of({"a/x": np.array([1e9], "f4")}, tmp_path, dtypes={"a/x": "float16"})
    (tmp_path / "w.h5").write_text("mine")
    with pytest.raises(WriteError):
        write(plan, tmp_path / "w.h5", force=True)
    assert (tmp_path / "w.h5").read_text() == "mine"
    assert leftovers(tmp_path) == ["w.h5"]


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(UsageError, match="folder does not exist"):
        write(plan_of(random({"a/x": (3,)}), tmp_path), tmp_path / "no/w.h5")


def test_an_output_that_is_a_folder_is_told(tmp_path):
    (tmp_path / "w.h5").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        write(plan_of(random({"a/x": (3,)}), tmp_path), tmp_path / "w.h5", force=True)


def test_weights_h5_wants_the_model(tmp_path):
    with pytest.raises(UsageError, match="remap target MODEL"):
        write(plan_of(random({"a/x": (3,)}), tmp_path), tmp_path / "w.weights.h5")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "format"),
    [("w.txt", None), ("w.h5", "weights_h5"), ("w.weights.h5", "legacy_h5"), ("w.h5", "onnx"), ("h5", None)],
)
def test_names_that_do_not_tell_or_contradict_the_format(name, format):
    with pytest.raises(UsageError):
        output_format(Path(name), format)


def test_too_small_a_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda folder: shutil_usage(100))
    with pytest.raises(WriteError, match="not enough room") as failure:
        write(plan_of(random({"a/x": (100,)}), tmp_path), tmp_path / "w.h5")
    assert "400 bytes" in str(failure.value)
    assert leftovers(tmp_path) == []


def shutil_usage(free):
    class Usage:
        pass

    usage = Usage()
    usage.free = free
    return usage


SLOW = """
import sys
import time
sys.path[:0] = [{root!r}, {here!r}]
import signal, time
from pathlib import Path
import numpy as np
from plans import plan_of
from remap.writing.write import write
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
def slowly(done):
    print(done, flush=True)
    time.sleep(0.2)
arrays = {{f"a/{{number}}": np.full((1000, 1000), number, "f4") for number in range(20)}}
try:
    write(plan_of(arrays, Path({folder!r})), Path({folder!r}) / "w.h5", progress=slowly)
except BaseException as error:
    print(type(error).__name__, error, flush=True)
    raise SystemExit(7)
"""


def start(folder):
    script = SLOW.format(root=str(ROOT), here=str(HERE), folder=str(folder))
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_a_killed_writer_leaves_no_output_but_a_file_that_tells_its_nature(tmp_path):
    process = start(tmp_path)
    process.stdout.readline()
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert leftovers(tmp_path) == [f".w.h5.{process.pid}.tmp"]


def test_an_interrupted_writer_cleans_up(tmp_path):
    process = start(tmp_path)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate()
    assert process.returncode == 7
    assert "KeyboardInterrupt" in out
    steps = [line for line in out.splitlines() if line.isdigit()]
    assert len(steps) < 10, "it went on, to the end of its 20 tensors perhaps"
    assert leftovers(tmp_path) == []


def test_an_interrupt_while_threads_begin_stops_those_that_work(tmp_path, monkeypatch):
    steps = []

    class Interrupted(fill.ThreadPoolExecutor):
        def submit(self, *arguments):
            if self._threads:
                while not steps:
                    time.sleep(0.001)
                raise KeyboardInterrupt
            return super().submit(*arguments)

    def step(done):
        steps.append(done)
        time.sleep(0.05)

    monkeypatch.setattr(fill, "ThreadPoolExecutor", Interrupted)
    plan = plan_of({f"a/{number}": np.full((1000, 1000), number, "f4") for number in range(20)}, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write(plan, tmp_path / "w.h5", progress=step)
    assert 0 < len(steps) < 10
    assert leftovers(tmp_path) == []


def test_a_disk_that_is_full_in_the_middle_is_told(tmp_path, monkeypatch):
    real = os.pwrite

    def pwrite(handle, data, offset):
        if offset > 4_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    plan = plan_of({f"a/{number}": np.ones((1000, 1000), "f4") for number in range(4)}, tmp_path)
    with pytest.raises(WriteError, match="the disk is full"):
        write(plan, tmp_path / "w.h5")
    assert leftovers(tmp_path) == []


def test_a_file_size_limit_is_told(tmp_path):
    array = np.ones((1000, 1000), "f4")
    plan = plan_of({f"a/{number}": array for number in range(4)}, tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000_000, hard))
    try:
        with pytest.raises(WriteError, match="cannot be written"):
            write(plan, tmp_path / "w.h5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert leftovers(tmp_path) == []


def test_the_line_that_loads_names_the_file_as_python_writes_it(tmp_path):
    path = tmp_path / 'it is "mine" \\ é.h5'
    written = write(plan_of(random({"a/x": (3,)}), tmp_path), os.fspath(path))
    assert written.path == path

    class Model:
        def load_weights(self, found, by_name):
            assert Path(found) == path
            self.by_name = by_name

    model = Model()
    exec(written.load_line, {"model": model})
    assert model.by_name
