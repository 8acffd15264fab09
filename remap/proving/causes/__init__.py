"""Every cause that is looked for: a file of this folder each, and a row here.

A cause is its file's ``CAUSE``. Their order is that in which they are tried: first what is likely and explains one
thing alone, last what explains anything, such as a factor. An exchange of weights is tried before what no weights can
mend: it holds only where a layer gives exactly what another module gave.
"""

from __future__ import annotations

from importlib import import_module

from remap.proving.cause import Cause

ORDER = (
    "layers_exchanged",
    "tensors_exchanged",
    "layers_beside",
    "kernel_size",
    "stride",
    "dilation",
    "padding",
    "output_padding",
    "padding_mode",
    "padding_value",
    "count_include_pad",
    "ceil_mode",
    "window_settings",
    "groups",
    "epsilon",
    "norm_groups",
    "statistics_not_loaded",
    "statistics_exchanged",
    "other_statistics",
    "batch_statistics",
    "vectors_exchanged",
    "extra_activation",
    "gelu_form",
    "hard_swish_form",
    "hard_sigmoid_form",
    "activation",
    "rounded_constant",
    "precision",
    "reversed_channels",
    "output_scale",
    "input_normalised",
    "input_not_normalised",
    "input_scale",
    "position_offset",
    "interpolation",
    "align_corners",
    "bicubic_coefficient",
    "rotary_positions",
    "attention_scale",
    "attention_mask",
    "qkv_exchanged",
    "heads",
    "parts_exchanged",
    "inner_activation",
    "recurrent_activation",
    "bias_order",
    "bias_left_out",
    "gate_order",
    "reset_after",
    "head_order",
    "transposition",
    "flatten_order",
    "input_order",
    "output_order",
    "flip",
    "channel_order",
    "bias_not_loaded",
    "weights",
    "torch_dropout",
    "dropout",
    "extra_layer",
    "missing_layer",
    "other_operations",
    "factor",
)
"""Files of this folder, as their causes are tried."""

CAUSES: tuple[Cause, ...] = tuple(import_module(f"{__name__}.{name}").CAUSE for name in ORDER)
"""Every cause, likewise."""
BY_CODE = {cause.code: cause for cause in CAUSES}
"""Every cause by its code."""
