"""The proof from Python: ``remap.verify`` and ``remap.record``, and inputs of several names from files."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras import layers
from safetensors.numpy import save_file
from torch import nn
from verify_networks import randomise, rules_text

import remap
from remap.errors import UsageError

RULES = rules_text(
    {"tokens": ("tokens", "embedding"), "image": ("image", "dense"), "head": ("head", "dense")}, ignore=False
)


class Both(nn.Module):
    """Tokens and numbers in, two outputs by name."""

    def __init__(self):
        super().__init__()
        self.tokens, self.image, self.head = nn.Embedding(20, 4), nn.Linear(6, 4), nn.Linear(4, 3)

    def forward(self, ids, numbers):
        hidden = self.tokens(ids).mean(1) + torch.relu(self.image(numbers))
        return {"scores": self.head(hidden), "hidden": hidden}


def both(activation="relu"):
    ids, numbers = keras.Input((5,), dtype="int32", name="ids"), keras.Input((6,), name="numbers")
    mean = layers.GlobalAveragePooling1D()(layers.Embedding(20, 4, name="tokens")(ids))
    hidden = layers.Add(name="sum")([mean, layers.Dense(4, activation, name="image")(numbers)])
    return keras.Model([ids, numbers], {"hidden": hidden, "scores": layers.Dense(3, name="head")(hidden)})


@pytest.fixture
def files(tmp_path):
    """The rule file, the network, and the inputs as arrays."""
    (tmp_path / "rules.toml").write_text(RULES)
    random = np.random.default_rng(3)
    arrays = {
        "numbers": random.standard_normal((4, 6)).astype("f4"),
        "ids": random.integers(0, 20, (4, 5)).astype("i8"),
    }
    return tmp_path / "rules.toml", randomise(Both()), arrays


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_several_inputs_come_by_name_from_a_file(kind, files, tmp_path):
    rules, network, arrays = files
    path = tmp_path / f"inputs.{kind}"
    np.savez(path, **arrays) if kind == "npz" else save_file(arrays, path)
    found = remap.verify(rules, network.state_dict(), both, network, inputs=[str(path)])
    assert found.verdict == "equal", found.finding
    assert found.inputs == ("ids int64[4, 5]", "numbers float32[4, 6]")
    with torch.no_grad():
        expected = network(torch.from_numpy(arrays["ids"]), torch.from_numpy(arrays["numbers"]))
    assert {row.layer: round(row.difference.scale, 5) for row in found.outputs} == {
        name: round(float(value.abs().max()), 5) for name, value in expected.items()
    }


def test_a_file_and_a_specification_together(files, tmp_path):
    rules, network, arrays = files
    np.savez(tmp_path / "ids.npz", ids=arrays["ids"])
    given = [str(tmp_path / "ids.npz"), "numbers=float32[4,6]"]
    found = remap.verify(rules, network.state_dict(), both, network, inputs=given)
    assert found.verdict == "equal"
    assert found.inputs == ("ids int64[4, 5]", "numbers float32[4, 6]")


def test_an_input_of_no_such_name_is_refused(files):
    rules, network, _ = files
    with pytest.raises(UsageError, match="no such input"):
        remap.verify(rules, network.state_dict(), both, network, inputs=["other=float32[4,6]"])


class Around(nn.Module):
    """A module around the network, as one that scales its inputs."""

    def __init__(self, network):
        super().__init__()
        self.net = network

    def forward(self, ids, numbers):
        return self.net(ids, numbers)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_module_around_the_network_of_the_checkpoint(activation, files, tmp_path):
    rules, network, arrays = files
    np.savez(tmp_path / "inputs.npz", **arrays)
    given = [str(tmp_path / "inputs.npz")]
    found = remap.verify(rules, network.state_dict(), lambda: both(activation), Around(Both()), inputs=given)
    assert {row.module for row in found.rows} == {"tokens", "image", "head"}
    assert found.verdict == ("equal" if activation == "relu" else "differ")
    assert activation == "relu" or (found.finding.layer, found.finding.cause) == ("image", "activation")


class Subclassed(keras.Model):
    """Several arguments, of which Keras notes the shape of the first alone."""

    def __init__(self):
        super().__init__()
        self.tokens, self.image = layers.Embedding(20, 4, name="tokens"), layers.Dense(4, "relu", name="image")
        self.head = layers.Dense(3, name="head")

    def call(self, ids, numbers):
        hidden = keras.ops.mean(self.tokens(ids), 1) + self.image(numbers)
        return {"hidden": hidden, "scores": self.head(hidden)}


def test_a_subclassed_model_of_several_arguments(files, tmp_path):
    rules, network, arrays = files
    np.savez(tmp_path / "inputs.npz", **{name: arrays[name] for name in ("ids", "numbers")})

    def build():
        model = Subclassed()
        model(keras.Input((5,), dtype="int32"), keras.Input((6,)))
        return model

    found = remap.verify(rules, network.state_dict(), build, network, inputs=[str(tmp_path / "inputs.npz")])
    assert found.verdict == "equal", found.finding
    assert {row.outcome for row in found.rows} == {"equal"}


def test_a_fault_beside_the_other_input(files):
    rules, network, _ = files
    found = remap.verify(rules, network.state_dict(), lambda: both("silu"), network, samples=3)
    assert (found.finding.layer, found.finding.cause, found.finding.blame) == ("image", "activation", "model")
    assert not found.proved
    assert found.inputs == ("ids int64[3, 5]", "numbers float32[3, 6]")


def test_a_live_model_is_taken_as_it_is(files):
    rules, network, _ = files
    model = both()
    before = [np.array(variable) for variable in model.variables]
    found = remap.verify(rules, network.state_dict(), model, network)
    assert found.verdict == "weights"
    assert all(np.array_equal(a, b) for a, b in zip(before, model.variables, strict=True))
    remap.load_into(model, rules, network.state_dict())
    assert remap.verify(rules, network.state_dict(), model, network).verdict == "equal"
    with pytest.raises(UsageError, match="taken as it is"):
        remap.verify(rules, network.state_dict(), model, network, float64=True)


def test_a_recording_from_python(files, tmp_path, saved):
    rules, network, arrays = files
    path, out = saved(network), tmp_path / "ref.safetensors"
    np.savez(tmp_path / "inputs.npz", ids=arrays["ids"], numbers=arrays["numbers"])
    reference = remap.record(network, path, out, [str(tmp_path / "inputs.npz")])
    assert {name for name, _ in reference.trace.outputs} == {"scores", "hidden"}
    assert remap.verify(rules, path, both, str(out)).verdict == "equal"
    assert remap.verify(rules, path, lambda: both("silu"), str(out)).finding.layer == "image"
    with pytest.raises(UsageError, match="exists already"):
        remap.record(network, path, out, ["int64[1,5]<20", "float32[1,6]"])


def test_the_names_of_the_interface_stay_functions(files):
    import remap.proving.run

    assert remap.proving.run is not None
    assert callable(remap.verify) and callable(remap.record) and callable(remap.plan)


@pytest.mark.parametrize("static", [True, False])
def test_rules_that_are_to_be_found_out_are_those_of_the_model(static, fixtures):
    """The checkpoint alone would rather be for keras_hub's ResNet, which has no such widths."""
    folder = fixtures / "resnet"
    found = remap.verify(
        "auto",
        folder / "thin_resnet50.pt",
        f"{folder}/keras_model.py:build",
        f"{folder}/torch_model.py:build",
        static=static,
    )
    assert found.plan.recognised[0].startswith("recognised as 'resnet': 320 of 320")
    assert found.verdict == ("audited" if static else "equal")
