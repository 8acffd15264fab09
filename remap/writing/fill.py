"""The engine: renders variables tile by tile and puts them where a format says, on a few threads.

Formats only say where the bytes go. Every thread takes the next tile, renders it, casts it and writes it, so that
never more than one tile a thread is in memory, whatever the size of the tensors.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from threading import Lock

import numpy as np

from remap.errors import Problem, WriteError
from remap.formats.sheet import Region
from remap.layout.tiles import TILE_BYTES, Tile, tiles
from remap.tensors.dtypes import is_float
from remap.tensors.pwrite import write_all
from remap.writing.disk import Writeback, reserve
from remap.writing.finite import NotFinite, not_finite
from remap.writing.narrow import Loss, Unfit, cast

THREADS = min(2, os.cpu_count() or 1)
"""Two keep a disk cache busy; more only wait for memory."""
BINARY: int = getattr(os, "O_BINARY", 0)
"""Windows writes line ends of its own without it."""

Progress = Callable[[int], None]
"""Called with the bytes done since the last call, by one thread at a time."""


class Filler:
    """Fills files with variables, and keeps account of what casting lost and of what is no finite number.

    Args:
        progress: Told of every tile, in bytes of the variables as planned.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.loss = Loss()
        self._progress = progress
        self._unfit: dict[str, tuple[str, Unfit]] = {}
        self._nan: Counter[str] = Counter()
        self._infinite: Counter[str] = Counter()
        self._lock = Lock()

    def fill(self, path: Path, regions: Sequence[Region]) -> None:
        """Write every region of a file that exists already.

        Raises:
            OSError: The disk is full or fails.
            CheckpointError: A source cannot be read.
        """
        handle = os.open(path, os.O_WRONLY | BINARY)
        try:
            with Writeback(handle) as writeback:
                _Run(self, handle, writeback, [region for region in regions if region.nbytes]).run()
        finally:
            os.close(handle)

    def close(self) -> None:
        """Raise if numbers were met that their new element type cannot hold.

        Raises:
            WriteError: Lists every such variable.
        """
        if self._unfit:
            raise WriteError(
                Problem(
                    "numbers do not fit the element type they are written in",
                    where=name,
                    found=_misfit(unfit, holder),
                    fix="choose a wider --dtype, or build the model with one",
                )
                for name, (holder, unfit) in self._unfit.items()
            )

    @property
    def not_finite(self) -> tuple[NotFinite, ...]:
        """Variables with NaN or infinities, by name."""
        names = sorted(self._nan.keys() | self._infinite.keys())
        return tuple(NotFinite(self._nan[name], self._infinite[name], name) for name in names)

    def account(self, region: Region, loss: Loss, unfit: Unfit, odd: NotFinite, done: int) -> None:
        """Take up one tile, ``done`` elements."""
        assignment = region.assignment
        with self._lock:
            if loss.absolute or loss.relative:
                self.loss.add(Loss(loss.absolute, loss.relative, assignment.name))
            if unfit.count:
                whole = assignment.value.recipe.dtype.kind in "iu" and is_float(region.dtype)
                _, before = self._unfit.get(assignment.name, ("", Unfit()))
                self._unfit[assignment.name] = (region.dtype.name if whole else "", before + unfit)
            if odd:
                self._nan[assignment.name] += odd.nan
                self._infinite[assignment.name] += odd.infinite
            if self._progress is not None:
                self._progress(done * assignment.dtype.itemsize)


def _misfit(unfit: Unfit, holder: str) -> str:
    """In words; ``holder`` is the float type that whole numbers were to be written in, empty for other numbers."""
    if not holder:
        return f"{unfit.count:,} numbers out of its range"
    return (
        f"{unfit.count:,} whole numbers that {holder} does not hold: the first, {unfit.first}, becomes {unfit.written}"
    )


class _Run:
    """The filling of one file."""

    def __init__(self, filler: Filler, handle: int, writeback: Writeback, regions: Sequence[Region]) -> None:
        self._filler = filler
        self._handle = handle
        self._writeback = writeback
        self._regions = regions
        self._cuts = [_cut(region) for region in regions]
        self._left = [len(cuts) for cuts in self._cuts]
        self._uses = Counter(id(source.storage) for region in regions for source in region.assignment.value.sources)
        self._todo = ((number, tile) for number, cuts in enumerate(self._cuts) for tile in cuts)
        self._stopped = False
        self._lock = Lock()
        self._writing = Lock()  # one file is written by one thread at a time in the kernel: others would spin

    def run(self) -> None:
        if self._regions:
            stop = max(region.offset + region.nbytes for region in self._regions)
            reserve(self._handle, min(region.offset for region in self._regions), stop)
        with ThreadPoolExecutor(THREADS, "fill") as pool:
            try:  # an interrupt may come as soon as the first of them works
                for worker in [pool.submit(self._work) for _ in range(THREADS)]:
                    worker.result()
            finally:
                self._stopped = True

    def _next(self) -> tuple[int, Tile] | None:
        with self._lock:
            return None if self._stopped else next(self._todo, None)

    def _work(self) -> None:
        rendered, casted = _Room(), _Room()
        try:
            while (todo := self._next()) is not None:
                number, tile = todo
                self._tile(self._regions[number], tile, rendered, casted)
                self._finish(number)
        finally:
            self._stopped = True

    def _tile(self, region: Region, tile: Tile, rendered: _Room, casted: _Room) -> None:
        value = region.assignment.value
        loss, unfit = Loss(), Unfit()
        numbers = value.render(tile, rendered.take(tile.shape, value.recipe.dtype))
        odd = not_finite(numbers)
        if numbers.dtype != region.dtype:
            into = casted.take(tile.shape, region.dtype)
            unfit = cast(numbers, into, loss)
            numbers = into
        self._write(region, tile, numbers)
        self._filler.account(region, loss, unfit, odd, numbers.size)

    def _write(self, region: Region, tile: Tile, numbers: np.ndarray) -> None:
        data = numbers.reshape(-1).view(np.uint8).data
        item, done = region.dtype.itemsize, 0
        with self._writing:
            for first, count in tile.runs(region.assignment.value.recipe.axes):
                write_all(self._handle, data[done : done + count * item], region.offset + first * item)
                done += count * item
        self._writeback.wrote(done)

    def _finish(self, number: int) -> None:
        """Count a tile; with the last one of a region, give back the sources that no later one needs."""
        with self._lock:
            self._left[number] -= 1
            if self._left[number]:
                return
            storages = [source.storage for source in self._regions[number].assignment.value.sources]
            self._uses.subtract(map(id, storages))
            unused = [storage for storage in storages if not self._uses[id(storage)]]
        for storage in unused:
            storage.release()


def _cut(region: Region) -> list[Tile]:
    """Tiles that are no larger after the cast than before."""
    recipe = region.assignment.value.recipe
    item = recipe.dtype.itemsize
    return tiles(recipe, TILE_BYTES * item // max(item, region.dtype.itemsize))


class _Room:
    """A buffer that is used again for every tile: fresh memory costs as much as the copy."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        nbytes = prod(shape) * dtype.itemsize
        if nbytes > self._bytes.nbytes:
            self._bytes = np.empty(nbytes, np.uint8)
        return self._bytes[:nbytes].view(dtype).reshape(shape)
