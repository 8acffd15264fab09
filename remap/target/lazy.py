"""Build a Keras model without its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_weights(keras: Any) -> Iterator[Any]:
    """Inside, models are built with all names and shapes but no weight is allocated; gives the ``StatelessScope``.

    Their variables stay without a value afterwards; call ``keras.backend.clear_session()`` when done with the model, or
    Keras allocates them all at the next opportunity. An optimizer, should the model be compiled, keeps its two
    scalars: it cannot be made otherwise.
    """
    scope = keras.StatelessScope(initialize_variables=False)
    optimizer = keras.optimizers.Optimizer
    original = optimizer.__init__

    def init_outside(self: Any, *args: Any, **kwargs: Any) -> None:
        scope.__exit__(None, None, None)
        try:
            original(self, *args, **kwargs)
        finally:
            scope.__enter__()

    optimizer.__init__ = init_outside
    try:
        with scope:
            yield scope
    finally:
        optimizer.__init__ = original


def is_lazy(variable: Any) -> bool:
    """Whether a Keras variable was built without its value."""
    return getattr(variable, "_value", variable) is None
