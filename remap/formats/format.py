"""What a format is: recognised, read, laid out, read back, and the lines that load it, in one object.

A new format is one file with a subclass of :class:`Format`, its dotted name in :data:`remap.formats.registry.FORMATS`,
and its test. Formats that are only read leave :attr:`Format.suffixes` empty; those that are only written recognise
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from remap.formats.contents import Contents
from remap.formats.sheet import Sheet
from remap.formats.unread import Unread

if TYPE_CHECKING:
    from remap.inventory.inventory import Inventory, Variable
    from remap.planning.plan import Plan

SHARD_SIZE = 5.0


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """Settings of single formats, which name those that they take.

    Args:
        max_shard_size: Gigabytes (10**9 bytes) of one shard at most, as in Keras.
        model_archive: The archive whose model the weights are for.
    """

    max_shard_size: float = SHARD_SIZE
    model_archive: Path | None = None


class Restorer(Protocol):
    """The framework's own readers, which a written file is checked by."""

    def load_weights(self, path: Path) -> Mapping[str, Any]:
        """Live variables by Keras path, of a fresh model that ``load_weights`` has given what ``path`` holds."""
        ...

    def restore(self, path: Path) -> Mapping[str, Any]:
        """The same by ``tf.train.Checkpoint(model).restore``, or as tf_keras restores a model of its own."""
        ...

    def checkpoint_reader(self, path: Path) -> Any:
        """What ``tf.train.load_checkpoint`` gives."""
        ...


class Format:
    """One format of weights.

    Attributes:
        name: What code and ``--format`` call it.
        title: What people call it.
        suffixes: What its outputs end in; empty where it is not written. Of formats that share one, the first that is
            registered is meant where no name is given.
        label: What a list of a variable's places calls it.
        settings: The fields of :class:`FormatOptions` that it takes.
        is_target: Whether it holds what is converted to, so that it is no checkpoint to convert from. What such a
            format reads is a flat tree of tensors, with nothing to peel.
        by_layer: Whether it has places for Keras's layers, which a SavedModel does not tell.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    label: ClassVar[str] = ""
    settings: ClassVar[tuple[str, ...]] = ()
    is_target: ClassVar[bool] = False
    by_layer: ClassVar[bool] = False

    def recognise(self, file: Unread) -> bool:
        """Whether a file, a folder or the prefix of several files is of this format."""
        return False

    def read(self, file: Unread) -> Contents:
        """The contents of what was recognised, from headers alone.

        Raises:
            CheckpointError: It is damaged or hostile.
        """
        raise NotImplementedError(f"{self.name} is not read")

    def indexed(self, name: str) -> str:
        """The name by which :meth:`read` knows what an index of shards calls ``name``."""
        return name

    def lay_out(self, plan: Plan, out: Path, options: FormatOptions) -> Sheet:
        """The files that hold a plan.

        Args:
            plan: What to write.
            out: The output as the user named it.
            options: Settings.

        Raises:
            UsageError: The format cannot hold the plan.
        """
        raise NotImplementedError(f"{self.name} is not written")

    def load_lines(self, plan: Plan, out: Path, options: FormatOptions) -> str:
        """The Python that loads what was written."""
        raise NotImplementedError(f"{self.name} is not written")

    def read_back(self, plan: Plan, path: Path, restorer: Restorer) -> Mapping[str, Any]:
        """What a written file holds by Keras path, by the format's own public reader, one variable at a time."""
        raise NotImplementedError(f"{self.name} is not written")

    def places(self, name: str, variable: Variable | None) -> tuple[str, ...]:
        """Where a variable lies in a file, where that is another name than its own.

        Args:
            name: Its Keras path.
            variable: Its record, where the target is known.
        """
        return ()

    def plain_names(self, names: Iterable[str], inventory: Inventory | None) -> dict[str, str]:
        """From the names in a file to Keras paths, as far as they can be told; what is no weight is left out."""
        return {name: name for name in names}


class ReadBack(Mapping[str, Any]):
    """Variables by Keras path, each read when it is asked for.

    Args:
        names: The names in the file.
        read: Reads one.
    """

    def __init__(self, names: Iterable[str], read: Callable[[str], Any]) -> None:
        self._names = dict.fromkeys(names)
        self._read = read

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return np.asarray(self._read(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def quoted(path: Path) -> str:
    """A path as a Python string literal.

    >>> quoted(Path("a.h5"))
    '"a.h5"'
    """
    return json.dumps(str(path), ensure_ascii=False)
