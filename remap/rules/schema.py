"""The words of a rule file, as types. The JSON Schema that editors use is made from these."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from remap.layout.expression import ComplexPart, Expression, Fill, Size, Table

Mismatch = Literal["error", "accept", "fold"]
Reason = Annotated[str, Meta(min_length=1, description="Why; printed in the report.")]
Constant = Fill | Literal["identity"] | list[float]


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
        Annotated[float, Meta(ge=0)] | Annotated[str, Meta(pattern=r"^[A-Za-z_]\w*$")] | None,
        Meta(
            description="Epsilon of the PyTorch layers, or the parameter that has it; else read from the module, where "
            "the network is given, or assumed to be 1e-5."
        ),
    ] = None
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


LayoutTable = dict[str, str | Expression]
"""Keras variable (below the layer) to expression; a bare string is ``{ from = "..." }``."""


class Move(Table, frozen=True):
    """Where a module, or one tensor, goes: the words of a row of ``[move.LAYOUT]``, whose key is the ``match``."""

    to: Annotated[str | list[str], Meta(description="Keras layer or variable, a template; several for tied weights.")]
    fill: Annotated[list[str], Meta(description="Variables that Keras has and PyTorch lacks: filled as declared.")] = []
    sizes: Annotated[dict[str, Size], Meta(description="Sizes of the layout's axes.")] = {}
    axes: Annotated[str | None, Meta(description="einops pattern, for a rule without a layout.")] = None
    take: Annotated[dict[str, int | str], Meta(description="Index or slice, for a rule without a layout.")] = {}
    complex_part: Annotated[
        ComplexPart | None, Meta(description="What is taken of a complex tensor, for a rule without a layout.")
    ] = field(name="complex", default=None)
    order: Annotated[dict[str, list[int]], Meta(description="A permutation along an axis, without a layout.")] = {}
    split: Annotated[
        dict[str, Annotated[int, Meta(ge=2)]],
        Meta(description="Axis of the source and the number of equal parts that it is cut into, each for one of 'to'."),
    ] = {}
    optional: Annotated[bool, Meta(description="Whether matching nothing is fine.")] = False
    epsilon: Annotated[
        float | None, Meta(description="Epsilon of these normalisation layers; for BatchNorm, where not the file's.")
    ] = None
    absent: Annotated[
        str, Meta(description="Why the target may lack this layer; its tensors are then left behind, and reported.")
    ] = ""
    allow: Annotated[list[str], Meta(description="Findings of 'remap lint' that are meant: 'CODE: reason'.")] = []


class Rename(Move, frozen=True, kw_only=True):
    """Where a module, or one tensor, goes."""

    match: Annotated[str, Meta(description="Regex for the whole module path; <name> captures an index.")]
    layout: Annotated[str | None, Meta(description="Layout of the module; without one the rule moves one tensor.")] = (
        None
    )


class Exemption(Table, frozen=True):
    """Why something is left as it is: the words of a row of ``[ignore]`` or ``[keep]``, whose key is the ``match``."""

    reason: Reason
    optional: Annotated[bool, Meta(description="Whether matching nothing is fine.")] = False


class Ignore(Exemption, frozen=True, kw_only=True):
    """Source tensors that are left behind."""

    match: Annotated[str, Meta(description="Regex for whole state_dict keys.")]


class Keep(Exemption, frozen=True, kw_only=True):
    """Target variables that stay at their initial value."""

    match: Annotated[str, Meta(description="Regex for whole Keras variable paths.")]


class Filling(Table, frozen=True):
    """A constant and its reason: the words of a row of ``[fill]``, whose key is the ``match``."""

    value: Annotated[
        Constant,
        Meta(
            description="The constant, or one number a channel; identity for the variables of a BatchNormalization, "
            "a Dense or a convolution of size 1 that is to do nothing."
        ),
    ]
    reason: Reason
    optional: Annotated[bool, Meta(description="Whether matching nothing is fine.")] = False


class FillRule(Filling, frozen=True, kw_only=True):
    """Target variables that are set to a constant."""

    match: Annotated[str, Meta(description="Regex for whole Keras variable paths.")]


class Derive(Table, frozen=True):
    """A tensor computed from others before any rule sees it."""

    sources: Annotated[dict[str, str], Meta(description="The operation's inputs: name to regex of a whole key.")] = (
        field(name="from")
    )
    to: Annotated[str, Meta(description="Key of the new tensor, a template over the captures.")]
    op: Annotated[str, Meta(description="A named operation: weight_norm, spectral_norm, fold_batchnorm_kernel ...")] = (
        ""
    )
    call: Annotated[str, Meta(description="A function of yours instead, module:function; needs --allow-code.")] = ""
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
    allow: Annotated[
        list[str], Meta(description="Findings of 'remap lint' that are meant, in the whole file: 'CODE: reason'.")
    ] = []
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
        dict[str, LayoutTable], Meta(description="Layouts of this file's own: Keras variable to how it is made.")
    ] = {}
    move: Annotated[
        dict[str, dict[str, str | list[str] | Move]],
        Meta(description="Where modules go: a table a layout, regex of the module path to the Keras layer."),
    ] = {}
    rename: Annotated[
        list[Rename], Meta(description="Where modules, or single tensors, go: one table a rule, instead of [move].")
    ] = []
    ignore: Annotated[
        dict[str, Reason | Exemption] | list[Ignore],
        Meta(description="Source tensors that are left behind: regex of whole state_dict keys to the reason."),
    ] = {}
    keep: Annotated[
        dict[str, Reason | Exemption] | list[Keep],
        Meta(description="Target variables that stay at their initial value: regex of whole paths to the reason."),
    ] = {}
    fill: Annotated[
        dict[str, Filling] | list[FillRule],
        Meta(description="Target variables that are set to a constant: regex of whole paths to value and reason."),
    ] = {}
    derive: Annotated[list[Derive], Meta(description="Tensors computed from others before any rule sees them.")] = []
