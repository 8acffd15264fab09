"""What a Keras model holds: its variables, its layers, and where each variable lives in a file."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import msgspec

from remap.errors import TargetError

FORMAT = 1
UNTOLD = "the inventory does not tell"
EXPORTED = "exported"
"""The kind of a SavedModel that is no Keras model: variables without layers."""


class _Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record of which there are many: equal texts of all of them are pickled once."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return type(self), tuple(_one_text(getattr(self, name)) for name in self.__struct_fields__)


def _one_text(value: Any) -> Any:
    """The value with equal texts as one object."""
    if isinstance(value, str):
        return sys.intern(value)
    if type(value) is dict:
        return {_one_text(key): _one_text(entry) for key, entry in value.items()}
    return tuple(map(_one_text, value)) if type(value) is tuple and value else value


class Layer(_Record, frozen=True, omit_defaults=True):
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


class LegacyCopy(msgspec.Struct, frozen=True):
    """A further place of a variable in the legacy layout: its layer is also part of another top-level layer.

    Args:
        layer: Top-level layer name.
        name: Weight name.
        index: Place among that layer's weights, from 0.
    """

    layer: str
    name: str
    index: int


class Variable(_Record, frozen=True, omit_defaults=True):
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
        legacy_copies: Further places in the legacy layout, for what two top-level layers share.
        tf_object: Its key in an object-based TensorFlow checkpoint of the model alone, None if TensorFlow does not
            track it there.
        tf_copies: Keys of its copies there, which an export of Keras 3 has.
    """

    path: str
    address: str
    shape: tuple[int, ...]
    dtype: str
    layer: int
    initial: float | None = None
    weights_h5: tuple[str, ...] = ()
    legacy_h5: tuple[str, str] | None = None
    legacy_copies: tuple[LegacyCopy, ...] = ()
    tf_object: str | None = None
    tf_copies: tuple[str, ...] = ()


class Inventory(msgspec.Struct, frozen=True, omit_defaults=True):
    """A Keras model without its weights.

    Args:
        model: Where it came from: ``keras.applications:ResNet50``.
        variables: In the order of Keras's legacy layout: that order is what a legacy ``.h5`` is read by.
        layers: Every layer, in the model's order.
        kind: ``functional``, ``sequential``, ``subclassed``, or :data:`EXPORTED`.
        keras_version: Version that the inventory was taken with; empty for what is no Keras model.
        legacy_layers: Top-level layers in order, the weightless included, as the legacy layout lists them.
        notes: What its reader should know about how it was taken, one sentence each.
        tf_unknown: Why it is not known what TensorFlow tracks; empty where it is.
    """

    model: str
    variables: tuple[Variable, ...]
    layers: tuple[Layer, ...]
    kind: str
    keras_version: str
    legacy_layers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tf_unknown: str = UNTOLD
    format: int = FORMAT

    @property
    def is_keras2(self) -> bool:
        """Whether the model is one of tf_keras."""
        return self.keras_version.startswith("2.")

    def legacy_groups(self) -> dict[str, list[tuple[str, Variable]]]:
        """The legacy ``.h5`` layout: layer name -> its weights by name, all in the order that Keras reads.

        Layers without weights have an empty list. The model's own weights, if any, come last, under
        ``top_level_model_weights``.
        """
        groups: dict[str, list[tuple[str, Variable]]] = {name: [] for name in self.legacy_layers}
        copies = []
        for variable in self.variables:
            if variable.legacy_h5 is not None:
                layer, name = variable.legacy_h5
                groups.setdefault(layer, []).append((name, variable))
            copies += [(copy.index, copy, variable) for copy in variable.legacy_copies]
        for index, copy, variable in sorted(copies, key=lambda found: found[0]):
            groups[copy.layer].insert(index, (copy.name, variable))
        return groups

    def save(self, path: Path) -> None:
        """Write it as JSON, compressed when ``path`` ends in ``.gz``."""
        path.write_bytes(self.encode(compressed=path.suffix == ".gz"))

    def encode(self, *, compressed: bool) -> bytes:
        """The bytes of the file that :meth:`save` writes."""
        data = msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"
        return gzip.compress(data, mtime=0) if compressed else data

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
