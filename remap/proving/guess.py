"""Inputs whose kind had to be guessed: where outputs differ, the likelier kinds are tried."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from remap.proving.difference import Tolerance
from remap.proving.inputs import InputSpec, draw, spelled
from remap.proving.options import VerifyOptions
from remap.proving.outputs import compare_outputs, leave_out
from remap.proving.rows import Outcome
from remap.sides.feed import InputKind, KerasInput
from remap.sides.keras.side import KerasSide
from remap.sides.reference import Reference

if TYPE_CHECKING:
    from remap.sides.torch.side import TorchSide

LIKELIER = (InputKind.MASK, InputKind.POSITIONS, InputKind.LENGTHS)
"""What integers may be that nothing tells: one run of both networks each."""


def likelier(
    torch: TorchSide,
    side: KerasSide,
    specs: Sequence[InputSpec],
    model: Sequence[KerasInput] | None,
    tolerance: Tolerance,
    options: VerifyOptions,
) -> tuple[str, ...]:
    """The ``--input`` of each input that was guessed, of the first kind under which the outputs are equal.

    Args:
        torch: The PyTorch side, its weights loaded.
        side: The Keras side, likewise; its trace stays.
        specs: The inputs as they were drawn.
        model: What the Keras model says of them.
        tolerance: How far outputs may be apart.
        options: What was asked for.
    """
    from remap.sides.torch.side import run

    network = copy.deepcopy(torch.network).double() if options.float64 else torch.network
    for kind in LIKELIER:
        tried = [replace(spec, kind=kind, guessed=False) if spec.guessed else spec for spec in specs]
        feeds = draw(tried, model, options.seed)
        other = KerasSide(side.model, side.survey, side.title)
        try:
            reference = Reference("", feeds, run(network, torch.title, feeds))
            other.run(feeds)
        except Exception:  # a network that does not take this kind does not speak for it
            continue
        leave_out(options.ignore_outputs, reference, other)
        rows = compare_outputs(reference.trace, other.trace, tolerance)
        if rows and all(row.outcome == Outcome.EQUAL for row in rows):
            return tuple(spelled(spec) for spec, before in zip(tried, specs, strict=True) if before.guessed)
    return ()
