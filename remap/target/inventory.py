"""What a Keras model holds: its variables, its layers, and where each variable lives in a file."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec

from remap.errors import TargetError

FORMAT = 1


class Layer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One Keras layer, sublayers included.

    Args:
        name: Keras's own name (``conv2d_42``).
        class_name: ``Conv2D``.
        path: Scopes and name, ``/`` between them, without the model's own name.
        address: ``path`` with every automatic number replaced by its rank: ``conv2d[42]``.
        settings: What an audit compares: epsilon, strides, padding, groups, activation ...
        inputs: Names of the layers that feed it, where the model is a graph.
    """

    name: str
    class_name: str
    path: str
    address: str
    settings: dict[str, Any] = {}
    inputs: tuple[str, ...] = ()


class Variable(msgspec.Struct, frozen=True, omit_defaults=True):
    """One weight of the model.

    Args:
        path: Keras path without the model's own name: ``conv1_conv/kernel``. Made unique by
            ``#2``, ``#3`` ... where Keras gives several variables one path.
        address: ``path`` with automatic numbers replaced by ranks: ``conv2d[42]/kernel``.
        shape: Sizes.
        dtype: ``float32`` ...
        layer: Index of its layer in :attr:`Inventory.layers`.
        initial: The constant it starts with (zeros, ones), None where it starts at random.
        weights_h5: Datasets that hold it in ``.weights.h5`` (``layers/conv2d/vars/0``); more than one
            where Keras stores it twice.
        legacy_h5: Top-level layer and weight name in the legacy ``.h5`` layout, None if it has no place there.
        tf_object: Its key in an object-based TensorFlow checkpoint of the model alone, None if not tracked.
    """

    path: str
    address: str
    shape: tuple[int, ...]
    dtype: str
    layer: int
    initial: float | None = None
    weights_h5: tuple[str, ...] = ()
    legacy_h5: tuple[str, str] | None = None
    tf_object: str | None = None


class Inventory(msgspec.Struct, frozen=True, omit_defaults=True):
    """A Keras model without its weights.

    Args:
        model: Where it came from: ``keras.applications:ResNet50``.
        variables: In the order of Keras's legacy layout: that order is what a legacy ``.h5`` is read by.
        layers: Every layer, in the model's order.
        kind: ``functional``, ``sequential`` or ``subclassed``.
        keras_version: Version that the inventory was taken with.
        legacy_layers: Top-level layers in order, the weightless included, as the legacy layout lists them.
    """

    model: str
    variables: tuple[Variable, ...]
    layers: tuple[Layer, ...]
    kind: str
    keras_version: str
    legacy_layers: tuple[str, ...] = ()
    format: int = FORMAT

    def save(self, path: Path) -> None:
        """Write it as JSON, compressed when ``path`` ends in ``.gz``."""
        data = msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)

    @staticmethod
    def load(path: Path) -> Inventory:
        """Read what :meth:`save` wrote.

        Raises:
            TargetError: The file is missing or is no inventory of this format.
        """
        try:
            data = path.read_bytes()
            data = gzip.decompress(data) if path.suffix == ".gz" else data
            found = msgspec.json.decode(data, type=Inventory)
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            raise TargetError(
                "cannot read the target inventory",
                where=str(path),
                found=str(error),
                expected="a file written by 'remap target MODEL -o FILE'",
            ) from error
        if found.format != FORMAT:
            raise TargetError(
                "unknown inventory format", where=str(path), found=str(found.format), expected=str(FORMAT)
            )
        return found
