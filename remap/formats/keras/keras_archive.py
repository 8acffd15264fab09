"""A whole ``.keras`` model: its weights, read in place; written, the user's own archive with new weights in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from remap.errors import UsageError
from remap.formats.containers.stored_zip import StoredZip
from remap.formats.containers.zipdir import DEFLATED, MAX_RATIO, STORED, damaged, entry_blob
from remap.formats.contents import Contents
from remap.formats.format import FormatOptions, quoted
from remap.formats.keras import keras_h5
from remap.formats.keras.weights_h5 import KerasWeights, datasets_of, describe
from remap.formats.sheet import FixedBytes, Sheet, SheetFile
from remap.formats.unread import Unread

if TYPE_CHECKING:
    from remap.planning.plan import Plan

WEIGHTS = "model.weights.h5"
CONFIG = "config.json"
COMPILED = "the optimizer starts anew, of which Keras warns"


class KerasArchive(KerasWeights):
    """A model of Keras's, with its weights."""

    name = "keras"
    title = "Keras archive"
    suffixes = (".keras",)
    settings = ("model_archive",)

    def recognise(self, file: Unread) -> bool:
        return WEIGHTS in file.entries

    def read(self, file: Unread) -> Contents:
        """The weights: read in place, or inflated where somebody has packed the archive anew.

        Raises:
            CheckpointError: The archive or its weights are damaged.
        """
        entry = file.entries[WEIGHTS]
        if entry.encrypted or entry.method not in (STORED, DEFLATED) or entry.nbytes > MAX_RATIO * (entry.packed + 1):
            raise damaged(file.blob, f"entry {WEIGHTS!r} is packed in a way that no .keras is")
        return keras_h5.read(entry_blob(file.blob, WEIGHTS, entry), self.title, self.name)

    def lay_out(self, plan: Plan, out: Path, options: FormatOptions) -> Sheet:
        """A copy of ``model_archive`` with its weights replaced; they are put straight into it.

        Raises:
            UsageError: There is no such archive, or it is none.
        """
        from remap.formats.containers.hdf5 import hdf5_file

        if options.model_archive is None:
            raise UsageError(
                "a .keras file holds the whole model, which weights alone do not make",
                where=str(out),
                fix="give your model's own archive (--model model.keras), or write .weights.h5",
            )
        weights = hdf5_file(out, datasets_of(plan), describe)
        archive = StoredZip()
        fixed = [
            FixedBytes(archive.add(name, len(data)).start, data)
            for name, data in _others(options.model_archive).items()
        ]
        start = archive.add(WEIGHTS, weights.size).start
        fixed += [replace(piece, offset=start + piece.offset) for piece in weights.fixed]
        regions = tuple(replace(region, offset=start + region.offset) for region in weights.regions)
        return Sheet((SheetFile(out, archive.size, regions, tuple(fixed), archive.closing()),))

    def load_lines(self, plan: Plan, out: Path, options: FormatOptions) -> str:
        """The line that loads what was written, and what Keras says of a model that is compiled.

        Its optimizer's state in the user's archive belongs to the old weights, so it is left out: Keras begins a new
        one.
        """
        line = f"import keras\nmodel = keras.saving.load_model({quoted(out)})"
        compiled = options.model_archive is not None and _is_compiled(options.model_archive)
        return f"{line}  # {COMPILED}" if compiled else line


KERAS_ARCHIVE = KerasArchive()


def _is_compiled(path: Path) -> bool:
    return bool(json.loads(_others(path)[CONFIG]).get("compile_config"))


def _others(source: Path) -> dict[str, bytes]:
    """Everything in an archive but the weights."""
    import zipfile

    try:
        with zipfile.ZipFile(source) as archive:
            others = {name: archive.read(name) for name in archive.namelist() if name != WEIGHTS}
    except (OSError, zipfile.BadZipFile) as error:
        raise UsageError("cannot read the model's archive", where=str(source), found=str(error)) from error
    try:
        model = json.loads(others.get(CONFIG, b""))
    except ValueError:
        model = None
    if type(model) is not dict:
        raise UsageError("the archive holds no model", where=str(source), expected="a file that model.save made")
    return others
