"""Any framework's tensor as a numpy array. Imports no framework: a tensor's own module says whose it is.

Every bit stays: bfloat16 and float8 become the types of ml_dtypes, which numpy itself lacks.
"""

from __future__ import annotations

import sys
from typing import Any

import ml_dtypes
import numpy as np

from remap.errors import CheckpointError

FRAMEWORKS = ("torch", "tensorflow", "jax", "jaxlib", "keras", "tf_keras")
_NOT_OF_NUMPY = ("bfloat16", "float8")


def is_tensor(value: object) -> bool:
    """Whether a value is a numpy array, or a tensor or variable of a framework.

    >>> is_tensor(np.zeros(2)), is_tensor(np.float32(1)), is_tensor([1.0])
    (True, True, False)
    """
    if isinstance(value, np.ndarray | np.generic):
        return True
    return bool(_roots(value) & set(FRAMEWORKS)) and hasattr(value, "shape") and hasattr(value, "dtype")


def to_numpy(value: Any) -> np.ndarray:
    """The numbers of a tensor or variable, on whatever device; memory is shared where the framework allows it.

    Args:
        value: An array of numpy; a tensor of torch, TensorFlow or JAX; a variable of Keras 3 or tf_keras.

    Returns:
        An array of the same shape and element type. torch's complex32, which nothing else has, becomes complex64.

    Raises:
        CheckpointError: It has no numbers (torch's meta device), or none that an array can hold (sparse, quantized).

    >>> to_numpy(np.float32(2.0))
    array(2., dtype=float32)
    """
    if "keras" in _roots(value) and hasattr(value, "value"):
        value = value.value  # a variable of Keras 3, around a tensor of its backend
    if "torch" in _roots(value):
        return _of_torch(value)
    return np.asarray(value)  # TensorFlow's own numpy() makes a copy


def _roots(value: object) -> set[str]:
    """The packages that a value's class and its bases come from."""
    return {base.__module__.partition(".")[0] for base in type(value).__mro__}


def _of_torch(value: Any) -> np.ndarray:
    torch = sys.modules["torch"]
    with torch._C.DisableTorchFunction():  # whoever watches a network's functions sees none of these
        tensor = value.detach()
        name = str(tensor.dtype).removeprefix("torch.")
        if tensor.device.type == "meta":
            raise CheckpointError(
                "a tensor has no numbers",
                found=f"{name}{list(tensor.shape)} on torch's meta device",
                fix="load the weights into the model first",
            )
        try:
            tensor = tensor.cpu().resolve_conj().resolve_neg()
            if name.startswith(_NOT_OF_NUMPY):
                dtype = np.dtype(getattr(ml_dtypes, name))
                raw = tensor.contiguous().view(getattr(torch, f"int{dtype.itemsize * 8}"))
                return np.asarray(raw.numpy().view(dtype))
            return np.asarray((tensor.cfloat() if name == "complex32" else tensor).numpy())
        except (TypeError, RuntimeError, AttributeError) as error:
            raise CheckpointError(
                "a tensor is none that an array can hold",
                found=f"{name}, {tensor.layout}: {type(error).__name__}: {str(error)[:200]}",
                expected="a dense tensor",
            ) from error
