"""Progress bars with bytes and rate, shown only for what takes longer than a second."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

SHOWN_AFTER = 1.0


class Bars:
    """One bar a stage, on standard error, gone when done."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._started = time.monotonic()
        self._running = False
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running:
            self._progress.stop()

    def advance(self, stage: str, done: int, total: int) -> None:
        """Count ``done`` more bytes of a stage."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.advance(self._tasks[stage], done)
        if not self._running and time.monotonic() - self._started > SHOWN_AFTER:
            self._running = True
            self._progress.start()
