"""What the variables of a layer hold where the layer is to do nothing."""

from __future__ import annotations

import numpy as np

from remap.inventory.inventory import Inventory, Variable

_MAPPINGS = ("Dense", "Conv1D", "Conv2D", "Conv3D")


def identity_values(variable: Variable, target: Inventory) -> float | np.ndarray | None:
    """The constant or the array that makes the variable's layer the identity, None where there is none.

    A BatchNormalization does nothing with a moving_variance of ``1 - epsilon``; a Dense or a convolution of size 1 with
    a one from each channel to itself.
    """
    layer, name = target.layers[variable.layer], variable.path.rpartition("/")[2]
    if layer.class_name == "BatchNormalization":
        epsilon = layer.settings.get("epsilon", 1e-3)
        return {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0 - epsilon}.get(name)
    if layer.class_name not in _MAPPINGS or name not in ("kernel", "bias"):
        return None
    if name == "bias":
        return 0.0
    *sizes, before, after = variable.shape
    square = before == after and all(size == 1 for size in sizes)
    return np.eye(before).reshape(variable.shape) if square else None
