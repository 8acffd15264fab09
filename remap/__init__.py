"""remap: PyTorch checkpoints into Keras weights, by rule files, proved in your own model.

>>> import remap
>>> remap.load_rules("resnet").about.source
'torchvision ResNet-50/101/152'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from remap.api import apply, check, load_into, load_rules, open_checkpoint, plan
    from remap.errors import RemapError
    from remap.proof import record, verify

__all__ = [
    "RemapError",
    "__version__",
    "apply",
    "check",
    "load_into",
    "load_rules",
    "open_checkpoint",
    "plan",
    "record",
    "verify",
]


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: ``import remap`` alone costs nothing."""
    if name == "RemapError":
        from remap.errors import RemapError

        return RemapError
    if name in ("record", "verify"):
        import remap.proof

        return getattr(remap.proof, name)
    if name in __all__:
        import remap.api

        return getattr(remap.api, name)
    raise AttributeError(f"module 'remap' has no attribute {name!r}")
