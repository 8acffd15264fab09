"""What ``flax_file.msgpack`` holds; ``python flax_file.py`` writes it by flax's own functions."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np

FILE = Path(__file__).with_suffix(".msgpack")
DTYPES = ("float32", "float16", "bfloat16", "float64", "int32", "uint8", "bool", "complex64", "float8_e4m3fn")


def numbers(shape: tuple[int, ...], start: float) -> np.ndarray:
    """An array unlike all that start elsewhere."""
    return (np.arange(np.prod(shape, dtype=int), dtype="f4") / 8 + start).reshape(shape)


ARRAYS = {
    "params.encoder.layer.0.kernel": numbers((4, 3), 1),
    "params.encoder.layer.0.bias": numbers((3,), 20),
    "params.encoder.norm.scale": numbers((3,), 30),
    "params.scalar": np.float32(2.5),
    "params.large.embedding": numbers((10, 7), 40),
    "params.empty": np.empty((0, 3), "f4"),
    **{f"params.types.{name}": numbers((2, 2), 0).astype(getattr(ml_dtypes, name, name)) for name in DTYPES},
    "batch_stats.encoder.norm.mean": numbers((3,), 60),
    "batch_stats.encoder.norm.var": numbers((3,), 70),
}
"""What the file holds, by names joined by dots. ``params.large.embedding`` is in chunks, ``layer`` was a list."""


def nested() -> dict:
    """The same as Flax has it, with what is no tensor."""
    tree: dict = {"step": 3, "rng": 1 + 2j, "note": "text", "opt_state": {"mu": np.ones(3)}}
    for name, array in ARRAYS.items():
        *modules, last = name.split(".")
        node = tree
        for module in modules:
            node = node.setdefault(module, {})
        node[last] = array
    tree["params"]["encoder"]["layer"] = [tree["params"]["encoder"]["layer"]["0"]]
    return tree


if __name__ == "__main__":
    from flax import serialization

    serialization.MAX_CHUNK_SIZE = 100
    FILE.write_bytes(serialization.msgpack_serialize(nested()))
