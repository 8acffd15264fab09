"""A sheet turned into files: what is known first, then the variables, then what is known in the end."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from remap.formats.sheet import Sheet, SheetFile
from remap.tensors.pwrite import write_all
from remap.writing.fill import Filler
from remap.writing.staging import Staging, check_free, check_space


def carry_out(sheet: Sheet, staging: Staging, filler: Filler, *, force: bool) -> None:
    """Write the files of a sheet under their temporary names.

    Args:
        sheet: What to write.
        staging: Where its files wait.
        filler: Renders the variables.
        force: Whether existing files are replaced.

    Raises:
        UsageError: A file exists and is not to be replaced.
        WriteError: There is no room for it.
        OSError: The disk is full or fails.
        CheckpointError: A source cannot be read.
    """
    for file in sheet.files:
        if not file.shared:
            check_free(file.path, force)
    check_space(sheet.files[0].path.parent, sheet.nbytes)
    files = [file for file in sheet.files if not file.shared]
    paths = [staging.temporary(file.path, replace=force) for file in files]
    for file in sheet.files:
        if file.shared:
            staging.after(partial(_add, file))

    def read(number: int, offset: int, length: int) -> bytes:
        with paths[number].open("rb") as file:
            file.seek(offset)
            return file.read(length)

    for path, file in zip(paths, files, strict=True):
        _begin(path, file)
        if file.regions:
            filler.fill(path, file.regions)
        if file.closing is not None:
            with path.open("r+b") as written:
                for piece in file.closing.pieces(read):
                    write_all(written.fileno(), piece.data, piece.offset)


def _add(file: SheetFile) -> Path | None:
    """Make a file that a folder has one of, unless it has one already: its path if it was made."""
    try:
        with file.path.open("xb") as written:
            for piece in file.fixed:
                write_all(written.fileno(), piece.data, piece.offset)
    except OSError:  # the output is whole without it
        return None
    return file.path


def _begin(path: Path, file: SheetFile) -> None:
    """Make a file of its final size with what is known beforehand."""
    with path.open("wb") as written:
        os.truncate(written.fileno(), file.size)
        for piece in file.fixed:
            write_all(written.fileno(), piece.data, piece.offset)
