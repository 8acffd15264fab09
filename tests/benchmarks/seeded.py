"""Faults of networks: every pair of modules of one layout exchanged, wrong layouts, gaps in the rules, settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

from repository import ROOT, import_file
from seeded_networks import NETWORKS, Network
from torch import nn

networks = import_file(ROOT / "tests/proving/verify_networks.py")
randomise, rules_text = networks.randomise, networks.rules_text

EXCHANGED = frozenset({"V408", "V409", "V410", "V411", "V503", "V207", "V204"})


@dataclass(frozen=True)
class Fault:
    """One mistake.

    Args:
        network: What it is made in.
        kind: What it is called in the table.
        where: What tells it from others of its kind.
        torch: Makes the PyTorch module.
        keras: Makes the Keras model.
        rules: The rule file.
        layers: Which layers may be named first: empty where the plan is to refuse the rules.
        codes: Codes of the causes that are right.
    """

    network: str
    kind: str
    where: str
    torch: Callable[[], nn.Module]
    keras: Callable[[], Any]
    rules: str
    layers: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()


WRONG_LAYOUTS: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "conv2d": (
        ("height and width exchanged", 'kernel = { from = "weight", axes = "o i h w -> w h i o" }', ("V401",)),
        ("kernel flipped", 'kernel = { from = "weight", axes = "o i h w -> h w i o", flip = ["h", "w"] }', ("V402",)),
        ("inputs and outputs exchanged", 'kernel = { from = "weight", axes = "o i h w -> h w o i" }', ("V401",)),
    ),
    "dense": (("matrix not transposed", 'kernel = { from = "weight", axes = "o i -> o i" }', ("V401",)),),
    "batch_normalization": (
        (
            "gamma and beta exchanged",
            'gamma = "bias"\nbeta = "weight"\nmoving_mean = "running_mean"\nmoving_variance = "running_var"',
            ("V207",),
        ),
        (
            "statistics exchanged",
            'gamma = "weight"\nbeta = "bias"\nmoving_mean = "running_var"\nmoving_variance = "running_mean"',
            ("V204",),
        ),
    ),
    "layer_normalization": (("gamma and beta exchanged", 'gamma = "bias"\nbeta = "weight"', ("V207",)),),
}

OF_SQUARES = ("inputs and outputs exchanged", "matrix not transposed")
"""What only as many inputs as outputs hide from the plan."""


def _wrong_layouts(name: str, network: Network) -> Iterator[Fault]:
    """Every module by every layout that puts its numbers elsewhere; the plan refuses some by their shapes."""
    state = network.torch().state_dict()
    for module, (layer, layout) in network.rules.items():
        for kind, body, codes in WRONG_LAYOUTS.get(layout, ()):
            bias = '\nbias = "bias"' if layout in ("conv2d", "dense") and f"{module}.bias" in state else ""
            shape = state[f"{module}.weight"].shape
            fits = kind not in OF_SQUARES or shape[0] == shape[1]
            rules = rules_text({**network.rules, module: (layer, "mine")}, f"[layouts.mine]\n{body}{bias}")
            named = (layer,) if fits else ()
            yield Fault(name, kind, module, network.torch, network.keras, rules, named, frozenset(codes))


def _exchanges(name: str, network: Network) -> Iterator[Fault]:
    """Every two modules of one layout that take each other's places; other shapes are for the plan to refuse."""
    state = network.torch().state_dict()
    shapes = {
        module: {key[len(module) :]: tensor.shape for key, tensor in state.items() if key.startswith(f"{module}.")}
        for module in network.rules
    }
    for first, second in combinations(network.rules, 2):
        (one, layout), (other, second_layout) = network.rules[first], network.rules[second]
        if layout != second_layout:
            continue
        rules = rules_text({**network.rules, first: (other, layout), second: (one, layout)})
        fits = shapes[first] == shapes[second]
        kind = "modules exchanged" if fits else "modules of other shapes exchanged"
        where = f"{first} and {second}"
        yield Fault(name, kind, where, network.torch, network.keras, rules, (one,) if fits else (), EXCHANGED)


def _gaps(name: str, network: Network) -> Iterator[Fault]:
    """Every module without its rule, and every layer that is misspelt: the plan refuses both."""
    for module, (layer, layout) in network.rules.items():
        less = {other: target for other, target in network.rules.items() if other != module}
        for kind, rules in (
            ("rule left out", less),
            ("layer misspelt", {**network.rules, module: (f"{layer}_x", layout)}),
        ):
            yield Fault(name, kind, module, network.torch, network.keras, rules_text(rules))


def _settings(name: str, network: Network) -> Iterator[Fault]:
    """Every keyword that makes the Keras model compute something else."""
    for setting in network.settings:
        build = partial(network.keras, **setting.value)
        where = ", ".join(setting.value)
        codes, named = frozenset(setting.codes), (setting.layer, *setting.also)
        rules = rules_text(network.rules)
        yield Fault(name, setting.kind, where, network.torch, build, rules, named, codes)


def all_faults() -> list[Fault]:
    """Every fault of every network."""
    makers = (_settings, _wrong_layouts, _exchanges, _gaps)
    return [fault for name, network in NETWORKS.items() for make in makers for fault in make(name, network)]
