"""What the proof asks of a network, asked of both frameworks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras import layers
from torch import nn

from remap.errors import TargetError
from remap.sides.feed import Feed
from remap.sides.keras.side import KerasSide
from remap.sides.keras.spec import ModelSource
from remap.sides.side import Side
from remap.sides.torch.side import TorchSide

FILE = """
import torch
from torch import nn


def build(width=5):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width * 36, 2))
"""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, 2)
        self.norm = nn.BatchNorm2d(5)
        self.out = nn.Linear(5, 2)

    def forward(self, x, scale=None):
        y = torch.relu(self.norm(self.conv(x)))
        parts = torch.cat([y[:, :2] * 2, y[:, 2:]], dim=1).add_(1)
        return {"out": self.out(parts.mean((2, 3))), "mean": y.mean()}


def keras_net():
    x = keras.Input((8, 8, 3))
    y = layers.BatchNormalization(name="norm")(layers.Conv2D(5, 3, 2, activation="tanh", name="conv")(x))
    y = keras.ops.mean(keras.ops.relu(y), axis=(1, 2))
    return keras.Model(x, layers.Dense(2, name="out")(y))


@pytest.fixture(params=["torch", "keras"])
def side(request):
    if request.param == "torch":
        torch.manual_seed(0)
        return TorchSide(Net().eval(), "net")
    return KerasSide.build(ModelSource("net", keras_net))


@pytest.fixture
def feeds():
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8), np.float32)
    return [Feed("x", "", x, np.moveaxis(x, 1, -1))]


def test_every_call_runs_again(side, feeds):
    trace = side.run(feeds)
    assert trace is side.trace and len(trace.calls) >= 5
    made = 0
    for index, call in enumerate(trace.calls):
        if (call.outputs and call.inputs and call.parent is None) or call.function:
            value = side.again(index, [trace.values[value] for value in call.inputs])
            np.testing.assert_allclose(value, trace.values[call.outputs[0]], rtol=1e-5, atol=1e-6, err_msg=call.title)
            made += 1
    assert made >= 4


def test_a_call_on_other_inputs_gives_other_outputs(side, feeds):
    trace = side.run(feeds)
    (index,) = trace.by_name["out"]
    (value,) = trace.calls[index].inputs
    there = side.again(index, [trace.values[value]])
    twice = side.again(index, [2 * trace.values[value]])
    np.testing.assert_allclose(
        twice - there, there - side.again(index, [0 * trace.values[value]]), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(trace.values[trace.calls[index].outputs[0]], there)


def test_arrays_go_in_by_the_names_of_the_inventory(side, feeds):
    inventory = side.inventory()
    names = {variable.path: variable for variable in inventory.variables}
    bias = next(name for name in names if "out" in name and "bias" in name)
    holder = inventory.layers[names[bias].layer]
    assert holder.path == "out" and names[bias].shape == (2,)
    before = side.run(feeds).values[dict(side.trace.outputs).get("out", side.trace.outputs[0][1])]
    side.assign([(bias, np.array([10.0, 20.0], np.float32))])
    after = side.run(feeds).values[dict(side.trace.outputs).get("out", side.trace.outputs[0][1])]
    start = np.zeros(2)
    if isinstance(side, TorchSide):
        torch.manual_seed(0)
        start = Net().out.bias.detach().numpy()
    np.testing.assert_allclose(after - before, [[10, 20] - start] * 2, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "shape"), [("no", (2,)), ("bias", (3,))])
def test_arrays_that_fit_no_variable_are_refused(name, shape, side):
    names = [variable.path for variable in side.inventory().variables]
    path = next((known for known in names if "out" in known and name in known), name)
    with pytest.raises(TargetError, match="an array fits no variable"):
        side.assign([(path, np.zeros(shape, "f4"))])


def test_networks_are_built_by_name(tmp_path):
    (tmp_path / "net.py").write_text(FILE)
    side: Side = TorchSide.build(f"{tmp_path}/net.py:build", {"width": 4})
    assert side.inventory().variables[0].shape == (4, 3, 3, 3)
    assert {layer.class_name for layer in side.inventory().layers} >= {"Conv2d", "BatchNorm2d", "Linear"}
    with pytest.raises(TargetError) as caught:
        TorchSide.build(f"{tmp_path}/net.py:build", {"wide": 4})
    assert "--torch-arg" in caught.value.problems[0].fix
