"""A grouped convolution that is a dense one on the other side."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.window import windows
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.keras.rerun import arrays_of
from remap.sides.operation import CHANNELS, POOLING, Settings


def trials(site: Site) -> Iterator[Trial]:
    """A dense kernel without its numbers outside of the blocks that PyTorch's groups have."""
    for window in site.once(windows):
        step, groups = window.step, int(window.event.settings.get("groups", 1))
        kernel = arrays_of(step.layer).get("kernel") if step.operation not in POOLING else None
        if groups == 1 or kernel is None or kernel.shape[-2] != step.inputs[0].shape[-1]:
            continue
        blocks = np.zeros(kernel.shape[-2:], bool)
        rows, columns = kernel.shape[-2] // groups, kernel.shape[-1] // groups
        for group in range(groups):
            blocks[group * rows : (group + 1) * rows, group * columns : (group + 1) * columns] = True
        yield Trial(
            f"{groups} groups, as PyTorch has",
            partial(step.rerun, None, {"kernel": kernel * blocks}),
            window.position,
            hint=f"give the Keras layer groups={groups}",
        )


def differs(torch: Settings, keras: Settings) -> tuple[str, str] | None:
    """Both numbers of groups; as many as there are channels are no finding, whatever that number is."""
    theirs, ours = torch.get("groups", 1), keras.get("groups")
    return None if ours in (None, CHANNELS, theirs) else (str(theirs), str(ours))


CAUSE = Cause(
    "V111",
    "groups",
    "PyTorch's convolution sees its channels in groups, Keras's sees all of them",
    "model",
    "give the Keras layer PyTorch's number of groups",
    trials,
    differs,
)
