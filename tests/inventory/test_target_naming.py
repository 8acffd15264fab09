"""Addresses stay what they are, whatever was built before and however the model came about."""

from collections import Counter

import keras
import numpy as np
import pytest
import target_models as models

from remap.errors import TargetError
from remap.inventory.naming import told_apart
from remap.sides.keras.keras_model import identify, inventory_of
from remap.sides.keras.lazy import without_weights


def named(model):
    inventory = inventory_of(model)
    return {variable.address: variable.shape for variable in inventory.variables}


@pytest.mark.parametrize("build", [*models.ALL, models.twins], ids=lambda build: build.__name__)
def test_a_second_build_changes_no_address(build):
    keras.backend.clear_session()
    first, second = build(), build()
    assert named(first) == named(second)


def test_inception_v3_paths_drift_and_addresses_stay():
    keras.backend.clear_session()
    with without_weights(keras):
        first, second = (inventory_of(keras.applications.InceptionV3(weights=None)) for _ in range(2))
    keras.backend.clear_session()
    drifted = [(a.path, b.path) for a, b in zip(first.variables, second.variables, strict=True) if a.path != b.path]
    assert len(drifted) == 376
    assert [v.address for v in first.variables] == [v.address for v in second.variables]
    assert [v.at("weights_h5") for v in first.variables] == [v.at("weights_h5") for v in second.variables]
    assert len({v.address for v in first.variables}) == 378
    assert [layer.address for layer in first.layers] == [layer.address for layer in second.layers]


REBUILT = [models.residual, models.sequential, models.nested, models.recurrent, models.attention, models.unnamed]


def last_two(model):
    """Layer and variable: Keras drops scopes in front of them when it rebuilds a model from its configuration."""
    return Counter(("/".join(place.split("/")[-2:]), shape) for place, shape in named(model).items())


@pytest.mark.parametrize("build", REBUILT)
def test_clone_changes_no_layer_address(build):
    keras.backend.clear_session()
    model = build()
    assert last_two(keras.models.clone_model(model)) == last_two(model)


@pytest.mark.parametrize("build", REBUILT)
def test_saving_and_loading_changes_no_layer_address(build, tmp_path):
    keras.backend.clear_session()
    model = build()
    model.save(tmp_path / "m.keras")
    assert last_two(keras.saving.load_model(tmp_path / "m.keras")) == last_two(model)


@pytest.mark.parametrize("build", REBUILT)
def test_identify_knows_a_model_that_was_saved_and_loaded(build, tmp_path):
    inventory = inventory_of(build)
    model = build()
    model.save(tmp_path / "m.keras")
    before = {path: live.numpy() for path, live in identify(model, inventory).items()}
    after = identify(keras.saving.load_model(tmp_path / "m.keras"), inventory)
    assert list(before) == list(after) == [variable.path for variable in inventory.variables]
    for path, live in after.items():
        np.testing.assert_array_equal(live.numpy(), before[path])


def test_unnamed_variables_are_ranked():
    addresses = [variable.address for variable in inventory_of(models.unnamed).variables]
    # Ranks go by the order of making: Scaling(1e-4) was made first and is used last.
    assert addresses == [
        "scaling[1]/variable[0]",
        "scaling[1]/variable[1]",
        "scaling[0]/variable[2]",
        "scaling[0]/variable[3]",
    ]


def test_chosen_names_stay():
    addresses = {variable.address for variable in inventory_of(models.residual).variables}
    assert "shortcut_4_3/kernel" in addresses
    assert "conv2d[1]/kernel" in addresses


def test_wrapper_derived_names_are_ranked():
    addresses = {variable.address for variable in inventory_of(models.recurrent).variables}
    assert "bidirectional[1]/backward_gru[0]/gru_cell/kernel" in addresses
    assert "rnn[0]/stacked_rnn_cells[0]/gru_cell[0]/kernel" in addresses


def test_identify_names_a_model_that_was_built_late_as_the_inventory_does():
    inventory = inventory_of(models.residual)
    keras.backend.clear_session()
    models.residual()
    late = models.residual()
    assert late.layers[1].name == "conv2d_2"
    live = identify(late, inventory)
    assert list(live) == [variable.path for variable in inventory.variables]
    assert live["conv2d/kernel"] is late.layers[1].kernel
    assert identify(late)["conv2d_2/kernel"] is late.layers[1].kernel


def test_identify_refuses_another_model():
    inventory = inventory_of(models.residual)
    with pytest.raises(TargetError) as caught:
        identify(models.sequential(), inventory)
    problems = caught.value.problems
    assert any(problem.where == "conv2d/kernel" and problem.found == "no variable in its place" for problem in problems)
    assert any(problem.where == "head/kernel" and "shape (6, 4)" in problem.found for problem in problems)
    assert any("that the inventory lacks" in problem.what for problem in problems)


def test_told_apart_never_makes_a_name_twice():
    assert told_apart(["a", "a", "b", "a"]) == ["a", "a#2", "b", "a#3"]


class SavesNothing(keras.layers.Layer):
    def build(self, shape):
        self.scale, self.shift = (self.add_weight(shape=shape[-1:], name=name) for name in ("scale", "shift"))

    def call(self, x):
        return x * self.scale + self.shift

    def save_own_variables(self, store):
        pass


class LSTMPair(keras.layers.Layer):
    """No recurrent layer of Keras's, whatever it is called: its cell has an automatic name."""

    def __init__(self):
        super().__init__()
        self.cell = keras.layers.LSTMCell(3)

    def call(self, x):
        return self.cell(x, [x, x])[0]


def test_identify_tells_variables_apart_that_no_file_holds():
    def build():
        x = keras.Input((3,))
        return keras.Model(x, SavesNothing()(SavesNothing()(x)))

    inventory, late = inventory_of(build), build()
    _, first, second = late.layers
    assert [id(variable) for variable in identify(late, inventory).values()] == [
        id(variable) for layer in (first, second) for variable in (layer.scale, layer.shift)
    ]


def test_a_cell_in_a_layer_that_is_called_like_keras_own_keeps_its_address():
    def build():
        x = keras.Input((3,))
        return keras.Model(x, LSTMPair()(x))

    keras.backend.clear_session()
    first, second = named(build()), named(build())
    assert first == second and "lstm_pair[0]/lstm_cell[0]/kernel" in first
