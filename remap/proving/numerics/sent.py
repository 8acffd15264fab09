"""What the plan sends into each layer, and which other layers get weights of the same shapes.

All weights are made from the checkpoint once more, as the rules say, whatever a file or a model holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from remap.checking.compare import planned_array
from remap.planning.plan import Assignment, Plan
from remap.proving.forms import closest
from remap.proving.limits import MOST_EXCHANGES
from remap.proving.site import Site
from remap.proving.step import Step, step_of
from remap.sides.keras.rerun import weights_of

_NUMBERED = re.compile(r"_\d+(?=/|$)")
_RANK = re.compile(r"#\d+$")


@dataclass(frozen=True, slots=True)
class Sent:
    """What the plan writes below one layer.

    Args:
        layer: Path of the layer.
        parts: Its variables, by their names below the layer.
    """

    layer: str
    parts: Mapping[str, Assignment]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the variables."""
        return {name: assignment.shape for name, assignment in self.parts.items()}

    @property
    def module(self) -> str:
        """Path of the module that the first variable is made from."""
        return next(_holder(assignment) for assignment in self.parts.values())

    @property
    def lines(self) -> str:
        """Files and lines of the rules, each once."""
        return " and ".join(dict.fromkeys(str(assignment.place) for assignment in self.parts.values()))

    def title(self, beside: Sent) -> str:
        """How messages call what is sent: the module, or where ``beside`` comes from the same one, its part or the
        tensors."""
        if self.module != beside.module:
            return self.module or "the root module"
        parts = {assignment.link.part for assignment in self.parts.values() if assignment.link is not None} - {0}
        if parts:
            return f"part {' and '.join(map(str, sorted(parts)))} of {self.module or 'the root module'}"
        return ", ".join(dict.fromkeys(name for assignment in self.parts.values() for name in assignment.sources))

    def weights(self, names: Mapping[str, str]) -> dict[str, np.ndarray]:
        """Its arrays by the names of a live layer's weights, as :func:`remap.sides.keras.rerun.weights_of` has them.

        Args:
            names: Name below the layer to name of the live weight.
        """
        return {own: made(self.parts[name]) for name, own in names.items()}


def made(assignment: Assignment) -> np.ndarray:
    """What the plan makes of the checkpoint for a variable; the checkpoint's pages are let go of."""
    array = np.array(planned_array(assignment))
    assignment.value.release()
    return array


def sent(plan: Plan) -> dict[str, Sent]:
    """What the plan moves below each layer, by the layer's path."""
    groups: dict[str, dict[str, Assignment]] = {}
    for assignment in plan.assignments:
        path = layer_of(plan, assignment)
        if assignment.kind != "moved" or assignment.link is None or not path:
            continue
        own = _RANK.sub("", assignment.name).rpartition("/")[2]
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            below = "/".join([*parts[depth:], own])
            groups.setdefault("/".join(parts[:depth]), {})[_NUMBERED.sub("", below)] = assignment
    return {layer: Sent(layer, own) for layer, own in groups.items()}


def layer_of(plan: Plan, assignment: Assignment) -> str:
    """Path of the layer that holds a variable; empty where no target is known."""
    if plan.target is None or assignment.variable is None:
        return ""
    return plan.target.layers[assignment.variable.layer].path


def sent_here(site: Site) -> dict[str, Sent]:
    """The same of the site's plan, made once."""
    return site.once(_sent_here)


def _sent_here(site: Site) -> dict[str, Sent]:
    return sent(site.plan)


def live_names(layer: object, own: Sent) -> dict[str, str]:
    """Name below the layer to name of the live weight, for all of both; empty where some do not match."""
    names: dict[str, str] = {}
    for name, variable in weights_of(layer).items():
        path = _NUMBERED.sub("", str(variable.path))
        below = max((part for part in own.parts if path == part or path.endswith(f"/{part}")), key=len, default=None)
        if below is not None:
            names[below] = name
    return names if len(names) == len(own.parts) else {}


def alike(site: Site, step: Step, own: Sent) -> list[Sent]:
    """Other layers that get weights of the same names and shapes.

    Those come first whose module PyTorch gives what the step is given, then those that PyTorch calls at the site, then
    the nearest names; some dozens at most.
    """
    here = {event.call.name for event in site.events}
    shapes = own.shapes
    others = [
        other
        for other in sent_here(site).values()
        if other.layer != own.layer
        and not other.layer.startswith(f"{own.layer}/")
        and not own.layer.startswith(f"{other.layer}/")
        and other.shapes == shapes
    ]
    others.sort(
        key=lambda other: (
            not _takes_the_same(site, step, other),
            other.module not in here,
            -likeness(own.layer, other.layer),
        )
    )
    return others[:MOST_EXCHANGES]


def likeness(one: str, other: str) -> float:
    """How alike two names are, from 0 to 1."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def calls_of(site: Site, module: str) -> Iterator[Step]:
    """PyTorch's calls of a module, with their arrays."""
    for index in site.torch.by_name.get(module, ()):
        if site.torch.calls[index].outputs:
            yield step_of(site.torch, site.torch.calls[index], None)


def _takes_the_same(site: Site, step: Step, other: Sent) -> bool:
    """Whether PyTorch gives another layer's module what the step is given."""
    return bool(step.inputs) and any(given(site, call, step.inputs[0]) for call in calls_of(site, other.module))


def given(site: Site, call: Step, value: np.ndarray) -> bool:
    """Whether PyTorch's call is given one of Keras's values."""
    near = closest(call.inputs[0], value) if call.inputs else None
    return near is not None and near[1].largest <= site.allowed(call.inputs[0], None)


def _holder(assignment: Assignment) -> str:
    return assignment.link.holder if assignment.link is not None else ""
