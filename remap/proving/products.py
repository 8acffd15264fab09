"""Products that a Keras layer makes of what its parts gave, as a gated network does, without a call of their own."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

from remap.proving.limits import RECENT
from remap.sides.operation import Operation
from remap.sides.trace import Call, Trace


def product(keras: Trace, value: int) -> Call | None:
    """The multiplication that made a value which no call gave; None where it is no product of two values before it.

    Args:
        keras: Keras's trace.
        value: Position of the value.

    >>> made = [Call("gate", "Dense", {}, outputs=[0]), Call("up", "Dense", {}, outputs=[1])]
    >>> trace = Trace(made, [np.array([2.0, 3.0]), np.array([5.0, 7.0]), np.array([10.0, 21.0])])
    >>> product(trace, 2).inputs
    [0, 1]
    """
    have = keras.values[value]
    if have.dtype.kind != "f" or not have.any():
        return None
    before = [
        other
        for other in keras.producers
        if other < value and keras.values[other].shape == have.shape and keras.values[other].dtype == have.dtype
    ]
    for one, other in combinations_with_replacement(sorted(before)[-RECENT:], 2):
        if np.array_equal(keras.values[one] * keras.values[other], have):
            return Call("multiply", "Multiply", {}, [one, other], [value], function=True, operation=Operation.MULTIPLY)
    return None
