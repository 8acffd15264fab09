"""Attention of another number of heads, or with its channels split otherwise."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.attention import trials_of
from remap.proving.numerics.softmax import AttentionFault
from remap.proving.numerics.stated import Stated, apart


def differs(torch: Stated, keras: Stated) -> tuple[str, str] | None:
    """Both numbers of heads."""
    return (
        apart(torch.get("num_heads"), keras.get("num_heads")) if torch.get("kind") == "multi_head_attention" else None
    )


CAUSE = Cause(
    "V504",
    "heads",
    "attention has another number of heads, or gives them other channels",
    "model",
    "split the heads as PyTorch does: (heads, size of a head), and as many of them",
    partial(trials_of, fault=AttentionFault.HEADS),
    differs,
)
