"""Speaking to the process that reads HDF5 (:mod:`remap.formats.keras.h5_child`): one for all files, begun when needed.

This process never opens a file by the HDF5 library that it has not written itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import IO, Any, NamedTuple

from remap.errors import CheckpointError, RemapError
from remap.tensors.blob import Blob

MEMORY, MEMORY_PER_BYTE = 256 << 20, 4
"""What reading may take in bytes: so much, and so much for each of the file's."""
SECONDS, BYTES_PER_SECOND = 20, 1 << 20
"""How long it may take: so many seconds of a processor, and one more for each so many bytes."""
PROGRAM = Path(__file__).with_name("h5_child.py")
MAX_FRAME = 1 << 30
_HEADER = 9
_CRASHED = 100
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class _EndedError(Exception):
    """The process is gone."""


class _Result(NamedTuple):
    """How an answer ends, and the first error that the file's bytes ended in."""

    content: dict[str, Any]
    failure: RemapError | None


class H5Process:
    """The process that reads; it is begun with the first question, and anew after a crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = Lock()

    def listing(self, blob: Blob) -> dict[str, Any]:
        """All datasets of a file.

        Raises:
            CheckpointError: It is damaged or leads to other files.
        """
        result: dict[str, Any] = {}
        for frame in self._ask(blob, None, 0, MEMORY + MEMORY_PER_BYTE * blob.size, blob.size):
            if isinstance(frame, dict):
                result = frame
        return result

    def read(self, blob: Blob, dataset: str, nbytes: int, piece: int, chunk: int) -> Iterator[bytes]:
        """The numbers of a dataset, piece by piece.

        Args:
            blob: The file.
            dataset: Its path.
            nbytes: How many there will be.
            piece: Bytes of a piece.
            chunk: Bytes of the largest chunk, which the library unpacks whole.

        Raises:
            CheckpointError: It is damaged.
        """
        memory = MEMORY + MEMORY_PER_BYTE * blob.size + 4 * (chunk + piece)
        for frame in self._ask(blob, dataset, piece, memory, blob.size + nbytes):
            if isinstance(frame, bytes):
                yield frame

    def _ask(
        self, blob: Blob, dataset: str | None, piece: int, memory: int, work: int
    ) -> Iterator[bytes | dict[str, Any]]:
        command = {
            "size": blob.size,
            "dataset": dataset,
            "piece": piece,
            "memory": memory,
            "seconds": SECONDS + work // BYTES_PER_SECOND,
        }
        with self._lock:
            done = False
            try:
                for answer in self._answers(blob, json.dumps(command).encode()):
                    done = isinstance(answer, _Result)
                    yield _judged(answer, blob) if isinstance(answer, _Result) else answer
            except _EndedError:
                raise self._crash(blob) from None
            finally:
                if not done:
                    self._end()

    def _answers(self, blob: Blob, command: bytes) -> Iterator[bytes | _Result]:
        process = self._running()
        failure: RemapError | None = None
        _send(process, b"C", command)
        while True:
            kind, data = _receive(process)
            if kind == b"P":
                yield data
            elif kind == b"R":
                start, length = (int.from_bytes(data[at : at + 8], "little") for at in (0, 8))
                try:
                    part = blob.read(start, length)
                except RemapError as error:
                    failure = failure or error
                    _send(process, b"F", b"")
                else:
                    _send(process, b"D", part)
            else:
                yield _Result(json.loads(data), failure)
                return

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid():
            paths = os.pathsep.join(path for path in sys.path if path)
            self._owner = os.getpid()
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ENVIRONMENT | {"PYTHONPATH": paths},
                start_new_session=True,  # an interrupt is for this process to deal with
                bufsize=0,
            )
        return self._process

    def _end(self) -> int:
        """End the process; what it ended with."""
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _crash(self, blob: Blob) -> CheckpointError:
        code = self._end() - _CRASHED
        reason = f"the HDF5 library ended with signal {code}" if code > 0 else "the HDF5 library came to no end of it"
        if code == getattr(signal, "SIGXCPU", None) or code == getattr(signal, "SIGKILL", None):
            reason = "the HDF5 library came to no end of it"
        return _damaged(blob, reason)


def _send(process: subprocess.Popen[bytes], kind: bytes, data: bytes) -> None:
    pipe = process.stdin
    assert pipe is not None
    view = memoryview(kind + len(data).to_bytes(8, "little") + data)
    try:
        while view:
            view = view[pipe.write(view) :]
    except OSError as error:
        raise _EndedError from error


def _receive(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    pipe = process.stdout
    assert pipe is not None
    header = _exactly(pipe, _HEADER)
    length = int.from_bytes(header[1:], "little")
    if length > MAX_FRAME:
        raise _EndedError
    return header[:1], _exactly(pipe, length)


def _exactly(pipe: IO[bytes], length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = pipe.read(min(length - len(data), 1 << 20))
        if not part:
            raise _EndedError
        data += part
    return bytes(data)


def _judged(answer: _Result, blob: Blob) -> dict[str, Any]:
    """What the process found, or the error that it tells of."""
    result, failure = answer
    if "leads" in result:
        raise CheckpointError(
            result["leads"],
            where=f"{result['name']} in {blob.name}",
            found=result["target"],
            expected="datasets of its own, as Keras writes them",
            fix="do not use this file",
        )
    if "failed" in result:
        if failure is not None:
            raise failure
        raise _damaged(blob, result["failed"])
    return result


def _damaged(blob: Blob, reason: str) -> CheckpointError:
    return CheckpointError(
        "cannot read the HDF5 file", where=blob.name, found=reason, fix="it is damaged: write it again"
    )


PROCESS = H5Process()
"""The one that all files share."""
