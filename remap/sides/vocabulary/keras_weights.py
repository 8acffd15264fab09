"""keras.layers: how layers call their weights."""

from __future__ import annotations

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
