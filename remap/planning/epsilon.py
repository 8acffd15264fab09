"""BatchNorm epsilons of both sides, layer by layer, and what the rule file says about a difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from typing import Literal

from remap.errors import PlanError, Problem
from remap.inventory.inventory import Inventory, Layer, Variable
from remap.planning.link import Link
from remap.planning.params import Scalar
from remap.planning.plan import Assignment, EpsilonMismatch, EpsilonOrigin
from remap.planning.suggest import grouped

PYTORCH_EPSILON = 1e-5
"""What PyTorch's BatchNorm takes when nothing is said; assumed where nobody knows better."""
VARIANCE = "moving_variance"
MOST_SHOWN = 4
"""Patterns of layers that one message names."""
NORMALISATIONS = {"LayerNormalization", "GroupNormalization", "RMSNormalization"}
"""Layers besides BatchNormalization that have an epsilon, which no weight can make up for."""


@dataclass(frozen=True, slots=True)
class Epsilon:
    """The two epsilons of one layer; ``target`` None where nobody knows it.

    Args:
        source: PyTorch's.
        target: Keras's.
        action: What is done about a difference.
        origin: Who says what PyTorch's is.
    """

    source: float
    target: float | None
    action: Literal["equal", "accept", "fold", "error"]
    origin: EpsilonOrigin = EpsilonOrigin.FILE


@dataclass(frozen=True, slots=True)
class _Fault:
    """A fault that many layers may share.

    Args:
        what: The fault.
        path: The rule file whose word on epsilons it is.
        found: The two numbers.
        fix: The remedy.
    """

    what: str
    path: Path
    found: str
    fix: str


@dataclass(slots=True)
class Epsilons:
    """What is known of them, layer by layer.

    Args:
        target: The target's inventory; a model knows its epsilons better than a rule file.
        params: Values of the parameters.
        read: Epsilons of the PyTorch network's own modules by path, where it is at hand.
    """

    target: Inventory | None
    params: Mapping[str, Scalar] = field(default_factory=dict)
    read: Mapping[str, float] = field(default_factory=dict)
    mismatches: dict[str, EpsilonMismatch] = field(default_factory=dict)
    _known: dict[str, Epsilon] = field(default_factory=dict)
    _faults: dict[_Fault, dict[str, tuple[Link, str]]] = field(default_factory=dict)

    def of(self, link: Link, variable: Variable | None, tensor: str = "") -> Epsilon:
        """The epsilons of the Keras layer that a link writes.

        Args:
            link: The module and the layer.
            variable: A variable of the layer, where a target is known.
            tensor: A tensor of the normalisation itself; by default the link's module is it.

        Raises:
            PlanError: The rule file leaves the source's epsilon to a parameter, which is no number.
        """
        if link.layer not in self._known:
            self._known[link.layer] = self._compare(link, variable, tensor)
        return self._known[link.layer]

    def look_at(self, assignments: Iterable[Assignment]) -> None:
        """Compare those of layers whose layouts do not say which variable has which part in folding."""
        for assignment in assignments:
            link = assignment.link
            if link is None or assignment.kind != "moved":
                continue
            tensor = assignment.sources[0]
            if self._is_variance(assignment):
                if not any(expression.batchnorm for expression in link.expressions.values()):
                    self._by_hand(link, assignment, tensor)
            elif link.rule.spec.epsilon is not None and self._class(assignment.variable) in NORMALISATIONS:
                self._source(link, tensor, assignment.name.rpartition("/")[0])

    def problems(self) -> Iterator[Problem]:
        """What is wrong, layers of one fault together."""
        for fault, links in self._faults.items():
            patterns = [pattern for pattern, _ in grouped(links)]
            told = ", ".join(patterns[:MOST_SHOWN]) + (", ..." if len(patterns) > MOST_SHOWN else "")
            who = told if len(links) == 1 else f"{len(links)} layers ({told})"
            place = next(iter(links.values()))[0].rule.place
            variables = (name for link, own in links.values() for name in (own, *link.entries.values()) if name)
            yield Problem(
                fault.what,
                found=f"{who}: {fault.found}",
                fix=fault.fix,
                excerpt=place.of("match").excerpt(),
                place=place,
                names=tuple(dict.fromkeys((*links, *variables))),
            )

    def _by_hand(self, link: Link, assignment: Assignment, tensor: str) -> None:
        try:
            epsilon = self.of(link, assignment.variable, tensor)
        except PlanError as error:
            place = link.rule.place
            what = error.problems[0]
            self._add(_Fault(what.what, place.path, what.found, what.fix), link, link.layer)
            return
        if epsilon.action == "fold":
            self.mismatches.pop(link.layer, None)
            self._add(
                _Fault(
                    "a layout does not say how an epsilon is folded",
                    link.rule.place.path,
                    f"source {epsilon.source:g}, target {epsilon.target:g}{_said(epsilon.origin)}; no variable of "
                    f"layout '{link.layout}' has the word 'batchnorm'",
                    'move the module by layout "batch_normalization", or say batchnorm = "gamma" and batchnorm = '
                    '"variance" of the layout\'s two variables',
                ),
                link,
                assignment.name.rpartition("/")[0],
                assignment.name,
            )

    def _is_variance(self, assignment: Assignment) -> bool:
        if not assignment.name.endswith(VARIANCE):
            return False
        return assignment.variable is None or self._class(assignment.variable).endswith("BatchNormalization")

    def _class(self, variable: Variable | None) -> str:
        """The class of Keras's own that a variable's layer is of; empty where no target is known."""
        layer = self._layer(variable)
        return "" if layer is None else layer.family or layer.class_name

    def _layer(self, variable: Variable | None) -> Layer | None:
        return None if self.target is None or variable is None else self.target.layers[variable.layer]

    def _compare(self, link: Link, variable: Variable | None, tensor: str) -> Epsilon:
        policy, layer = link.rule.batchnorm, self._layer(variable)
        name = link.layer if link.rule.spec.layout is not None else link.layer.rpartition("/")[0]
        source, origin, agreed = self._source(link, tensor, name)
        target = policy.target_epsilon
        if layer is not None:
            target = layer.settings.get("epsilon", target)
        if target is None or target == source or not agreed:
            return Epsilon(source, target, "equal" if agreed else "error", origin)
        if policy.on_mismatch == "error":
            numbers = f"source {source:g}, target {target:g}{_said(origin)}"
            fault = _Fault("BatchNorm epsilons differ", link.rule.place.path, numbers, _fix(source, target, origin))
            self._add(fault, link, name)
        else:
            self.mismatches[link.layer] = EpsilonMismatch(name, source, target, policy.on_mismatch, origin)
        return Epsilon(source, target, policy.on_mismatch, origin)

    def _source(self, link: Link, tensor: str, name: str) -> tuple[float, EpsilonOrigin, bool]:
        """PyTorch's epsilon of a layer, who says so, and whether file and module agree; that they do not is a fault."""
        read = self.read.get(tensor.rpartition(".")[0] if tensor else link.holder)
        told, origin = self._told(link, read)
        if told is None:
            told, origin = (PYTORCH_EPSILON, EpsilonOrigin.ASSUMED) if read is None else (read, EpsilonOrigin.MODULE)
        agreed = read is None or isclose(told, read, rel_tol=1e-6)
        if not agreed:
            fault = _Fault(
                "the rule file says another epsilon than the PyTorch module has",
                link.rule.place.path,
                f"{told:g} said by the {origin.value}, {read:g} in the module",
                f"say {_word(link, origin)} = {read:g}, or leave it out: the module's own is read then",
            )
            self._add(fault, link, name)
        return told, origin, agreed

    def _told(self, link: Link, read: float | None) -> tuple[float | None, EpsilonOrigin]:
        if link.rule.spec.epsilon is not None:
            return link.rule.spec.epsilon, EpsilonOrigin.FILE
        told = link.rule.batchnorm.source_epsilon
        if not isinstance(told, str):
            return told, EpsilonOrigin.FILE
        value = self.params.get(told)
        if isinstance(value, int | float):
            return value, EpsilonOrigin.PARAMETER
        if read is not None:
            return None, EpsilonOrigin.MODULE
        raise PlanError(
            "the epsilon of the PyTorch layers is not known",
            found=f"parameter '{told}' is {value!r}",
            fix=f"give it with --set {told}=NUMBER",
        )

    def _add(self, fault: _Fault, link: Link, name: str, variable: str = "") -> None:
        self._faults.setdefault(fault, {})[name] = (link, variable)


def _said(origin: EpsilonOrigin) -> str:
    """What a reader should know of where the source's epsilon is from, where the file does not say it."""
    return {
        EpsilonOrigin.ASSUMED: "; the source's is only assumed: the rule file says none, and a state_dict holds none",
        EpsilonOrigin.MODULE: "; the source's is read from the module",
    }.get(origin, "")


def _fix(source: float, target: float, origin: EpsilonOrigin) -> str:
    policy = 'on_mismatch = "fold" makes the outputs equal, "accept" leaves the difference'
    if origin is not EpsilonOrigin.ASSUMED:
        return f"[batchnorm] {policy}"
    return (
        f"if the network's own is {target:g}, say [batchnorm] source_epsilon = {target:g}; --torch reads it from the "
        f"network; if it is {source:g}, say source_epsilon = {source:g}, and {policy}"
    )


def _word(link: Link, origin: EpsilonOrigin) -> str:
    if origin is EpsilonOrigin.PARAMETER:
        return f"--set {link.rule.batchnorm.source_epsilon}"
    return "epsilon" if link.rule.spec.epsilon is not None else "[batchnorm] source_epsilon"
