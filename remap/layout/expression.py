"""Expressions: how one Keras variable is made from the tensors of a module, as the words of a layout say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

Size = int | str
"""A number, or the name of a parameter."""

Reduce = Literal["sum"]
ComplexPart = Literal["real", "imag", "axis"]
"""What of a complex tensor: one of its parts, or both along a new last axis of size 2."""
BatchNormRole = Literal["gamma", "variance", "variance_without_gamma"]
Fill = float | Literal["zeros", "ones"]
Inferred = Literal["channels_before", "channels_after"]
"""Channels of the feature map before the Flatten that feeds a layer, or of the Reshape that a layer feeds."""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every table: a word that is not known is an error, not a silence."""


class SourcePart(Table, frozen=True):
    """One source of a list, with its own axes, take and sizes, applied before it is combined.

    A take of a group as the left of ``axes`` writes it, ``"(c s)" = ":144"``, picks entries of the whole axis before it
    is split: a part of it may have a length that the whole cannot be split into.
    """

    tensor: Annotated[str, Meta(description="Regex of the tensor's name, relative to the module.")]
    axes: Annotated[str | None, Meta(description="einops pattern for this source alone.")] = None
    take: Annotated[
        dict[str, int | str],
        Meta(description="An index or a slice of an axis of this source; of a group, '(c s)', before it is split."),
    ] = {}
    sizes: Annotated[dict[str, Size], Meta(description="Sizes of this source's axes alone.")] = {}


class Expression(Table, frozen=True):
    """How one Keras variable is made. The steps run in a fixed order: from, complex, axes, take, order, flip,
    scale, add."""

    sources: Annotated[str | list[str | SourcePart], Meta(description="Tensor or tensors it is made from.")] = field(
        name="from", default_factory=list
    )
    complex_part: Annotated[
        ComplexPart | None,
        Meta(description="What is taken of complex tensors: a part, or both along a new last axis of size 2."),
    ] = field(name="complex", default=None)
    stack: Annotated[str | None, Meta(description="Capture gathered over all its values as a new first axis.")] = None
    concat: Annotated[str | None, Meta(description="Axis along which a list of tensors is joined.")] = None
    reduce: Annotated[
        Reduce | None, Meta(description="How a list of tensors becomes one: sum; axes of size 1 stretch.")
    ] = None
    op: Annotated[str | None, Meta(description="A named operation on the sources.")] = None
    call: Annotated[str | None, Meta(description="A function of yours, module:name; needs --allow-code.")] = None
    options: Annotated[dict[str, float | int | str | bool], Meta(description="The operation's own settings.")] = {}
    axes: Annotated[str | None, Meta(description="einops pattern: 'o i h w -> h w i o'.")] = None
    sizes: Annotated[dict[str, Size], Meta(description="Sizes of named axes, or the parameter that has them.")] = {}
    infer: Annotated[dict[str, Inferred], Meta(description="Axes whose size, unless given, the model tells.")] = {}
    repeat: Annotated[list[str], Meta(description="Axes that only the Keras side has: repeat along them.")] = []
    take: Annotated[
        dict[str, int | str],
        Meta(description="An index or a slice 'start:stop:step' of an axis; parameters may be its start and stop."),
    ] = {}
    order: Annotated[dict[str, list[int]], Meta(description="A permutation along an axis.")] = {}
    flip: Annotated[list[str], Meta(description="Axes to reverse.")] = []
    scale: Annotated[float, Meta(description="Factor.")] = 1.0
    add: Annotated[float, Meta(description="Addend, after the factor.")] = 0.0
    fill: Annotated[Fill | None, Meta(description="The value a rule's 'fill' gives when the source is absent.")] = None
    like: Annotated[str | None, Meta(description="Where a fill takes its shape: 'weight' or 'weight: o'.")] = None
    batchnorm: Annotated[BatchNormRole | None, Meta(description="Its part in folding a BatchNorm epsilon.")] = None
    verify: Annotated[
        bool, Meta(description="Set to false where no other layout could be meant, whatever the shape.")
    ] = True


Layout = Mapping[str, Expression]
"""Keras variable (below the layer) to how it is made."""


def like_parts(like: str) -> tuple[str, str]:
    """The pattern of the tensor that a fill is shaped like, and which of its axes; no axes for all of them.

    >>> like_parts("(?:pw|1).weight: o"), like_parts("weight")
    (('(?:pw|1).weight', 'o'), ('weight', ''))
    """
    pattern, colon, axes = like.rpartition(": ")
    return (pattern.strip(), axes.strip()) if colon else (like.strip(), "")


def source_patterns(expression: Expression) -> list[str]:
    """The patterns of the tensors that an expression reads, in order.

    >>> source_patterns(Expression(sources=["a", "b"]))
    ['a', 'b']
    """
    sources = expression.sources
    if isinstance(sources, str):
        return [sources]
    return [source if isinstance(source, str) else source.tensor for source in sources]
