"""What is printed loads into models that are compiled and trained, too: weights are replaced, optimizers are not."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from plans import filling
from test_write_keras import assert_holds

import remap
from remap.sides.keras.keras_model import inventory_of
from remap.writing.write import write

X, Y = np.ones((4, 4), "f4"), np.ones((4, 2), "f4")


def network(framework):
    framework.backend.clear_session()
    return framework.Sequential(
        [framework.Input((4,)), framework.layers.Dense(3, name="a"), framework.layers.Dense(2, name="b")]
    )


def trained(framework):
    model = network(framework)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    return model


def state_of(model):
    """The optimizer's variables, whatever the framework calls them."""
    found = model.optimizer.variables
    return [np.array(variable) for variable in (found() if callable(found) else found)]


def uncommented(line, start):
    """The line that is printed as a comment which starts with ``start``."""
    (chosen,) = (each.removeprefix(start) for each in line.splitlines() if each.startswith(start))
    return chosen


FORMATS = [
    ("w.weights.h5", None),
    ("w.h5", None),
    ("w.weights.json", None),
    ("w.ckpt", "tf_object"),
    ("w.ckpt", "tf_name"),
    ("w.npz", None),
    ("w.safetensors", None),
]


@pytest.mark.parametrize(
    ("framework", "name", "format"),
    [(keras, *each) for each in FORMATS] + [(tf_keras, *each) for each in FORMATS if "weights" not in each[0]],
)
def test_lines_load_into_a_compiled_model(framework, name, format, tmp_path):
    target = inventory_of(lambda: network(framework))
    plan, arrays = filling(target, tmp_path)
    written = write(plan, tmp_path / name, format=format)
    line = written.load_line
    model = trained(framework)
    before = state_of(model)
    assert any(state.any() for state in before)
    if format == "tf_object":
        with pytest.raises(AssertionError, match="not bound to checkpointed values"):
            exec(line, {"model": trained(framework), "tf": tf})
        line = uncommented(line, "# or, where the model is compiled already, as the file holds no optimizer: ")
        model = trained(framework)
        before = state_of(model)
    scope = {"model": model, "tf": tf}
    exec(line, scope)
    assert_holds(model, target, arrays)
    assert all(map(np.array_equal, state_of(model), before))
    model.fit(X, Y, verbose=0)


def test_weights_h5_loads_in_tf_keras_before_training_only(tmp_path):
    """So says the comment on the line."""
    target = inventory_of(lambda: network(tf_keras))
    plan, arrays = filling(target, tmp_path)
    written = write(plan, tmp_path / "w.weights.h5")
    assert written.load_line.endswith("# before the model is trained: tf_keras would look for its metrics in the file")
    with pytest.raises(ValueError, match="expected 2 variables, but received 0"):
        exec(written.load_line, {"model": trained(tf_keras)})
    model = network(tf_keras)
    exec(written.load_line, {"model": model})
    assert_holds(model, target, arrays)


@pytest.mark.parametrize("framework", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_load_into_a_compiled_model(framework, tmp_path):
    (tmp_path / "rules.toml").write_text(
        "format = 1\n[[rename]]\nmatch = '(?P<name>a|b)'\nto = '{name}'\nlayout = 'dense'\n"
    )
    model = trained(framework)
    before = state_of(model)
    state = {f"{layer}.weight": np.full(shape, 7, "f4") for layer, shape in (("a", (3, 4)), ("b", (2, 3)))}
    state |= {f"{layer}.bias": np.full(size, 5, "f4") for layer, size in (("a", 3), ("b", 2))}
    found = remap.load_into(model, tmp_path / "rules.toml", state)
    assert found.variables == 4
    assert all((np.array(weight) == 7 - 2 * (len(weight.shape) == 1)).all() for weight in model.weights)
    assert all(map(np.array_equal, state_of(model), before))


def test_an_archive_of_a_trained_model_says_what_becomes_of_its_optimizer(tmp_path):
    plan, arrays = filling(inventory_of(lambda: network(keras)), tmp_path)
    trained(keras).save(tmp_path / "old.keras")
    written = write(plan, tmp_path / "new.keras", model_archive=tmp_path / "old.keras")
    assert written.load_line.endswith("# the optimizer starts anew, of which Keras warns")
    scope = {}
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        exec(written.load_line, scope)
    model = scope["model"]
    assert_holds(model, plan.target, arrays)
    assert int(model.optimizer.iterations) == 0
    model.fit(X, Y, verbose=0)


def test_an_archive_of_a_plain_model_has_nothing_to_say(tmp_path):
    plan, _ = filling(inventory_of(lambda: network(keras)), tmp_path)
    network(keras).save(tmp_path / "old.keras")
    written = write(plan, tmp_path / "new.keras", model_archive=tmp_path / "old.keras")
    assert "#" not in written.load_line
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        exec(written.load_line, {})
