"""Settings that both sides state, held against each other without running anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from remap.proving.numerics.window import WindowSetting
from remap.proving.settings import keras_window, torch_window

Stated = Mapping[str, Any]


def window_differs(
    setting: WindowSetting, kinds: tuple[str, ...]
) -> Callable[[Stated, Stated], tuple[str, str] | None]:
    """Whether a setting that a window has along each axis differs.

    Args:
        setting: Kernel, strides or dilation.
        kinds: How PyTorch's functions begin that it is asked of.
    """

    def differs(torch: Stated, keras: Stated) -> tuple[str, str] | None:
        kind = str(torch.get("kind", ""))
        if not kind.startswith(kinds):
            return None
        rank = int(kind[-2])
        return apart(torch_window(torch, rank)[setting], keras_window(keras, rank)[setting])

    return differs


def apart(theirs: object, ours: object) -> tuple[str, str] | None:
    """Both values in words where they differ and both are stated.

    >>> apart(1e-5, 1e-3), apart(2, 2), apart(None, 2)
    (('1e-05', '0.001'), None, None)
    """
    return None if None in (theirs, ours) or theirs == ours else (str(theirs), str(ours))
