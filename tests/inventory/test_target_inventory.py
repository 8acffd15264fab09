"""The inventory against the files that Keras itself writes and reads."""

import json

import h5py
import keras
import numpy as np
import pytest
import target_models as models
from keras.src.legacy.saving import legacy_h5_format

from remap.errors import TargetError
from remap.formats.keras.legacy_h5 import groups_of
from remap.inventory.inventory import Inventory
from remap.sides.keras.keras_model import build_model, identify, inventory_of
from remap.sides.keras.spec import ModelSource, load_model_builder


def filled(build, seed=0):
    """A real model whose variables all hold different values, moving variances positive ones."""
    model = build_model(ModelSource("", build))
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = rng.uniform(0.5, 1.5, variable.shape)
        variable.assign((values * 1000).astype(variable.dtype) if "int" in variable.dtype else values)
    return model


def keras_path(model, path):
    """The path that Keras itself gives: functional models add nothing in front."""
    return path if type(model).__name__ == "Functional" else f"{model.name}/{path}"


def values_by_path(model):
    found = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}
    assert len(found) == len(model.weights)
    return found


def datasets(file):
    found = {}
    file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


@pytest.mark.parametrize("build", models.ALL, ids=lambda build: build.__name__)
def test_weights_h5_places(build, tmp_path):
    inventory = inventory_of(build)
    model = filled(build)
    model.save_weights(tmp_path / "m.weights.h5")
    truth = values_by_path(model)
    with h5py.File(tmp_path / "m.weights.h5") as file:
        stored = {name: value for name, value in datasets(file).items() if not name.startswith("optimizer/")}
    places = [place for variable in inventory.variables for (place,) in variable.at("weights_h5")]
    assert sorted(places) == sorted(stored)
    for variable in inventory.variables:
        value = truth.pop(keras_path(model, variable.path))
        assert variable.shape == value.shape
        assert variable.dtype == value.dtype.name
        for (place,) in variable.at("weights_h5"):
            np.testing.assert_array_equal(stored[place], value, err_msg=variable.path)
    assert truth == {}
    assert inventory.notes == ()


@pytest.mark.parametrize("build", [build for build in models.ALL if build is not models.subclassed])
def test_legacy_order(build, tmp_path):
    inventory = inventory_of(build)
    model = filled(build)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
        listed = legacy_h5_format.load_attributes_from_hdf5_group(file, "layer_names")
        assert inventory.legacy_layers == tuple(listed)
        groups = groups_of(inventory)
        assert set(groups) | {"top_level_model_weights"} == {*listed, "top_level_model_weights"}
        truth = values_by_path(model)
        for layer in (*listed, "top_level_model_weights"):
            names = legacy_h5_format.load_attributes_from_hdf5_group(file[layer], "weight_names")
            assert [name for name, _ in groups.get(layer, [])] == list(names)
            for name, variable in groups.get(layer, []):
                np.testing.assert_array_equal(file[layer][name][()], truth[keras_path(model, variable.path)])
    first_places = [variable.at("legacy_h5")[0][0] for variable in inventory.variables]
    order = [*inventory.legacy_layers, "top_level_model_weights"]
    assert first_places == sorted(first_places, key=order.index)


@pytest.mark.parametrize("build", models.ALL, ids=lambda build: build.__name__)
def test_keras_reads_a_legacy_file_in_the_inventory_order(build, tmp_path):
    inventory = inventory_of(build)
    truth = {path: keras.ops.convert_to_numpy(live) for path, live in identify(filled(build, seed=1)).items()}
    groups = groups_of(inventory)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in groups if layer != "top_level_model_weights"]
        for layer, weights in groups.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array([name.encode() for name, _ in weights] or [], dtype="S")
            for name, variable in weights:
                group.create_dataset(name, data=truth[variable.path])
    model = filled(build, seed=2)
    # Keras cannot read several weights of a subclassed model itself in order, only by name.
    model.load_weights(tmp_path / "m.h5", by_name=build is models.subclassed)
    for path, live in identify(model).items():
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(live), truth[path], err_msg=path)


def test_saved_whole_model_has_the_same_legacy_layout(tmp_path):
    inventory = inventory_of(models.nested)
    model = filled(models.nested)
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        root = file["model_weights"]
        assert inventory.legacy_layers == tuple(legacy_h5_format.load_attributes_from_hdf5_group(root, "layer_names"))
        for layer, weights in groups_of(inventory).items():
            names = legacy_h5_format.load_attributes_from_hdf5_group(root[layer], "weight_names")
            assert [name for name, _ in weights] == list(names)


def test_a_layer_shared_by_two_top_level_layers_stands_in_both():
    inventory = inventory_of(models.shared)
    named = {layer: [name for name, _ in weights] for layer, weights in groups_of(inventory).items()}
    assert named["first"] == ["tied/kernel", "tied/bias", "a/kernel", "a/bias"]
    assert named["second"] == ["b/kernel", "b/bias", "tied/kernel", "tied/bias"]
    assert len(inventory.variables) == 6


def test_resnet50(tmp_path):
    source = load_model_builder("keras.applications:ResNet50")
    inventory = inventory_of(source)
    model = filled(source.build)
    model.save_weights(tmp_path / "m.weights.h5")
    truth = values_by_path(model)
    with h5py.File(tmp_path / "m.weights.h5") as file:
        assert len(inventory.variables) == len(truth) == len(datasets(file)) == 320
        for variable in inventory.variables:
            np.testing.assert_array_equal(file[variable.at("weights_h5")[0][0]][()], truth[variable.path])


def test_equal_paths_are_told_apart(tmp_path):
    inventory = inventory_of(models.twins)
    assert [variable.path for variable in inventory.variables] == [
        "same/kernel",
        "same/bias",
        "same/kernel#2",
        "same/bias#2",
    ]
    model = filled(models.twins)
    model.save_weights(tmp_path / "m.weights.h5")
    first, second = keras.ops.convert_to_numpy(model.one.kernel), keras.ops.convert_to_numpy(model.two.kernel)
    with h5py.File(tmp_path / "m.weights.h5") as file:
        np.testing.assert_array_equal(file[inventory.variables[0].at("weights_h5")[0][0]][()], first)
        np.testing.assert_array_equal(file[inventory.variables[2].at("weights_h5")[0][0]][()], second)
    assert identify(model)["same/kernel#2"] is model.two.kernel
    assert [variable.at("legacy_h5") for variable in inventory.variables] == [()] * 4
    assert "several layers have one name: same" in inventory.notes[0]


def test_a_variable_stored_twice_has_two_places():
    kernel = inventory_of(models.spectral).variables[0]
    assert kernel.path == "spectral_normalization/conv2d/kernel"
    assert len(kernel.at("weights_h5")) == 2


def test_nothing_is_allocated():
    inventory = inventory_of(models.enormous)
    assert [variable.shape for variable in inventory.variables] == [(1_000_000, 1_000_000), (1_000_000,)]
    with keras.StatelessScope():
        pass  # on leaving it, Keras gives a value to every variable that was left without one


def test_a_factory_that_needs_weights_is_run_with_them():
    inventory = inventory_of(models.needs_weights)
    assert [variable.path for variable in inventory.variables] == ["table", "dense/kernel", "dense/bias"]
    assert inventory.variables[0].address == "constant[0]/table"
    assert "Built with its weights in memory" in inventory.notes[0]
    assert [variable.initial for variable in inventory.variables] == [None, None, 0.0]


def test_what_a_factory_assigns_is_not_initial():
    inventory = inventory_of(models.assigns)
    assert {variable.initial for variable in inventory.variables} == {None}
    assert inventory.notes == ()


def test_a_layer_that_is_never_built_is_noted():
    assert inventory_of(models.unfinished).notes == ("Not built, so without weights here and in any file: dense_1",)


@pytest.mark.parametrize("build", models.ALL, ids=lambda build: build.__name__)
def test_initial_is_what_a_new_model_holds(build):
    inventory = inventory_of(build)
    model = build_model(ModelSource("", build))
    for variable, live in zip(inventory.variables, identify(model).values(), strict=True):
        value = keras.ops.convert_to_numpy(live)
        constant = value.size > 1 and bool(np.all(value == value.flat[0]))
        if variable.initial is not None:
            assert np.all(value == variable.initial), variable.path
        elif value.size > 1:
            assert not constant, variable.path


def test_initial_of_a_model_given_as_it_stands():
    model = build_model(ModelSource("", models.sequential))
    model.layers[0].bias.assign([1, 2, 3, 4])
    initial = {variable.path: variable.initial for variable in inventory_of(model).variables}
    assert initial["dense/bias"] is None
    assert initial["dense_1/bias"] == 0.0
    assert initial["batch_normalization/gamma"] == 1.0


def test_a_live_model_and_its_factory_give_one_inventory():
    lazy = inventory_of(models.nested, "nested")
    live = inventory_of(build_model(ModelSource("", models.nested)), "nested")
    assert lazy == live


def test_a_variable_made_of_an_array_does_not_make_the_rest_take_memory():
    def build():
        inputs = keras.Input((3,))
        shift = keras.Variable(np.ones(4, "float32"), name="shift")
        model = keras.Model(inputs, keras.layers.Dense(4)(inputs) + shift)
        model.shift = shift
        return model

    lazy = inventory_of(build)
    assert lazy.notes == ()
    assert {variable.path: variable.shape for variable in lazy.variables}["shift"] == (4,)
    assert lazy == inventory_of(build_model(ModelSource("", build)), lazy.model)


def test_settings_and_graph():
    layers = {layer.name: layer for layer in inventory_of(models.residual).layers}
    assert layers["conv2d"].settings["padding"] == "same"
    assert layers["conv2d"].settings["kernel_size"] == [3, 3]
    assert layers["conv2d"].settings["activation"] == "linear"
    assert layers["batch_normalization"].settings["epsilon"] == 1e-3
    assert "momentum" not in layers["batch_normalization"].settings
    assert layers["add"].inputs == ("shortcut_4_3", "batch_normalization")
    assert layers["head"].inputs == ("separable_conv2d",)  # the mean between them is no layer
    assert layers["separable_conv2d"].settings["depth_multiplier"] == 1


def test_settings_inside_composite_layers():
    layers = {layer.path: layer for layer in inventory_of(models.attention).layers}
    assert layers["multi_head_attention"].settings["num_heads"] == 2
    assert layers["multi_head_attention"].settings["value_dim"] == 5
    assert layers["multi_head_attention/query"].settings["equation"] == "abc,cde->abde"
    layers = {layer.path: layer for layer in inventory_of(models.recurrent).layers}
    assert layers["bidirectional"].settings["merge_mode"] == "concat"
    assert layers["bidirectional_1/backward_gru"].settings["reset_after"] is True
    assert layers["bidirectional_1/backward_gru"].settings["go_backwards"] is True
    assert layers["bidirectional/forward_lstm"].settings["recurrent_activation"] == "sigmoid"


def test_settings_of_a_layer_of_the_users_own():
    scalings = [layer for layer in inventory_of(models.unnamed).layers if layer.class_name == "Scaling"]
    assert [layer.settings["epsilon"] for layer in scalings] == [1e-5, 1e-4]


def test_graph_inside_nested_models():
    layers = {layer.address: layer for layer in inventory_of(models.nested).layers}
    assert layers["encoder"].inputs == ("input_layer_1",)
    assert layers["batch_normalization[0]"].inputs == ("dense",)
    assert layers["sequential[0]"].inputs == ("dense_2",)
    assert layers["sequential[0]/batch_normalization[1]"].inputs == ("dense_3",)


def test_layers_own_their_variables():
    inventory = inventory_of(models.subclassed)
    owner = {variable.path: inventory.layers[variable.layer].path for variable in inventory.variables}
    assert owner["scale"] == ""
    assert owner["multi_head_attention/query/kernel"] == "multi_head_attention/query"
    assert owner["bidirectional/forward_lstm/lstm_cell/bias"] == "bidirectional/forward_lstm/lstm_cell"


def test_kind():
    kinds = [inventory_of(build).kind for build in (models.nested, models.sequential, models.subclassed)]
    assert kinds == ["functional", "sequential", "subclassed"]


def test_round_trip_through_a_file(tmp_path):
    inventory = inventory_of(models.shared)
    for name in ("a.json", "a.json.gz"):
        inventory.save(tmp_path / name)
        assert Inventory.load(tmp_path / name) == inventory


OLD = {
    "model": "made up",
    "variables": [
        {
            "path": "a/kernel",
            "address": "a/kernel",
            "shape": [2, 3],
            "dtype": "float32",
            "layer": 0,
            "weights_h5": ["layers/a/vars/0", "layers/b/vars/0"],
            "legacy_h5": ["a", "a/kernel"],
            "legacy_copies": [{"layer": "b", "name": "a/kernel", "index": 1}],
            "tf_object": "layer/kernel",
            "tf_copies": ["_all_variables/0"],
        },
        {"path": "b/bias", "address": "b/bias", "shape": [3], "dtype": "float32", "layer": 1, "initial": 0.0},
    ],
    "layers": [{"name": name, "class_name": "Dense", "path": name, "address": name} for name in "ab"],
    "kind": "functional",
    "keras_version": "3.9.0",
    "legacy_layers": ["a", "b"],
}
"""As remap 0.1 saved them: fields for each output format, and no word of the file's own format."""


@pytest.mark.parametrize("told", [{}, {"format": 1}])
def test_inventories_of_the_first_format_are_still_read(told, tmp_path):
    (tmp_path / "old.json").write_text(json.dumps({**OLD, **told}))
    inventory = Inventory.load(tmp_path / "old.json")
    kernel, bias = inventory.variables
    assert kernel.places == {
        "weights_h5": (("layers/a/vars/0",), ("layers/b/vars/0",)),
        "legacy_h5": (("a", "a/kernel"), ("b", "a/kernel", "1")),
        "tf_object": (("layer/kernel",), ("_all_variables/0",)),
    }
    assert (bias.places, bias.initial, inventory.keras_version) == ({}, 0.0, "3.9.0")
    inventory.save(tmp_path / "new.json")
    assert json.loads((tmp_path / "new.json").read_text())["format"] == 2
    assert Inventory.load(tmp_path / "new.json") == inventory


@pytest.mark.parametrize("text", ['{"format": 3}', "[]", '{"variables": [3]}', '{"variables": 7}', ""])
def test_what_is_no_inventory_is_refused(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(TargetError, match="inventory"):
        Inventory.load(tmp_path / "a.json")
