"""The words of a rule file, as types. The JSON Schema that editors use is made from these."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

Size = int | str
"""A number, or the name of a parameter."""

Reduce = Literal["sum"]
BatchNormRole = Literal["gamma", "variance", "variance_without_gamma"]
Mismatch = Literal["error", "accept", "fold"]
Fill = float | Literal["zeros", "ones"]
Constant = Fill | Literal["identity"] | list[float]
Inferred = Literal["channels_before", "channels_after"]
"""Channels of the feature map before the Flatten that feeds a layer, or of the Reshape that a layer feeds."""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every table: a word that is not known is an error, not a silence."""


class About(Table, frozen=True):
    """What the file converts."""

    source: Annotated[str, Meta(description="The PyTorch side, in words.")] = ""
    target: Annotated[str, Meta(description="The Keras side, in words.")] = ""
    sizes: Annotated[list[str], Meta(description="Members of the family that it converts, as people call them.")] = []
    models: Annotated[list[str], Meta(description="Keras models it fits, as package.module:callable.")] = []
    notes: Annotated[str, Meta(description="What to know before trusting the outputs, in a sentence.")] = ""
    shapes: Annotated[
        dict[str, list[int | list[int]]],
        Meta(
            description="Tensors that tell this family from others of the same names: regex to sizes; 0 is any, a list "
            "one of several."
        ),
    ] = {}


class BatchNorm(Table, frozen=True):
    """How BatchNorm statistics cross: the two epsilons, and what to do when they differ."""

    source_epsilon: Annotated[
        Annotated[float, Meta(ge=0)] | Annotated[str, Meta(pattern=r"^[A-Za-z_]\w*$")],
        Meta(description="Epsilon of the PyTorch layers, or the parameter that has it."),
    ] = 1e-5
    target_epsilon: Annotated[
        float | None, Meta(description="Epsilon of the Keras layers; a model, when given, knows better.")
    ] = None
    on_mismatch: Annotated[
        Mismatch, Meta(description="error: stop; accept: leave the difference; fold: put it into gamma, exactly.")
    ] = "error"


class SourceOptions(Table, frozen=True):
    """How the checkpoint is unwrapped, where recognising it is not enough."""

    root: Annotated[str | None, Meta(description="Dotted key of the dictionary that is the state_dict.")] = None
    strip: Annotated[list[str], Meta(description="Regexes of prefixes to take off every key.")] = []


class Param(Table, frozen=True):
    """A named size or number."""

    default: Annotated[int | float | str | None, Meta(description="Used when nothing else gives a value.")] = None
    help: Annotated[str, Meta(description="What it is.")] = ""
    source: Annotated[
        str | None, Meta(description="Where to read it: 'config.json:num_attention_heads' beside the checkpoint.")
    ] = field(name="from", default=None)
    keys: Annotated[
        dict[str, int | float | str], Meta(description="Regex of a whole key to the value where the source has such.")
    ] = {}
    target: Annotated[
        str | None, Meta(description="Regex of whole Keras variable paths; the value is what its one capture finds.")
    ] = None


class Part(Table, frozen=True):
    """One source of a list, with its own axes and take, applied before it is combined."""

    tensor: Annotated[str, Meta(description="Regex of the tensor's name, relative to the module.")]
    axes: Annotated[str | None, Meta(description="einops pattern for this source alone.")] = None
    take: Annotated[dict[str, int | str], Meta(description="An index or a slice of an axis of this source.")] = {}


class Expression(Table, frozen=True):
    """How one Keras variable is made. The steps run in a fixed order: from, axes, take, order, flip,
    scale, add."""

    sources: Annotated[str | list[str | Part], Meta(description="Tensor or tensors it is made from.")] = field(
        name="from", default_factory=list
    )
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


Layout = dict[str, str | Expression]
"""Keras variable (below the layer) to expression; a bare string is ``{ from = "..." }``."""


class Rename(Table, frozen=True):
    """Where a module, or one tensor, goes."""

    match: Annotated[str, Meta(description="Regex for the whole module path; <name> captures an index.")]
    to: Annotated[str | list[str], Meta(description="Keras layer or variable, a template; several for tied weights.")]
    layout: Annotated[str | None, Meta(description="Layout of the module; without one the rule moves one tensor.")] = (
        None
    )
    fill: Annotated[list[str], Meta(description="Variables that Keras has and PyTorch lacks: filled as declared.")] = []
    sizes: Annotated[dict[str, Size], Meta(description="Sizes of the layout's axes.")] = {}
    axes: Annotated[str | None, Meta(description="einops pattern, for a rule without a layout.")] = None
    take: Annotated[dict[str, int | str], Meta(description="Index or slice, for a rule without a layout.")] = {}
    optional: Annotated[bool, Meta(description="Whether matching nothing is fine.")] = False
    epsilon: Annotated[
        float | None, Meta(description="Epsilon of these normalisation layers; for BatchNorm, where not the file's.")
    ] = None
    absent: Annotated[
        str, Meta(description="Why the target may lack this layer; its tensors are then left behind, and reported.")
    ] = ""


class Ignore(Table, frozen=True):
    """Source tensors that are left behind."""

    match: Annotated[str, Meta(description="Regex for whole state_dict keys.")]
    reason: Annotated[str, Meta(min_length=1, description="Why; printed in the report.")]
    optional: Annotated[bool, Meta(description="Whether matching nothing is fine.")] = False


class Keep(Table, frozen=True):
    """Target variables that stay at their initial value."""

    match: Annotated[str, Meta(description="Regex for whole Keras variable paths.")]
    reason: Annotated[str, Meta(min_length=1, description="Why; printed in the report.")]
    optional: Annotated[bool, Meta(description="Whether matching nothing is fine.")] = False


class FillRule(Table, frozen=True):
    """Target variables that are set to a constant."""

    match: Annotated[str, Meta(description="Regex for whole Keras variable paths.")]
    value: Annotated[
        Constant,
        Meta(
            description="The constant, or one number a channel; identity for the variables of a BatchNormalization, "
            "a Dense or a convolution of size 1 that is to do nothing."
        ),
    ]
    reason: Annotated[str, Meta(min_length=1, description="Why; printed in the report.")]
    optional: Annotated[bool, Meta(description="Whether matching nothing is fine.")] = False


class Derive(Table, frozen=True):
    """A tensor computed from others before any rule sees it."""

    op: Annotated[str, Meta(description="A named operation: weight_norm, spectral_norm, fold_batchnorm_kernel ...")]
    sources: Annotated[dict[str, str], Meta(description="The operation's inputs: name to regex of a whole key.")] = (
        field(name="from")
    )
    to: Annotated[str, Meta(description="Key of the new tensor, a template over the captures.")]
    keep: Annotated[list[str], Meta(description="Inputs that the other rules see too; the rest are used up.")] = []
    options: Annotated[dict[str, float | int | str | bool], Meta(description="The operation's own settings.")] = {}
    optional: Annotated[bool, Meta(description="Whether matching nothing is fine.")] = False


class Include(Table, frozen=True):
    """Another rule file whose rules are taken in."""

    file: Annotated[str, Meta(description="Path, relative to this file, or the bare name of a shipped one.")]
    prefix: Annotated[str, Meta(description="Regex put in front of every match.")] = ""
    to_prefix: Annotated[str, Meta(description="Put in front of every 'to'.")] = ""
    absent: Annotated[
        str, Meta(description="Why a checkpoint, or the target, may lack the whole part that the file is for.")
    ] = ""


class Document(Table, frozen=True):
    """A whole rule file."""

    format: Annotated[Literal[1], Meta(description="Version of the rule language.")]
    about: Annotated[About, Meta(description="What the file converts.")] = About()
    batchnorm: Annotated[BatchNorm, Meta(description="The epsilons of BatchNorm, and what a difference means.")] = (
        BatchNorm()
    )
    source: Annotated[SourceOptions, Meta(description="How the checkpoint is unwrapped.")] = SourceOptions()
    params: Annotated[
        dict[str, int | float | str | Param], Meta(description="Named sizes and numbers; --set NAME=VALUE overrides.")
    ] = {}
    tables: Annotated[dict[str, dict[str, int | str]], Meta(description="Look-ups for templates: {roles[role]}.")] = {}
    include: Annotated[list[str | Include], Meta(description="Rule files whose rules are taken in.")] = []
    layouts: Annotated[
        dict[str, Layout], Meta(description="Layouts of this file's own: Keras variable to how it is made.")
    ] = {}
    rename: Annotated[list[Rename], Meta(description="Where modules, or single tensors, go.")] = []
    ignore: Annotated[list[Ignore], Meta(description="Source tensors that are left behind.")] = []
    keep: Annotated[list[Keep], Meta(description="Target variables that stay at their initial value.")] = []
    fill: Annotated[list[FillRule], Meta(description="Target variables that are set to a constant.")] = []
    derive: Annotated[list[Derive], Meta(description="Tensors computed from others before any rule sees them.")] = []
