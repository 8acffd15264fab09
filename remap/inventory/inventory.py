"""What a Keras model holds: its variables, its layers, and where each variable lives in a file."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import msgspec

from remap.errors import TargetError
from remap.inventory.migrate import migrated

FORMAT = 2
"""Of the files that are written; a file that does not say is of the first."""
HEAD = 4096
"""Bytes of a file in which an inventory names its model and begins its variables."""
UNTOLD = "the inventory does not tell"
EXPORTED = "exported"
"""The kind of a SavedModel that is no Keras model: variables without layers."""
BUILD = "give the function that builds the model: path/to/file.py:callable"
"""What to do where such a model does not do."""


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
        family: The nearest class of Keras's own that its class is made from, where that is another.
    """

    name: str
    class_name: str
    path: str
    address: str
    settings: dict[str, Any] = {}
    inputs: tuple[str, ...] = ()
    family: str = ""


StoredPlace = tuple[str, ...]
"""Where one format keeps a variable, in texts that it reads itself."""


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
        places: Where formats keep it, by the format's name; several where it is kept several times. A place is what the
            format itself makes of it: the path of a dataset, a layer and a name in it, a key.
    """

    path: str
    address: str
    shape: tuple[int, ...]
    dtype: str
    layer: int
    initial: float | None = None
    places: dict[str, tuple[StoredPlace, ...]] = {}

    def at(self, format: str) -> tuple[StoredPlace, ...]:
        """Its places in files of a format, none where it has none there."""
        return self.places.get(format, ())


class Inventory(msgspec.Struct, frozen=True, omit_defaults=True):
    """A Keras model without its weights.

    Args:
        model: Where it came from: ``keras.applications:ResNet50``.
        variables: In the order of Keras's legacy layout: that order is what a legacy ``.h5`` is read by.
        layers: Every layer, in the model's order.
        kind: ``functional``, ``sequential``, ``subclassed``, or :data:`EXPORTED`; ``module`` of a PyTorch network.
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

    @property
    def is_keras2(self) -> bool:
        """Whether the model is one of tf_keras."""
        return self.keras_version.startswith("2.")

    def save(self, path: Path) -> None:
        """Write it as JSON, compressed when ``path`` ends in ``.gz``."""
        path.write_bytes(self.encode(compressed=path.suffix == ".gz"))

    def encode(self, *, compressed: bool) -> bytes:
        """The bytes of the file that :meth:`save` writes."""
        text = b'{"format":%d,' % FORMAT + msgspec.json.encode(self).removeprefix(b"{")
        data = msgspec.json.format(text, indent=1) + b"\n"
        return gzip.compress(data, mtime=0) if compressed else data

    @staticmethod
    def is_one(path: object) -> bool:
        """Whether a path names a file that looks like what :meth:`save` wrote."""
        if not isinstance(path, str | Path) or not str(path).endswith((".json", ".json.gz")):
            return False
        try:
            with (gzip.open if str(path).endswith(".gz") else open)(path, "rb") as file:
                head = file.read(HEAD)
        except OSError:
            return False
        return head.lstrip().startswith(b"{") and b'"model"' in head and b'"variables"' in head

    @staticmethod
    def load(path: Path) -> Inventory:
        """Read what :meth:`save` wrote, of this format or of an earlier one.

        Raises:
            TargetError: The file is missing or is no inventory of a known format.
        """
        try:
            data = path.read_bytes()
            data = gzip.decompress(data) if path.suffix == ".gz" else data
            format = msgspec.json.decode(data, type=_FileFormat).format
            if format == 1:
                data = msgspec.json.encode(migrated(msgspec.json.decode(data)))
            inventory = msgspec.json.decode(data, type=Inventory)
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            raise TargetError(
                "cannot read the target inventory",
                where=str(path),
                found=str(error),
                expected="a file written by 'remap target MODEL -o FILE'",
            ) from error
        if format not in (1, FORMAT):
            raise TargetError("unknown inventory format", where=str(path), found=str(format), expected=str(FORMAT))
        return inventory


class _FileFormat(msgspec.Struct):
    """What a file says of its format."""

    format: int = 1
