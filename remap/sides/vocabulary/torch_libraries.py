"""transformers and timm: how their modules call what torch's own call otherwise."""

from __future__ import annotations

EPSILONS = ("eps", "variance_epsilon")
"""Attributes that hold the epsilon of a normalisation: torch's, transformers'."""
SCALE = "scaling"
"""What transformers' attention multiplies scores by."""
DROPOUTS = ("attention_dropout", "dropout", "dropout_p", "attn_dropout")
"""Attributes that hold the rate at which attention drops scores."""
DROPOUT_INSIDE = "dropout"
"""The submodule of attention that drops scores, in older models of transformers."""
SAME_PADDING = (
    "AvgPool2dSame",
    "Conv2dSame",
    "Conv2dSameExport",
    "MaxPool2dSame",
    "ScaledStdConv2dSame",
    "StdConv2dSame",
)
"""timm's modules that pad what TensorFlow's ``same`` pads, told by the size of each input."""
RMS_ENDINGS = ("RMSNorm",)
"""How the names of RMS normalisations end, of which every model of transformers has its own class."""
ATTENTION = "Attention"
"""What the names of attention modules have in them, likewise."""
