"""A setting in which a Keras layer and its PyTorch module disagree."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One setting that differs between a module and a layer.

    Args:
        layer: Path of the Keras layer.
        module: Path of the PyTorch module.
        setting: ``padding``, ``strides``, ``epsilon`` ...
        torch: PyTorch's value.
        keras: Keras's value.
        note: What it does, or why it does nothing.
        harmless: Whether outputs are equal all the same.
        code: Code of the cause that it would be, of :data:`remap.proving.causes.BY_CODE`; empty where none is known.
    """

    layer: str
    module: str
    setting: str
    torch: str
    keras: str
    note: str = ""
    harmless: bool = False
    code: str = ""
