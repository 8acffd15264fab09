"""SavedModel folders as the model: those of tf_keras are models again, the variables of all others are known."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import target_models as models
import tensorflow as tf
import test_target_tf_keras as keras2_models
import tf_keras
from msgspec import structs
from repository import ROOT, import_file

from remap.checking.model import check_file
from remap.errors import TargetError, UsageError
from remap.inventory.inventory import EXPORTED
from remap.sides.keras.keras_model import build_model, identify, inventory_of
from remap.sides.keras.spec import load_model_builder
from remap.writing.write import write

plans = import_file(ROOT / "tests/writing/plans.py")


def fresh(build):
    keras.backend.clear_session()
    tf_keras.backend.clear_session()
    return build()


def failure(folder):
    with pytest.raises(TargetError) as caught:
        inventory_of(load_model_builder(str(folder)))
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


@pytest.mark.parametrize("build", [keras2_models.functional, keras2_models.attention, keras2_models.subclassed])
def test_a_model_of_tf_keras_is_the_same_model_again(build, tmp_path):
    expected = inventory_of(build)
    fresh(build).save(tmp_path / "saved", save_format="tf")
    source = load_model_builder(str(tmp_path / "saved"))
    target = inventory_of(source)
    assert structs.replace(target, model=expected.model) == expected
    plan, arrays = plans.filling(target, tmp_path)
    for name in ("w.weights.h5", "w.h5", "w.ckpt"):
        format = "tf_object" if name.endswith("ckpt") else None
        write(plan, tmp_path / name, format=format)
        assert check_file(plan, tmp_path / name, source, format=format).variables == len(arrays)
        model = fresh(build)
        model.load_weights(str(tmp_path / name))
        for path, variable in identify(model, target).items():
            assert variable.numpy().tobytes() == arrays[path].tobytes(), path


class Dropping(keras.Model):
    """Layers in a list and one that draws random numbers; one layer stays unused."""

    def __init__(self):
        super().__init__()
        self.blocks = [keras.layers.Dense(4), keras.layers.Dense(4)]
        self.norm = keras.layers.BatchNormalization()
        self.drop = keras.layers.Dropout(0.5)
        self.spare = keras.layers.Dense(4)
        self.spare.build((None, 4))

    def call(self, x):
        for layer in (*self.blocks, self.norm, self.drop):
            x = layer(x)
        return x


def dropping():
    model = Dropping()
    model(keras.Input((4,)))
    return model


def exporting(model, folder):
    model.export(str(folder), verbose=False)


def saving(model, folder):
    tf.saved_model.save(model, str(folder))


@pytest.mark.parametrize("save", [exporting, saving])
@pytest.mark.parametrize("build", [models.residual, models.nested, dropping])
def test_an_export_of_keras_3_serves_the_new_weights(build, save, tmp_path):
    model = fresh(build)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    weight_of = {weight.numpy().tobytes(): weight for weight in model.weights}
    save(model, tmp_path / "saved")
    source = load_model_builder(str(tmp_path / "saved"))
    target = inventory_of(source)
    assert target.kind == EXPORTED
    # The folder's own values, which an entry of a rule file could keep, tell which variable is which.
    saved = identify(build_model(source), target)
    live = {path: weight_of.pop(variable.numpy().tobytes()) for path, variable in saved.items()}
    assert not weight_of
    if build is not dropping:
        assert {path: weight.path for path, weight in live.items()} == {path: path for path in live}
    plan, arrays = plans.filling(target, tmp_path)
    found = write(plan, tmp_path / "w.ckpt", format="tf_object")
    assert check_file(plan, found.path, source, format="tf_object").variables == len(live)
    for path, weight in live.items():
        weight.assign(arrays[path])
    scope = {"folder": str(tmp_path / "new")}
    exec(found.load_line.replace("# and into a new folder: ", ""), scope)
    x = rng.uniform(size=(2, 8, 8, 3) if build is models.residual else (2, 4)).astype("f4")
    for served in (scope["model"], tf.saved_model.load(str(tmp_path / "new"))):
        outputs = served.signatures["serving_default"](tf.constant(x))
        np.testing.assert_allclose(next(iter(outputs.values())), model(x, training=False), rtol=1e-5, atol=1e-6)
    reader = tf.train.load_checkpoint(str(found.path))
    for variable in target.variables:
        for (key,) in variable.at("tf_object"):
            stored = reader.get_tensor(f"{key}/.ATTRIBUTES/VARIABLE_VALUE")
            assert stored.tobytes() == arrays[variable.path].tobytes()


@pytest.mark.parametrize("name", ["w.ckpt", "w.safetensors", "w.npz"])
def test_files_by_name_hold_the_names_of_an_export(name, tmp_path):
    exporting(fresh(models.residual), tmp_path / "saved")
    source = load_model_builder(str(tmp_path / "saved"))
    plan, arrays = plans.filling(inventory_of(source), tmp_path)
    found = write(plan, tmp_path / name)
    assert check_file(plan, found.path, source).variables == len(arrays)
    line = found.load_line.replace("  # of each", " for name in arrays}  # of each").splitlines()
    scope = {"arrays": arrays}
    exec("\n".join([*line[:-1], "found = {name: " + line[-1]]), scope)
    for path, array in arrays.items():
        assert np.asarray(scope["found"][path]).tobytes() == array.tobytes(), path


@pytest.mark.parametrize("name", ["w.weights.h5", "w.h5", "w.weights.json"])
def test_files_of_keras_are_refused_for_what_tells_no_layers(name, tmp_path):
    exporting(fresh(models.sequential), tmp_path / "saved")
    target = inventory_of(load_model_builder(str(tmp_path / "saved")))
    plan, _ = plans.filling(target, tmp_path)
    with pytest.raises(UsageError, match="does not tell its Keras layers") as caught:
        write(plan, tmp_path / name)
    assert "file.py:callable" in caught.value.problems[0].fix
    assert not (tmp_path / name).exists()


class Plain(tf.Module):
    """Two variables of one name, and no signature."""

    def __init__(self):
        super().__init__()
        self.parts = [tf.Variable(tf.zeros((2, 3)), name="w"), tf.Variable(tf.zeros((2, 3)), name="w")]
        self.words = tf.Variable("text", name="words")

    @tf.function(input_signature=[tf.TensorSpec((1, 2))])
    def __call__(self, x):
        return x @ self.parts[0] - x @ self.parts[1]


def test_variables_of_one_name_are_told_apart(tmp_path):
    tf.saved_model.save(Plain(), str(tmp_path / "saved"))
    source = load_model_builder(str(tmp_path / "saved"))
    target = inventory_of(source)
    assert [(variable.path, *variable.at("tf_object")[0]) for variable in target.variables] == [
        ("w", "parts/0"),
        ("w#2", "parts/1"),
    ]
    plan, arrays = plans.filling(target, tmp_path)
    found = write(plan, tmp_path / "w.ckpt", format="tf_object")
    check_file(plan, found.path, source, format="tf_object")
    scope = {}
    exec(found.load_line, scope)
    x = np.array([[1, 2]], "f4")
    np.testing.assert_allclose(scope["model"](x), x @ arrays["w"] - x @ arrays["w#2"], rtol=1e-6)


def test_a_saved_model_of_tensorflow_1(tmp_path):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 3), name="x")
        with v1.variable_scope("net/fc"):
            kernel = v1.get_variable("kernel", (3, 2), use_resource=True)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "saved"), {"x": x}, {"y": x @ kernel})
    source = load_model_builder(str(tmp_path / "saved"))
    target = inventory_of(source)
    assert [(variable.path, variable.shape) for variable in target.variables] == [("net/fc/kernel", (3, 2))]
    plan, arrays = plans.filling(target, tmp_path)
    found = write(plan, tmp_path / "w.ckpt", format="tf_object")
    check_file(plan, found.path, source, format="tf_object")
    scope = {}
    exec(found.load_line, scope)
    served = scope["model"].signatures["serving_default"](x=tf.constant(np.eye(3, dtype="f4")))
    np.testing.assert_array_equal(served["y"], arrays["net/fc/kernel"])


def test_what_looks_at_layers_is_refused_with_the_way_out(tmp_path, fixtures, remap_command):
    exporting(fresh(models.sequential), tmp_path / "saved")
    linear = fixtures / "linear"
    ran = remap_command(
        "verify",
        linear / "linear.toml",
        linear / "linear.safetensors",
        "--model",
        tmp_path / "saved",
        "--torch",
        f"{linear}/torch_model.py:build",
    )
    assert ran.code == 5, ran.err
    assert "a SavedModel does not tell them" in ran.err
    assert "path/to/file.py:callable" in ran.err


def test_an_inventory_from_the_command_line_serves_without_the_folder(tmp_path, remap_command):
    exporting(fresh(models.sequential), tmp_path / "saved")
    ran = remap_command("target", tmp_path / "saved", "-o", tmp_path / "t.json")
    assert ran.code == 0, ran.err
    assert "does not tell its Keras layers" in ran.out.replace("\n", " ")


def test_what_is_no_saved_model(tmp_path):
    assert failure(tmp_path).what == "this folder is no model"
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    assert failure(tmp_path).what == "the SavedModel does not load"
    (tmp_path / "saved_model.pb").write_bytes(b"")
    assert failure(tmp_path).where == str(tmp_path)
    (tmp_path / "keras_metadata.pb").write_bytes(b"\xff")
    assert failure(tmp_path).what == "the SavedModel does not load"
    with pytest.raises(TargetError, match="takes no arguments"):
        load_model_builder(str(tmp_path), {"classes": 3})


def test_a_saved_model_without_variables(tmp_path):
    class Doubles(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1,))])
        def __call__(self, x):
            return x * 2

    tf.saved_model.save(Doubles(), str(tmp_path / "saved"))
    assert failure(tmp_path / "saved").what == "the SavedModel has no variables"
