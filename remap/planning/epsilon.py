"""BatchNorm epsilons of both sides, layer by layer, and what the rule file says about a difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from remap.errors import PlanError, Problem
from remap.inventory.inventory import Inventory, Variable
from remap.planning.params import Scalar
from remap.planning.plan import EpsilonMismatch
from remap.rules.rulefile import Rule
from remap.rules.schema import Rename


@dataclass(frozen=True, slots=True)
class Epsilon:
    """The two epsilons of one layer; ``target`` None where nobody knows it."""

    source: float
    target: float | None
    action: Literal["equal", "accept", "fold", "error"]


@dataclass(slots=True)
class Epsilons:
    """What was found, layer by layer.

    Args:
        target: The target's inventory; a model knows its epsilons better than a rule file.
        problems: Where a mismatch goes that the rule file calls an error.
        params: Values of the parameters.
    """

    target: Inventory | None
    problems: list[Problem]
    params: Mapping[str, Scalar] = field(default_factory=dict)
    mismatches: dict[str, EpsilonMismatch] = field(default_factory=dict)
    _known: dict[str, Epsilon] = field(default_factory=dict)

    def of(self, rule: Rule[Rename], layer: str, variable: Variable | None) -> Epsilon:
        """The epsilons of the Keras layer that a rule writes, by the layer's name.

        Raises:
            PlanError: The rule file leaves the source's epsilon to a parameter, which is no number.
        """
        if layer not in self._known:
            self._known[layer] = self._compare(rule, layer, variable)
        return self._known[layer]

    def _compare(self, rule: Rule[Rename], layer: str, variable: Variable | None) -> Epsilon:
        policy = rule.batchnorm
        source = self._number(policy.source_epsilon if rule.spec.epsilon is None else rule.spec.epsilon)
        target = policy.target_epsilon
        if self.target is not None and variable is not None:
            target = self.target.layers[variable.layer].settings.get("epsilon", target)
        if target is None or target == source:
            return Epsilon(source, target, "equal")
        if policy.on_mismatch == "error":
            self.problems.append(
                Problem(
                    "BatchNorm epsilons differ",
                    found=f"{layer}: source {source:g}, target {target:g}",
                    fix='[batchnorm] on_mismatch = "fold" makes the outputs equal, "accept" leaves the difference',
                    excerpt=rule.place.of("match").excerpt(),
                    place=rule.place,
                    names=(layer,),
                )
            )
        else:
            self.mismatches[layer] = EpsilonMismatch(layer, source, target, policy.on_mismatch)
        return Epsilon(source, target, policy.on_mismatch)

    def _number(self, epsilon: float | str) -> float:
        value = self.params.get(epsilon) if isinstance(epsilon, str) else epsilon
        if not isinstance(value, int | float):
            raise PlanError(
                "the epsilon of the PyTorch layers is not known",
                found=f"parameter '{epsilon}' is {value!r}",
                fix=f"give it with --set {epsilon}=NUMBER",
            )
        return value
