"""Name-based TensorFlow checkpoints, without TensorFlow.

Read by ``tf.train.load_checkpoint``, ``tf.compat.v1.train.Saver`` and tf_keras.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remap.formats.contents import Contents
from remap.formats.format import Format, FormatOptions, ReadBack, Restorer, quoted
from remap.formats.load_lines import assign_line
from remap.formats.sheet import Sheet
from remap.formats.tensorflow import tf_bundle
from remap.formats.tensorflow.bundle_sheet import bundle_sheet
from remap.formats.unread import Unread

if TYPE_CHECKING:
    from remap.planning.plan import Plan


class TfName(Format):
    """Variables under their own names. It reads object-based checkpoints too: both are one kind of file."""

    name = "tf_name"
    title = "TensorFlow checkpoint"
    suffixes = (".ckpt",)
    is_target = True

    def recognise(self, file: Unread) -> bool:
        return (not file.exists or tf_bundle.is_part(file.name)) and tf_bundle.index_of(file.place) is not None

    def read(self, file: Unread) -> Contents:
        return tf_bundle.read(file.place)

    def lay_out(self, plan: Plan, out: Path, options: FormatOptions) -> Sheet:
        """Data and index.

        Raises:
            UsageError: TensorFlow has no such element type.
            MissingPackageError: google-crc32c is not installed.
        """
        return bundle_sheet(plan, out, {assignment.name: assignment for assignment in plan.assignments})

    def load_lines(self, plan: Plan, out: Path, options: FormatOptions) -> str:
        load = f"import tensorflow as tf\nreader = tf.train.load_checkpoint({quoted(out)})\n"
        return load + assign_line("reader.get_tensor({})", plan)

    def read_back(self, plan: Plan, path: Path, restorer: Restorer) -> Mapping[str, Any]:
        reader = restorer.checkpoint_reader(path)
        there = reader.get_variable_to_shape_map()
        return ReadBack((each.name for each in plan.assignments if each.name in there), reader.get_tensor)


TF_NAME = TfName()
