"""The PyTorch side alone, run where PyTorch lives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from remap.arguments import Rules, opened
from remap.errors import UsageError
from remap.opening.open import open_checkpoint
from remap.proving.inputs import draw, settle_inputs
from remap.proving.options import RunOptions
from remap.proving.prepare import arguments_of, open_network, parsed_inputs, reference_on, without_padding
from remap.sides.reference import Reference
from remap.sides.torch.names import as_spelled
from remap.tensors.tensor import Checkpoint


def record(torch: Any, checkpoint: Any, options: RunOptions, rules: Rules | None = None) -> Reference:
    """Run the PyTorch side, to be saved with :func:`remap.proving.recording.save_recording`.

    Args:
        torch: See :func:`remap.verify`.
        checkpoint: Its weights: a path, or a checkpoint that is open.
        options: What is asked for; there is no Keras model to infer inputs from.
        rules: The rule file, which says where in the checkpoint the tensors are and which prefixes they have.

    Raises:
        UsageError: No inputs are given.
    """
    from remap.sides.torch.source import load_weights

    specs = parsed_inputs(options.inputs)
    if not specs:
        raise UsageError("the inputs of a recording must be given", fix="--input float32[1,3,224,224]")
    side = open_network(torch, options.torch_args)
    settled = without_padding(settle_inputs(specs, None, signature=arguments_of(side.network)), side.network)
    source, strip = _opened(checkpoint, rules)
    spelling = load_weights(side.network, source, lenient=True, strip=strip)
    feeds, other = draw(settled, None, options.seed), draw(settled, None, options.seed + 1, True)
    return as_spelled(reference_on(side, feeds, other, options), spelling, strip)


def _opened(checkpoint: Any, rules: Rules | None) -> tuple[Checkpoint, Sequence[str]]:
    """The checkpoint, and the prefixes that were taken off its names."""
    if rules is None:
        return (checkpoint if isinstance(checkpoint, Checkpoint) else open_checkpoint(checkpoint)), ()
    file, source, _ = opened(rules, checkpoint)
    return source, file.source.strip
