"""Files of the Keras and TensorFlow side are read as they were written by Keras and TensorFlow."""

from __future__ import annotations

import struct
from importlib.metadata import distribution

import keras
import numpy as np
import pytest
import tensorflow as tf

import remap
from remap.opening.anything import open_weights


def model() -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.Flatten(),
            keras.layers.Dense(5, name="head"),
        ]
    )


def values(path) -> list[np.ndarray]:
    """All arrays of a file, largest first: sizes are different enough to tell the kernels apart."""
    return sorted((tensor.array() for tensor in open_weights(path).values()), key=lambda a: (-a.size, a.tobytes()))


def expected(found: keras.Model) -> list[np.ndarray]:
    return sorted((v.numpy() for v in found.weights), key=lambda a: (-a.size, a.tobytes()))


def same(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
    return len(left) == len(right) and all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("name", ["m.weights.h5", "m.keras", "m.h5"])
def test_files_that_keras_wrote(name, tmp_path):
    written = model()
    if name == "m.weights.h5":
        written.save_weights(tmp_path / name)
    else:
        written.save(tmp_path / name)
    assert same(values(tmp_path / name), expected(written))


def test_sharded_weights_that_keras_wrote(tmp_path):
    written = model()
    written.save_weights(tmp_path / "m.weights.json", max_shard_size=3e-6)
    assert len(list(tmp_path.glob("*.weights.h5"))) > 1
    assert same(values(tmp_path / "m.weights.json"), expected(written))
    next(tmp_path.glob("*_00001.weights.h5")).unlink()
    with pytest.raises(remap.RemapError, match="shard is missing"):
        open_weights(tmp_path / "m.weights.json")


def test_bfloat16_is_read_as_keras_stores_it(tmp_path):
    layer = keras.layers.Dense(3, dtype="bfloat16")
    written = keras.Sequential([keras.Input((4,)), layer])
    written.save_weights(tmp_path / "m.weights.h5")
    kernel = next(t for t in open_weights(tmp_path / "m.weights.h5").values() if t.shape == (4, 3))
    assert kernel.dtype.name == "bfloat16"
    assert np.array_equal(kernel.array().astype("f4"), tf.cast(layer.kernel.value, "float32").numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int8", "uint8", "bool", "complex64"])
def test_tensorflow_checkpoint_of_every_dtype(dtype, tmp_path):
    generator = np.random.default_rng(5)
    arrays = {
        f"scope{i}/x{j}": (generator.standard_normal((i + 1, j + 2)) * 9).astype(dtype)
        for i in range(3)
        for j in range(40)
    }
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "ck"),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=[tf.constant(array) for array in arrays.values()],
    )
    for name in ("ck", "ck.index", "ck.data-00000-of-00001"):
        found = open_weights(tmp_path / name)
        assert found.keys() == arrays.keys()
        assert all(np.array_equal(found[key].array(), array) for key, array in arrays.items())


def test_published_object_based_checkpoint():
    prefix = str(
        distribution("basic-pitch").locate_file("basic_pitch/saved_models/icassp_2022/nmp/variables/variables")
    )
    judge = tf.train.load_checkpoint(prefix)
    found = open_weights(prefix)
    ending = "/.ATTRIBUTES/VARIABLE_VALUE"
    names = {name.removesuffix(ending): name for name in judge.get_variable_to_shape_map()}
    numbers = {short for short, name in names.items() if judge.get_tensor(name).__class__ is not bytes}
    assert set(found) == numbers
    for short in numbers:
        assert np.array_equal(found[short].array(), judge.get_tensor(names[short])), short


def test_truncated_indexes_are_refused(tmp_path):
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "ck"),
        tensor_names=[f"v{i}" for i in range(50)],
        shape_and_slices=[""] * 50,
        tensors=[tf.constant(np.full(3, i, "f4")) for i in range(50)],
    )
    index = tmp_path / "ck.index"
    good = index.read_bytes()
    for length in range(0, len(good), 7):
        index.write_bytes(good[:length])
        with pytest.raises(remap.RemapError):
            open_weights(tmp_path / "ck")
    index.write_bytes(good[:-8] + struct.pack("<Q", 1))
    with pytest.raises(remap.RemapError, match="damaged TensorFlow checkpoint"):
        open_weights(tmp_path / "ck")
