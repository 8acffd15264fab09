"""Object-based TensorFlow checkpoints: TensorFlow restores every variable, or remap says which it would leave out."""

from __future__ import annotations

import keras
import msgspec
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from msgspec import structs
from plans import filling, numbers, plan_of
from test_write_files import leftovers
from test_write_keras import assert_holds, build, models
from test_write_tf_keras import MODELS as TF_KERAS_MODELS

from remap.errors import UsageError
from remap.inventory.inventory import Inventory
from remap.sides.keras.keras_model import identify, inventory_of
from remap.writing.write import write

ENDING = "/.ATTRIBUTES/VARIABLE_VALUE"


class Tracked(keras.Model):
    """Layers as attributes and in tuples, weights of its own, a layer in a layer."""

    def __init__(self):
        super().__init__()
        self.first = keras.layers.Dense(4)
        self.inner = keras.Sequential([keras.layers.Dense(4), keras.layers.BatchNormalization()])
        self.pair = (keras.layers.Dense(4), keras.layers.Dropout(0.5), keras.layers.Dense(4))
        self.mix = keras.layers.MultiHeadAttention(2, 3)
        self.scale = self.add_weight(shape=(4,), initializer="ones", name="scale")

    def call(self, x):
        for layer in (self.first, self.inner, *self.pair):
            x = layer(x)
        return self.mix(x, x) * self.scale


class Wrapper(keras.Model):
    """What it calls ``model`` is a part of it."""

    def __init__(self):
        super().__init__()
        self.model = keras.layers.Dense(4)
        self.head = keras.layers.Dense(2)

    def call(self, x):
        return self.head(self.model(x))


def built(cls):
    model = cls()
    model(keras.Input((5, 4)))
    return model


def tracked():
    return built(Tracked)


def wrapper():
    return built(Wrapper)


KINDS = ["residual", "sequential", "nested", "attention", "spectral", "preprocessing", "shared", "unnamed", "twins"]
KERAS_3 = [*(build(kind) for kind in KINDS), build("bfloat16"), tracked]


class ListsAndDicts(tf_keras.Model):
    """tf_keras shows lists and dicts to TensorFlow, in which names can have any letters."""

    def __init__(self):
        super().__init__()
        self.blocks = [tf_keras.layers.Dense(4), tf_keras.layers.Dense(4)]
        self.table = {"a/b.c": tf_keras.layers.Dense(4), "a.S": tf_keras.layers.Dense(4)}
        self.pair = (tf_keras.layers.Dense(4), tf_keras.layers.Dropout(0.5))
        self.gain = self.add_weight("gain", (4,), initializer="ones")

    def call(self, x):
        for layer in (*self.blocks, *self.table.values(), *self.pair):
            x = layer(x)
        return x * self.gain


def lists_and_dicts():
    model = ListsAndDicts()
    model(tf_keras.Input((4,)))
    return model


class Wrapper2(tf_keras.Model):
    def __init__(self):
        super().__init__()
        self.model = tf_keras.layers.Dense(4)
        self.head = tf_keras.layers.Dense(2)

    def call(self, x):
        return self.head(self.model(x))


def wrapper2():
    model = Wrapper2()
    model(tf_keras.Input((4,)))
    return model


TF_KERAS = [*TF_KERAS_MODELS, lists_and_dicts]


def fresh(build):
    keras.backend.clear_session()
    tf_keras.backend.clear_session()
    return build()


def written(build, folder):
    """A checkpoint for a model: what was written, the model's inventory, and what each variable holds."""
    target = inventory_of(build)
    plan, arrays = filling(target, folder)
    return write(plan, folder / "w.ckpt", format="tf_object"), target, arrays


def loads(found):
    """Every way to load a checkpoint: the printed lines, and the forms of ``tf.train.Checkpoint``."""
    for line in found.load_line.split("\n# or: "):
        yield lambda model, line=line: exec(line, {"model": model, "tf": tf})
    path = str(found.path)
    yield lambda model: tf.train.Checkpoint(model).restore(path).assert_existing_objects_matched()
    yield lambda model: tf.train.Checkpoint(model=model).restore(path).assert_consumed()


@pytest.mark.parametrize("build", [*KERAS_3, *TF_KERAS])
def test_tensorflow_restores_every_variable(build, tmp_path):
    found, target, arrays = written(build, tmp_path)
    for load in loads(found):
        model = fresh(build)
        load(model)
        assert_holds(model, target, arrays)


@pytest.mark.parametrize("build", [wrapper, wrapper2])
def test_a_model_with_a_part_called_model(build, tmp_path):
    found, target, arrays = written(build, tmp_path)
    *ways, _ = loads(found)
    for load in ways:
        model = fresh(build)
        load(model)
        assert_holds(model, target, arrays)
    assert "tf.train.Checkpoint(model).restore" in found.load_line


@pytest.mark.parametrize("build", [build("residual"), build("nested"), tracked, lists_and_dicts])
def test_keys_and_values_are_those_that_tensorflow_writes(build, tmp_path):
    found, target, arrays = written(build, tmp_path)
    model = fresh(build)
    for path, variable in identify(model, target).items():
        variable.assign(arrays[path])
    theirs = tf.train.load_checkpoint(tf.train.Checkpoint(model).save(str(tmp_path / "theirs")))
    ours = tf.train.load_checkpoint(str(found.path))
    assert ours.get_variable_to_shape_map() == theirs.get_variable_to_shape_map()
    for key in ours.get_variable_to_shape_map():
        if key.endswith(ENDING) and not key.startswith("save_counter"):
            assert ours.get_tensor(key).tobytes() == theirs.get_tensor(key).tobytes(), key


def test_training_goes_on_from_it(tmp_path):
    """The counter is there: the next checkpoint is the first."""
    found, _, _ = written(tracked, tmp_path)
    checkpoint = tf.train.Checkpoint(model=fresh(tracked))
    checkpoint.restore(str(found.path)).assert_consumed()
    assert checkpoint.save(str(tmp_path / "next")) == str(tmp_path / "next-1")


def test_an_inventory_without_a_model_is_enough(tmp_path):
    target = inventory_of(tracked)
    target.save(tmp_path / "t.json.gz")
    plan, arrays = filling(Inventory.load(tmp_path / "t.json.gz"), tmp_path)
    found = write(plan, tmp_path / "w.ckpt", format="tf_object")
    model = fresh(tracked)
    exec(found.load_line, {"model": model})
    assert_holds(model, target, arrays)


@pytest.mark.parametrize(
    ("build", "count", "layers"),
    [
        (models.subclassed, "8 of the model's 28", ["dense: kernel, bias", "dense_3: kernel, bias"]),
        (models.recurrent, "6 of the model's 20", ["gru_cell: kernel, recurrent_kernel, bias"]),
    ],
)
def test_layers_in_lists_and_dicts_of_keras_3_are_counted_and_refused(build, count, layers, tmp_path):
    target = inventory_of(build)
    plan, arrays = filling(target, tmp_path)
    with pytest.raises(UsageError, match=f"leave out {count} variables, without a word") as failure:
        write(plan, tmp_path / "w.ckpt", format="tf_object")
    problem = failure.value.problems[0]
    for layer in layers:
        assert layer in problem.excerpt
    assert "Keras 3 hides lists and dicts" in problem.expected
    assert leftovers(tmp_path) == []
    # TensorFlow's own checkpoint of the model has indeed no more than the others.
    model = fresh(build)
    reader = tf.train.load_checkpoint(tf.train.Checkpoint(model).write(str(tmp_path / "theirs")))
    stored = [key for key in reader.get_variable_to_shape_map() if key.endswith(ENDING)]
    assert len(stored) == len(target.variables) - int(count.split()[0])
    # The lines that the message gives do load the file that it recommends.
    assert "--format tf-name" in problem.fix
    lines = problem.fix.partition(":\n")[2].replace("\n    ", "\n").strip()
    write(plan, tmp_path / "w.ckpt", format="tf_name")
    exec(lines, {"model": model})
    assert_holds(model, target, arrays)


def test_many_layers_are_not_all_listed(tmp_path):
    class Deep(keras.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [keras.layers.Dense(4) for _ in range(20)]

        def call(self, x):
            for layer in self.blocks:
                x = layer(x)
            return x

    def deep():
        return built(Deep)

    plan, _ = filling(inventory_of(deep), tmp_path)
    with pytest.raises(UsageError, match="leave out 40 of the model's 40") as failure:
        write(plan, tmp_path / "w.ckpt", format="tf_object")
    assert failure.value.problems[0].excerpt.endswith("... and 8 more layers")


class NumberKeys(tf_keras.Model):
    def __init__(self):
        super().__init__()
        self.table = {1: tf_keras.layers.Dense(4), 2: tf_keras.layers.Dense(4)}

    def call(self, x):
        return self.table[1](self.table[2](x))


def number_keys():
    model = NumberKeys()
    model(tf_keras.Input((4,)))
    return model


def test_a_model_that_tensorflow_cannot_track_is_refused_with_its_reason(tmp_path):
    target = inventory_of(number_keys)
    plan, arrays = filling(target, tmp_path)
    with pytest.raises(UsageError, match="not known which of the model's objects") as failure:
        write(plan, tmp_path / "w.ckpt", format="tf_object")
    assert "Unable to save the object" in failure.value.problems[0].found
    write(plan, tmp_path / "w.weights.h5")
    model = fresh(number_keys)
    model.load_weights(str(tmp_path / "w.weights.h5"))
    assert_holds(model, target, arrays)


def test_a_look_with_another_backend_is_refused_with_the_way_out(tmp_path):
    target = inventory_of(tracked)
    variables = tuple(
        structs.replace(variable, places={"weights_h5": variable.at("weights_h5")}) for variable in target.variables
    )
    reason = "the model was looked at with Keras's torch backend"
    plan, _ = filling(structs.replace(target, variables=variables, tf_unknown=reason), tmp_path)
    with pytest.raises(UsageError, match=reason) as failure:
        write(plan, tmp_path / "w.ckpt", format="tf_object")
    assert "KERAS_BACKEND=tensorflow" in failure.value.problems[0].expected
    assert leftovers(tmp_path) == []


def test_another_element_type_is_refused_since_tensorflow_does_not_cast(tmp_path):
    target = inventory_of(tracked)
    arrays = {variable.path: numbers(variable.shape, np.dtype("f4"), 1) for variable in target.variables}
    plan = plan_of(arrays, tmp_path, target, dtypes={"dense/kernel": "float16"})
    with pytest.raises(UsageError, match="does not cast") as failure:
        write(plan, tmp_path / "w.ckpt", format="tf_object")
    assert [problem.where for problem in failure.value.problems] == ["dense/kernel"]
    assert leftovers(tmp_path) == []


def test_an_earlier_inventory_does_not_tell(tmp_path):
    target = inventory_of(tracked)
    data = msgspec.to_builtins(target)
    del data["tf_unknown"]
    for variable in data["variables"]:  # as it was saved before formats had places by name
        places = variable.pop("places")
        variable["weights_h5"] = [path for (path,) in places["weights_h5"]]
        variable["legacy_h5"] = places["legacy_h5"][0]
    (tmp_path / "t.json").write_bytes(msgspec.json.encode(data))
    plan, _ = filling(Inventory.load(tmp_path / "t.json"), tmp_path)
    with pytest.raises(UsageError, match="the inventory does not tell"):
        write(plan, tmp_path / "w.ckpt", format="tf_object")


@pytest.mark.parametrize("build", TF_KERAS)
@pytest.mark.parametrize("name", ["w.ckpt", "w.npz", "w.safetensors"])
def test_files_by_name_load_in_tf_keras_by_the_lines_given(build, name, tmp_path):
    target = inventory_of(build)
    plan, arrays = filling(target, tmp_path)
    found = write(plan, tmp_path / name)
    model = fresh(build)
    exec(found.load_line, {"model": model, "np": np})
    assert_holds(model, target, arrays)
