"""A mask, or a sliding window, on one side only; or another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from remap.proving.cause import Cause
from remap.proving.causes import attention_scale
from remap.proving.numerics.attention import trials_of
from remap.proving.numerics.softmax import AttentionFault
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """Another mask; then another scale besides."""
    yield from trials_of(site, AttentionFault.MASK)
    title, also = f"{attention_scale.CAUSE.name} and {CAUSE.name}", (attention_scale.CAUSE.code,)
    for trial in trials_of(site, AttentionFault.SCALE_AND_MASK):
        yield replace(trial, title=title, also=also, hint="mend the attention of the Keras model")


CAUSE = Cause(
    "V502",
    "attention mask",
    "the positions that one side lets each position see are others than the other side's",
    "model",
    "give the Keras layer that mask",
    trials,
)
