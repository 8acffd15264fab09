"""Build both sides with random weights, convert by a rule file, run both, compare."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch

import remap
from remap.opening.memory import from_state_dict
from remap.planning.make import make_plan
from remap.planning.plan import Plan
from remap.rules.load import load_rules
from remap.sides.keras.keras_model import identify, inventory_of
from remap.tensors.to_numpy import to_numpy

TOLERANCE = 1e-5
"""Largest difference in float32, as a part of the largest output."""
BATCH = 3

Layers = list[Any]


@dataclass(frozen=True)
class Case:
    """One PyTorch module and the Keras model that does the same.

    Args:
        name: What is tested.
        torch: Builds the module, whose state_dict is converted.
        keras: Builds the model.
        rules: The rule file, without its first line.
        input: Shape of one input as PyTorch has it, without the batch.
        channels: Whether inputs and outputs have channels, second in PyTorch and last in Keras.
        run: Runs the PyTorch module where calling it is not enough.
        call: Runs the Keras model where calling it is not enough.
        options: Parameters for the plan.
    """

    name: str
    torch: Callable[[], torch.nn.Module]
    keras: Callable[[], Any]
    rules: str
    input: tuple[int, ...]
    channels: bool = False
    run: Callable[[Any, Any], Any] = lambda module, x: module(x)
    call: Callable[[Any, Any], Any] = lambda model, x: model(x, training=False)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def sequential(shape: tuple[int | None, ...], *layers: Any) -> Any:
    """A functional model of a chain of layers."""
    x = start = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(start, x)


def randomise(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Every tensor different; variances positive; gammas positive, as some folds need; ready for inference.

    Vectors of power iterations stay as they are: normalisation by them is part of what torch computes.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.is_floating_point() or (name.endswith(("_u", "_v")) and "weight_v" not in name):
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                noise = noise.abs() + 0.3
            elif tensor.ndim == 0:
                noise = noise.abs() + 2
            else:
                noise *= 0.5
            tensor.copy_(noise)
    return module.eval()


def write_rules(folder: Path, rules: str) -> Path:
    """The rule file on disk."""
    path = folder / "rules.toml"
    path.write_text(f"format = 1\n{rules}", "utf-8")
    return path


def planned(module: torch.nn.Module, model: Any, rules: Path, **options: Any) -> Plan:
    """The plan for a live model."""
    inventory = inventory_of(model)
    live = identify(model, inventory)
    return make_plan(
        load_rules(rules),
        from_state_dict(module.state_dict()),
        inventory,
        initial=lambda variable: to_numpy(live[variable.path]),
        **options,
    )


def convert(module: torch.nn.Module, model: Any, rules: Path, **options: Any) -> Plan:
    """Convert into the live model, whose values are read back and compared; the plan that was carried out."""
    plan = planned(module, model, rules, **options)
    checked = remap.load_into(model, rules, module.state_dict(), **options)
    assert checked.equal
    assert checked.variables == sum(assignment.kind != "kept" for assignment in plan.assignments)
    return plan


def example(case: Case, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(BATCH, *case.input)).astype(np.float32)


def torch_output(case: Case, module: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(case.run(module, torch.from_numpy(x)).detach().numpy())


def keras_output(case: Case, model: Any, x: np.ndarray) -> np.ndarray:
    """The output, with channels second where there are any."""
    y = np.asarray(case.call(model, np.moveaxis(x, 1, -1) if case.channels else x))
    return np.moveaxis(y, -1, 1) if case.channels and y.ndim > 2 else y


def relative_difference(case: Case, module: torch.nn.Module, model: Any) -> float:
    """Largest difference of the outputs, as a part of the largest output; the output must depend on the input."""
    x, other = example(case), example(case, 2)
    expected = torch_output(case, module, x)
    largest = float(np.abs(expected).max())
    assert np.abs(torch_output(case, module, other) - expected).max() > 0.1 * largest, "blind to its input"
    found = keras_output(case, model, x)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max()) / largest


def check_equal(case: Case, folder: Path) -> Plan:
    """Convert and run; the outputs must be equal in float32, and must not have been so before."""
    module, model = randomise(case.torch()), case.keras()
    before = relative_difference(case, module, model) if model.weights else 1.0
    plan = convert(module, model, write_rules(folder, case.rules), **case.options)
    assert relative_difference(case, module, model) <= TOLERANCE < before
    return plan
