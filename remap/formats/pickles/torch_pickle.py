"""The pickle inside of a torch file: the machine, the allow-list and the storages it speaks of, put together."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

from remap.errors import CheckpointError
from remap.formats.pickles import allowed
from remap.formats.pickles.inert import Constructor
from remap.formats.pickles.machine import Machine
from remap.formats.pickles.state import PickleError
from remap.formats.tree import Global, NumpyArray, StorageRef, Tree

_KEYS = (str, int)
NUMPY_MAKERS = [(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")]
NUMPY_BUFFERS = [(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")]


class HostileError(CheckpointError):
    """A pickle that names what no honest checkpoint needs."""


class TorchPickle:
    """Runs the pickles of one file, which share their storages.

    Args:
        where: The file, for messages.
        persist: From a persistent id to a value; storages as every format but the oldest names them if None.
        also: Constructors beside those of the allow-list.

    Attributes:
        storages: Every storage that was spoken of, by key, element type and the range taken of it.
        arrays: Every numpy array, not looked into yet.
    """

    def __init__(
        self,
        where: str,
        persist: Callable[[Any], Any] | None = None,
        also: dict[tuple[str, str], Constructor] | None = None,
    ) -> None:
        self.where = where
        self.storages: dict[Any, StorageRef] = {}
        self.arrays: list[NumpyArray] = []
        self._persist = persist or self.storage
        self._also = dict.fromkeys(NUMPY_MAKERS, Constructor("numpy array", self._array)) | (also or {})
        self._also |= dict.fromkeys(NUMPY_BUFFERS, Constructor("numpy array", self._array_of))
        self._dangerous: dict[str, None] = {}

    def run(self, data: bytes | mmap.mmap, start: int = 0) -> tuple[Tree, int]:
        """The tree that the pickle at ``start`` describes, and where the pickle ends.

        Raises:
            CheckpointError: It is damaged or beyond a limit.
            HostileError: It names what no honest checkpoint needs.
        """
        machine = Machine(data, self.find, self._persist, start)
        try:
            tree = machine.run()
        except PickleError as error:
            self._refuse_dangerous()
            raise CheckpointError(
                "cannot read the pickle",
                where=f"{self.where}, near byte {machine.end} of the pickle",
                found=str(error),
                fix="the file is truncated, damaged or of another kind: fetch it again",
            ) from error
        self._refuse_dangerous()
        return tree, machine.end

    def find(self, module: str, name: str) -> Any:
        """What stands for a global; the dangerous ones are noted."""
        stand_in = self._also.get((module, name)) or allowed.find(module, name)
        if type(stand_in) is Global and allowed.is_dangerous(stand_in.name):
            self._dangerous[stand_in.name] = None
        return stand_in

    def _array(self, *args: Any) -> NumpyArray:
        made = NumpyArray("numpy.ndarray", args)
        self.arrays.append(made)
        return made

    def _array_of(self, data: Any, dtype: Any, shape: Any, order: Any, *rest: Any) -> NumpyArray:
        made = self._array()
        made.state = (1, shape, dtype, order == "F", data)
        return made

    def storage(self, pid: Any) -> Any:
        """The storage, or in old files the module, that a persistent id stands for."""
        if type(pid) is not tuple or len(pid) < 2:
            raise TypeError("persistent id is no tuple")
        if pid[0] == "module":
            return pid[1]
        word, kind, key, _, numel, *view = pid
        start = 0
        if view and view[0] is not None:
            _, start, numel = view[0]
        if word != "storage" or type(kind) is not allowed.ElementType or type(key) not in _KEYS:
            raise TypeError("persistent id of an unknown kind")
        if type(start) is not int or type(numel) is not int or start < 0 or numel < 0:
            raise TypeError("storage whose size is no count")
        token = key, kind, start, numel
        ref = self.storages.get(token)
        if ref is None:
            ref = self.storages[token] = StorageRef(str(key), kind.dtype, kind.name, numel, start)
        return ref

    def _refuse_dangerous(self) -> None:
        if self._dangerous:
            raise HostileError(
                "hostile checkpoint: its pickle calls for code; nothing was run",
                where=self.where,
                found=", ".join(self._dangerous),
                expected="tensors and plain data",
                fix="do not load this file by other means; get the weights from a source you trust, as .safetensors",
            )
