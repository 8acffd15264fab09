"""Shards, archives, arrays by name and TensorFlow checkpoints, each read by the framework's own public call."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from plans import filling, h5_target, numbers, plan_of
from safetensors.numpy import load_file
from test_write_files import leftovers
from test_write_keras import assert_holds, build, fresh, load, models

from remap.errors import UsageError, WriteError
from remap.sides.keras.keras_model import inventory_of
from remap.writing.write import write

DTYPES = ["f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


def of_every_dtype():
    """Arrays of every plain element type, an empty one, a single number, and enough to fill several index blocks."""
    arrays = {f"{dtype.replace('?', 'b')}/kernel": numbers((3, 5), np.dtype(dtype), 7) for dtype in DTYPES}
    arrays |= {"single": numbers((), np.dtype("f4"), 8), "empty/kernel": np.empty((0, 4), "f4")}
    return arrays | {f"many/{number}/kernel": numbers((2,), np.dtype("f4"), number) for number in range(300)}


def assert_equal(found, array, name):
    assert found.dtype == array.dtype, name
    assert found.shape == array.shape, name
    assert np.array_equal(found, array), name


@pytest.mark.parametrize("kind", ["residual", "nested", "recurrent", "attention", "spectral", "bfloat16"])
def test_shards_load_in_keras(kind, tmp_path):
    target = inventory_of(build(kind))
    plan, arrays = filling(target, tmp_path)
    written = write(plan, tmp_path / "w.weights.json", max_shard_size=largest_group(target) / 1e9)
    shards = [path for path in written.paths if path.suffix == ".h5"]
    assert len(shards) > 1
    assert sorted(path.name for path in shards) == [f"w_{number:05}.weights.h5" for number in range(len(shards))]
    model = fresh(kind)
    load(model, written.load_line)
    assert_holds(model, target, arrays)


def largest_group(target):
    groups = Counter()
    for variable in target.variables:
        for (path,) in variable.at("weights_h5"):
            nbytes = int(np.prod(variable.shape)) * (2 if variable.dtype == "bfloat16" else 4)
            groups[path.rpartition("/")[0]] += nbytes
    return max(groups.values())


def test_a_group_larger_than_a_shard_is_told(tmp_path):
    plan = plan_of({"a/kernel": np.ones(100, "f4")}, tmp_path, h5_target({"a/kernel": (100,)}))
    with pytest.raises(UsageError, match="do not fit a shard"):
        write(plan, tmp_path / "w.weights.json", max_shard_size=1e-7)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("size", [0, -1, float("nan")])
def test_a_shard_has_a_size(size, tmp_path):
    plan = plan_of({"a/kernel": np.ones(100, "f4")}, tmp_path, h5_target({"a/kernel": (100,)}))
    with pytest.raises(UsageError, match="shards of no size"):
        write(plan, tmp_path / "w.weights.json", max_shard_size=size)
    with pytest.raises(UsageError, match="is for shards"):
        write(plan, tmp_path / "w.weights.h5", max_shard_size=1.0)
    assert leftovers(tmp_path) == []


def test_shards_name_every_group_as_a_plain_string(tmp_path):
    plan = plan_of(
        {"a/x": np.ones(100, "f4"), "b/x": np.ones(100, "f4")}, tmp_path, h5_target({"a/x": (100,), "b/x": (100,)})
    )
    write(plan, tmp_path / "w.weights.json", max_shard_size=5e-7)
    index = json.loads((tmp_path / "w.weights.json").read_text())
    assert index["weight_map"] == {"/a/x/vars": "w_00000.weights.h5", "/b/x/vars": "w_00001.weights.h5"}
    assert index["metadata"]["total_size"] == 800


@pytest.mark.parametrize("kind", ["residual", "nested", "bfloat16"])
def test_a_keras_archive_gets_new_weights(kind, tmp_path):
    target = inventory_of(build(kind))
    plan, arrays = filling(target, tmp_path)
    fresh(kind).save(tmp_path / "old.keras")
    written = write(plan, tmp_path / "new.keras", model_archive=tmp_path / "old.keras")
    scope = {}
    keras.backend.clear_session()
    exec(written.load_line, scope)
    assert_holds(scope["model"], target, arrays)
    with zipfile.ZipFile(tmp_path / "old.keras") as old, zipfile.ZipFile(tmp_path / "new.keras") as new:
        assert new.testzip() is None
        assert sorted(new.namelist()) == sorted(old.namelist())
        for name in old.namelist():
            assert (old.read(name) == new.read(name)) == (name != "model.weights.h5")
    assert leftovers(tmp_path) == ["new.keras", "old.keras"]


@pytest.mark.parametrize("content", [None, b"no archive", "empty"])
def test_a_keras_archive_wants_the_models_own(content, tmp_path):
    plan = plan_of({"a/x": np.ones(3, "f4")}, tmp_path, h5_target({"a/x": (3,)}))
    archive = None
    if content is not None:
        archive = tmp_path / "old.keras"
        if content == "empty":
            zipfile.ZipFile(archive, "w").close()
        else:
            archive.write_bytes(content)
    with pytest.raises(UsageError):
        write(plan, tmp_path / "new.keras", model_archive=archive)
    assert not (tmp_path / "new.keras").exists()


def test_safetensors_hold_every_dtype(tmp_path):
    arrays = of_every_dtype()
    arrays["half/kernel"] = numbers((3, 3), np.dtype(ml_dtypes.bfloat16), 5)
    write(plan_of(arrays, tmp_path), tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert_equal(found[name], array, name)


def test_npz_holds_every_dtype(tmp_path):
    arrays = of_every_dtype()
    half = numbers((3, 3), np.dtype(ml_dtypes.bfloat16), 5)
    write(plan_of(arrays | {"half/kernel": half}, tmp_path), tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as found, zipfile.ZipFile(tmp_path / "w.npz") as archive:
        assert archive.testzip() is None
        assert set(found) == {*arrays, "half/kernel"}
        assert_equal(found["half/kernel"].view(ml_dtypes.bfloat16), half, "half")
        for name, array in arrays.items():
            assert_equal(found[name], array, name)


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz", "w.ckpt"])
@pytest.mark.parametrize("kind", ["residual", "nested", "sequential", "twins"])
def test_files_by_name_load_in_keras_by_the_lines_given(name, kind, tmp_path):
    target = inventory_of(build(kind))
    plan, arrays = filling(target, tmp_path)
    written = write(plan, tmp_path / name)
    model = fresh(kind)
    load(model, written.load_line)
    assert_holds(model, target, arrays)


def test_a_tensorflow_checkpoint_holds_every_dtype_by_name(tmp_path):
    arrays = of_every_dtype()
    arrays["half/kernel"] = numbers((3, 3), np.dtype(ml_dtypes.bfloat16), 5)
    written = write(plan_of(arrays, tmp_path), tmp_path / "w.ckpt")
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(written.path)
    reader = tf.train.load_checkpoint(str(written.path))
    assert reader.get_variable_to_shape_map() == {name: list(array.shape) for name, array in arrays.items()}
    for name, array in arrays.items():
        found = reader.get_tensor(name)
        assert_equal(np.asarray(found), array, name)


def test_a_tensorflow_1_saver_restores_by_name(tmp_path):
    arrays = {"layer/kernel": numbers((3, 4), np.dtype("f4"), 0), "layer/bias": numbers((4,), np.dtype("f4"), 1)}
    write(plan_of(arrays, tmp_path), tmp_path / "w.ckpt")
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        variables = {name: v1.get_variable(name, array.shape) for name, array in arrays.items()}
        v1.train.Saver(variables).restore(session, str(tmp_path / "w.ckpt"))
        for name, variable in variables.items():
            assert_equal(session.run(variable), arrays[name], name)


def test_a_damaged_byte_of_a_checkpoint_is_noticed_by_tensorflow(tmp_path):
    """The checksums are true ones."""
    write(plan_of({"a/x": np.ones(100, "f4")}, tmp_path), tmp_path / "w.ckpt")
    data = tmp_path / "w.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1] + b"!")
    with pytest.raises(tf.errors.OpError, match="Checksum does not match"):
        tf.train.load_checkpoint(str(tmp_path / "w.ckpt")).get_tensor("a/x")


def test_files_of_one_output_appear_together_or_not_at_all(tmp_path):
    arrays = {"a/x": np.ones(3, "f4"), "b/x": np.array([1e9], "f4")}
    target = h5_target({"a/x": (3,), "b/x": (1,)})
    plan = plan_of(arrays, tmp_path, target, dtypes={"b/x": "float16"})
    for name in ("w.weights.json", "w.ckpt", "w.npz", "w.safetensors"):
        with pytest.raises(Exception, match="do not fit the element type"):
            write(plan, tmp_path / name)
        assert leftovers(tmp_path) == [], name


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("name", ["w.weights.json", "w.ckpt"])
def test_a_rename_that_fails_in_the_middle_leaves_what_was_there(name, existing, tmp_path, monkeypatch):
    target = h5_target({"a/x": (3,), "b/x": (3,)})
    arrays = {"a/x": np.ones(3, "f4"), "b/x": np.ones(3, "f4")}
    options = {"max_shard_size": 1.5e-8} if name == "w.weights.json" else {}
    if existing:
        write(plan_of(arrays, tmp_path, target), tmp_path / name, **options)
    before = {path: (tmp_path / path).read_bytes() for path in leftovers(tmp_path)}
    assert len(before) == 3 * existing
    for failing in (2, 3):
        plan = plan_of({key: array * 7 for key, array in arrays.items()}, tmp_path, target)
        real, calls = Path.replace, []

        def replace(path, final, real=real, calls=calls, failing=failing):
            calls.append(final)
            if len(calls) == failing:
                raise OSError("the disk says no")
            return real(path, final)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            with pytest.raises(WriteError, match="the disk says no"):
                write(plan, tmp_path / name, force=existing, **options)
        assert {path: (tmp_path / path).read_bytes() for path in leftovers(tmp_path)} == before


def test_no_file_of_an_output_is_replaced_unasked(tmp_path):
    plan = plan_of({"a/x": np.ones(3, "f4")}, tmp_path, h5_target({"a/x": (3,)}))
    for name, part in (("w.weights.json", "w_00000.weights.h5"), ("w.ckpt", "w.ckpt.index")):
        (tmp_path / part).write_text("mine")
        with pytest.raises(UsageError, match="exists"):
            write(plan, tmp_path / name)
        assert (tmp_path / part).read_text() == "mine"
        write(plan, tmp_path / name, force=True)
        assert (tmp_path / part).read_bytes() != b"mine"


def test_the_weights_of_an_archive_are_plain_hdf5(tmp_path):
    keras.backend.clear_session()
    target = inventory_of(models.sequential)
    plan, _ = filling(target, tmp_path)
    fresh("sequential").save(tmp_path / "old.keras")
    write(plan, tmp_path / "new.keras", model_archive=tmp_path / "old.keras")
    write(plan, tmp_path / "w.weights.h5")
    with zipfile.ZipFile(tmp_path / "new.keras") as archive:
        assert archive.read("model.weights.h5") == (tmp_path / "w.weights.h5").read_bytes()
    assert h5py.is_hdf5(tmp_path / "w.weights.h5")
