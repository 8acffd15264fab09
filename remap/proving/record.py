"""The PyTorch side alone, run where PyTorch lives."""

from __future__ import annotations

from typing import Any

from remap.errors import UsageError
from remap.opening.open import open_checkpoint
from remap.proving.inputs import draw, settle_inputs
from remap.proving.options import RunOptions
from remap.proving.prepare import open_network, parsed_inputs, reference_on, without_padding
from remap.sides.reference import Reference
from remap.sides.torch.names import as_spelled
from remap.tensors.tensor import Checkpoint


def record(torch: Any, checkpoint: Any, options: RunOptions) -> Reference:
    """Run the PyTorch side, to be saved with :func:`remap.proving.recording.save_recording`.

    Args:
        torch: See :func:`remap.verify`.
        checkpoint: Its weights: a path, or a checkpoint that is open.
        options: What is asked for; there is no Keras model to infer inputs from.

    Raises:
        UsageError: No inputs are given.
    """
    from remap.sides.torch.source import load_weights

    specs = parsed_inputs(options.inputs)
    if not specs:
        raise UsageError("the inputs of a recording must be given", fix="--input float32[1,3,224,224]")
    side = open_network(torch, options.torch_args)
    settled = without_padding(settle_inputs(specs, None), side.network)
    source = checkpoint if isinstance(checkpoint, Checkpoint) else open_checkpoint(checkpoint)
    spelling = load_weights(side.network, source, lenient=True)
    feeds, other = draw(settled, None, options.seed), draw(settled, None, options.seed + 1, True)
    return as_spelled(reference_on(side, feeds, other, options), spelling, ())
