"""Object-based TensorFlow checkpoints, without TensorFlow.

Read by ``tf.train.Checkpoint`` and by ``load_weights`` of tf_keras models. Restoring follows the edges of an object
graph, for which a tree of the keys' own components is enough (tensorflow/core/protobuf/trackable_object_graph.proto).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remap.errors import Problem, UsageError
from remap.formats.format import Format, FormatOptions, Restorer, quoted
from remap.formats.sheet import Sheet
from remap.formats.tensorflow.bundle import DTYPES
from remap.formats.tensorflow.bundle_sheet import BundleValue, bundle_sheet
from remap.formats.tensorflow.object_graph import COUNTER, MODEL, holds, object_graph
from remap.formats.tensorflow.tf_bundle import OBJECT_ENDING, OBJECT_GRAPH
from remap.formats.tensorflow.tf_name import TF_NAME
from remap.inventory.inventory import EXPORTED

if TYPE_CHECKING:
    from remap.inventory.inventory import Inventory, Variable
    from remap.planning.plan import Assignment, Plan

SHOWN = 12
COMPILED = "# or, where the model is compiled already, as the file holds no optimizer: "


class TfObject(Format):
    """Variables with the object graph of their model.

    They hang from the root and, unless the model itself has something of that name, from an edge ``model`` too: so one
    file serves ``tf.train.Checkpoint(model=...)``, ``tf.train.Checkpoint(...)`` and ``load_weights`` of tf_keras.
    :data:`remap.formats.tensorflow.tf_name.TF_NAME` reads it: both are one kind of file.
    """

    name = "tf_object"
    title = "TensorFlow checkpoint"
    suffixes = (".ckpt",)
    label = "TensorFlow checkpoint"
    is_target = True

    def lay_out(self, plan: Plan, out: Path, options: FormatOptions) -> Sheet:
        """Data and index.

        Raises:
            UsageError: The model is not known, TensorFlow does not track all of its variables, or one is to be written
                as another element type than it has.
            MissingPackageError: google-crc32c is not installed.
        """
        keys = _object_keys(plan, out, options)
        values = {OBJECT_GRAPH: BundleValue.of_text(object_graph(list(keys)))}
        if not holds(keys, COUNTER):
            values[COUNTER + OBJECT_ENDING] = BundleValue(DTYPES["int64"], bytes(8))
        return bundle_sheet(plan, out, keys, values)

    def load_lines(self, plan: Plan, out: Path, options: FormatOptions) -> str:
        """The lines that load what was written, those that demand that nothing is left over first.

        They fail for a model that is compiled, though every weight is restored: its optimizer is not in the file.
        """
        target = plan.target
        if target is not None and target.kind == EXPORTED:
            load = f"model = tf.saved_model.load({json.dumps(target.model, ensure_ascii=False)})"
            restore = f"tf.train.Checkpoint(model).restore({quoted(out)}).expect_partial()"
            save = "tf.saved_model.save(model, folder, signatures=model.signatures)"
            return f"import tensorflow as tf\n{load}\n{restore}\n# and into a new folder: {save}"
        root = "model" if holds(_object_keys(plan, out, options), MODEL) else "model=model"
        restore = f"tf.train.Checkpoint({root}).restore({quoted(out)})"
        if target is not None and target.is_keras2:
            load = f"model.load_weights({quoted(out)})"
            return (
                f"{load}.assert_existing_objects_matched()\n# or: {restore}.assert_consumed()\n"
                f"{COMPILED}{load}.expect_partial()"
            )
        return f"import tensorflow as tf\n{restore}.assert_consumed()\n{COMPILED}{restore}.expect_partial()"

    def read_back(self, plan: Plan, path: Path, restorer: Restorer) -> Mapping[str, Any]:
        return restorer.restore(path)

    def places(self, name: str, variable: Variable | None) -> tuple[str, ...]:
        return () if variable is None else keys_of(variable)[:1]


TF_OBJECT = TfObject()


def keys_of(variable: Variable) -> tuple[str, ...]:
    """The keys of a variable in a checkpoint of the model alone: its own, then those of copies that an export of Keras
    3 has; none where TensorFlow does not track it."""
    return tuple(key for (key,) in variable.at(TF_OBJECT.name))


def _object_keys(plan: Plan, out: Path, options: FormatOptions) -> dict[str, Assignment]:
    """The keys of the checkpoint: one of every variable, and those of its copies.

    Raises:
        UsageError: A variable has none, or could not be restored from it.
    """
    target = plan.target
    if target is None:
        raise UsageError(
            "an object-based checkpoint follows the model's objects, which only the model knows",
            found="no model",
            fix="give --model or --target, or write a name-based one (--format tf-name)",
        )
    keys: dict[str, Assignment] = {}
    problems = []
    for assignment in plan.assignments:
        variable = assignment.variable
        own = keys_of(variable) if variable is not None else ()
        if variable is None or not own:
            raise UsageError(_untracked(plan, target, TF_NAME.load_lines(plan, out, options)))
        keys |= {key + OBJECT_ENDING: assignment for key in own}
        if variable.dtype != assignment.dtype.name:
            problems.append(
                Problem(
                    "tf.train.Checkpoint does not cast, and this variable has another element type",
                    where=assignment.name,
                    found=assignment.dtype.name,
                    expected=variable.dtype,
                    fix="leave out --dtype, or write a name-based checkpoint (--format tf-name)",
                )
            )
    if problems:
        raise UsageError(problems)
    return keys


def _untracked(plan: Plan, target: Inventory, by_name: str) -> Problem:
    instead = f"write .weights.h5; or write --format tf-name, which these lines load:\n{by_name}"
    instead = instead.replace("\n", "\n    ")
    if target.tf_unknown:
        return Problem(
            "it is not known which of the model's objects tf.train.Checkpoint follows",
            where=target.model,
            found=target.tf_unknown,
            expected="a model that TensorFlow can track, looked at with KERAS_BACKEND=tensorflow",
            fix=instead,
        )
    left_out: dict[str, list[str]] = {}
    variables = [each.variable for each in plan.assignments if each.variable is not None]
    for variable in variables:
        if not keys_of(variable):
            layer = target.layers[variable.layer].path
            left_out.setdefault(layer or "the model itself", []).append(variable.path.rpartition("/")[2])
    count = sum(len(names) for names in left_out.values())
    listed = [f"{layer}: {', '.join(names)}" for layer, names in left_out.items()]
    if len(listed) > SHOWN:
        listed[SHOWN:] = [f"... and {len(listed) - SHOWN} more layers"]
    return Problem(
        f"tf.train.Checkpoint would leave out {count} of the model's {len(variables)} variables, without a word",
        where=target.model,
        excerpt="\n".join(["left out:", *(f"  {line}" for line in listed)]),
        expected="layers that are attributes of the model or of each other, alone or in tuples"
        + (", lists or dicts with names as keys" if target.is_keras2 else ": Keras 3 hides lists and dicts"),
        fix=instead,
    )
