"""What Keras 3 and tf_keras (Keras 2) call differently on their live objects."""

from __future__ import annotations

import sys
from typing import Any


def framework_of(model: Any) -> Any:
    """The module, ``keras`` or ``tf_keras``, that a model belongs to."""
    return sys.modules[next(root for root in _roots(model) if root in ("keras", "tf_keras"))]


def is_keras2(thing: Any) -> bool:
    """Whether a layer or model is one of tf_keras."""
    return "tf_keras" in _roots(thing)


def _roots(thing: Any) -> list[str]:
    return [base.__module__.split(".")[0] for base in type(thing).__mro__]


def clear_sessions() -> None:
    """Let automatic names start afresh, in every Keras that is loaded."""
    for name in ("keras", "tf_keras"):
        if name in sys.modules:
            sys.modules[name].backend.clear_session()


def path_of(variable: Any) -> str:
    """Scopes and name of a variable; tf_keras has them in the name, with ``:0`` behind."""
    return str(variable.path if hasattr(variable, "path") else variable.name.split(":")[0])


def legacy_name(variable: Any) -> str:
    """What the legacy ``.h5`` layout calls a variable."""
    return str(variable.path if hasattr(variable, "path") else variable.name)


def dtype_name(variable: Any) -> str:
    """``float32`` ..."""
    return str(getattr(variable.dtype, "name", variable.dtype))
