"""Keras: how classes are called, and how layers call their weights."""

from __future__ import annotations

CELL_ENDINGS = ("Cell",)
"""How the names of classes end that run inside of the loop of a recurrent layer."""
MODEL_ENDINGS = ("Functional", "Sequential", "Model", "Backbone")
"""How those of models end, which compute nothing but what their layers do; the last is keras_hub's."""

STATISTICS = ("moving_mean", "moving_variance")
"""Those of a batch normalisation that are no parameters."""
VECTORS = ("gamma", "beta", *STATISTICS)
"""Those of a normalisation, in the order in which its layer lists them."""
PROJECTIONS = ("query/kernel", "key/kernel", "value/kernel")
JOINING = "attention_output/kernel"
"""The kernels of attention: of what goes into it, and of what comes out."""
EMBEDDINGS = "embeddings"
"""The table of an embedding: a row for each number."""
KERNELS = ("kernel", EMBEDDINGS)
"""How the names of weights end that have inputs and outputs as axes."""


def bias_of(kernel: str) -> str:
    """The bias that goes with a kernel.

    >>> bias_of("query/kernel")
    'query/bias'
    """
    return f"{kernel.removesuffix('kernel')}bias"
