"""Build a Keras model without its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_weights(keras: Any) -> Iterator[Any]:
    """Inside, models are built with all names and shapes but no weight is allocated; gives the ``StatelessScope``.

    Their variables stay without a value afterwards; call ``keras.backend.clear_session()`` when done with the model, or
    Keras allocates them all at the next opportunity. What cannot be made otherwise keeps its values: the two scalars of
    an optimizer, should the model be compiled, and a ``keras.Variable`` made of an array.
    """
    scope = keras.StatelessScope(initialize_variables=False)
    outside = False

    def made_outside(original: Callable[..., None], concerned: Callable[..., bool]) -> Callable[..., None]:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            nonlocal outside
            if outside or not concerned(*args, **kwargs):
                original(self, *args, **kwargs)
                return
            scope.__exit__(None, None, None)
            outside = True
            try:
                original(self, *args, **kwargs)
            finally:
                outside = False
                scope.__enter__()

        return init

    optimizer, variable = keras.optimizers.Optimizer, keras.Variable
    originals = optimizer.__init__, variable.__init__
    optimizer.__init__ = made_outside(optimizer.__init__, lambda *_, **__: True)
    variable.__init__ = made_outside(variable.__init__, _is_of_array)
    try:
        with scope:
            yield scope
    finally:
        optimizer.__init__, variable.__init__ = originals


def _is_of_array(initializer: Any, *_: Any, **__: Any) -> bool:
    return not callable(initializer) and not isinstance(initializer, str)


def is_lazy(variable: Any) -> bool:
    """Whether a Keras variable was built without its value."""
    return getattr(variable, "_value", variable) is None
