"""Any framework's tensor becomes the numpy array that holds the same bits."""

from __future__ import annotations

import subprocess
import sys

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch
from jax import numpy as jnp

import remap
from remap.errors import CheckpointError
from remap.tensors.to_numpy import is_tensor, to_numpy

ARRAY = np.arange(6, dtype="f4").reshape(2, 3) - 2.5
BFLOAT16, E4M3, E5M2 = ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2

TENSORS = {
    "numpy": (ARRAY, ARRAY),
    "a number of numpy": (np.float64(3.5), np.array(3.5)),
    "torch": (torch.tensor(ARRAY), ARRAY),
    "torch, transposed": (torch.tensor(ARRAY).T, ARRAY.T),
    "torch, with a gradient": (torch.nn.Parameter(torch.tensor(ARRAY)), ARRAY),
    "torch bfloat16": (torch.tensor(ARRAY).bfloat16(), ARRAY.astype(BFLOAT16)),
    "torch bfloat16, one number": (torch.tensor(1.5, dtype=torch.bfloat16), np.array(1.5, BFLOAT16)),
    "torch float8": (torch.tensor(ARRAY).to(torch.float8_e4m3fn), ARRAY.astype(E4M3)),
    "torch float8, transposed": (torch.tensor(ARRAY).to(torch.float8_e5m2).T, ARRAY.astype(E5M2).T),
    "torch complex, conjugated": (torch.tensor(ARRAY * 1j).conj(), np.conj(ARRAY * 1j)),
    "torch, imaginary part of a conjugate": (torch.tensor(ARRAY * 1j).conj().imag, -ARRAY),
    "tensorflow": (tf.constant(ARRAY), ARRAY),
    "tensorflow bfloat16": (tf.cast(tf.constant(ARRAY), tf.bfloat16), ARRAY.astype(BFLOAT16)),
    "a variable of tensorflow": (tf.Variable(ARRAY), ARRAY),
    "jax": (jnp.asarray(ARRAY), ARRAY),
    "jax bfloat16": (jnp.asarray(ARRAY, jnp.bfloat16), ARRAY.astype(BFLOAT16)),
    "jax float8": (jnp.asarray(ARRAY, jnp.float8_e4m3fn), ARRAY.astype(E4M3)),
    "a variable of Keras": (keras.Variable(ARRAY), ARRAY),
    "a variable of Keras, bfloat16": (keras.Variable(ARRAY, dtype="bfloat16"), ARRAY.astype(BFLOAT16)),
}


@pytest.mark.parametrize("name", TENSORS)
def test_every_bit_stays(name):
    tensor, expected = TENSORS[name]
    array = to_numpy(tensor)
    assert is_tensor(tensor)
    assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
    assert array.tobytes() == expected.tobytes()


def test_weights_of_tf_keras():
    layer = tf_keras.layers.Dense(3)
    layer.build((None, 2))
    layer.set_weights([ARRAY, np.ones(3, "f4")])
    assert all(is_tensor(weight) for weight in layer.weights)
    np.testing.assert_array_equal(to_numpy(layer.kernel), ARRAY)


@pytest.mark.parametrize("value", [None, 1.0, [1.0, 2.0], "text", torch.nn.Linear(2, 2), torch.float32])
def test_what_is_no_tensor(value):
    assert not is_tensor(value)


def test_state_dicts_without_numbers_are_refused_by_name():
    state = {"a": torch.zeros(2), "b": torch.zeros(2, device="meta"), "c": torch.eye(2).to_sparse()}
    with pytest.raises(CheckpointError) as caught:
        remap.load_into(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), "resnet", state)
    assert [(problem.where, problem.what) for problem in caught.value.problems] == [
        ("b", "a tensor has no numbers"),
        ("c", "a tensor is none that an array can hold"),
    ]


def test_no_framework_is_imported():
    script = (
        "import sys, numpy as np\n"
        "from remap.tensors.to_numpy import to_numpy\n"
        "to_numpy(np.zeros(2))\n"
        "print([name for name in ('torch', 'tensorflow', 'jax', 'keras') if name in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["numpy", "torch", "tensorflow", "torch bfloat16"])
def test_nothing_is_copied(name):
    tensor, _ = TENSORS[name]
    assert np.shares_memory(to_numpy(tensor).view("u1"), to_numpy(tensor).view("u1"))
