"""What a reader should know of a plan though nothing in it is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from remap.inventory.inventory import Inventory, Layer
from remap.layout.expression import Expression
from remap.planning.epsilon import NORMALISATIONS
from remap.planning.infer import Graph
from remap.planning.link import Link
from remap.planning.params import sizes_of
from remap.planning.plan import Assignment, EpsilonOrigin, Plan, Remark
from remap.planning.suggest import grouped
from remap.rules.schema import Rename

KERAS_EPSILON = 1e-3
"""What Keras's normalisation layers take when nothing is said; PyTorch's take 1e-5 (RMSNorm: the dtype's own)."""
_AFTER_FLATTEN = {
    ("Dense", "kernel"): "dense_after_flatten",
    ("BatchNormalization", "moving_mean"): "batch_normalization_after_flatten",
}
"""Layer and variable whose order a Flatten before it decides, and the layout that knows."""


@dataclass(frozen=True, slots=True)
class _Move:
    """What moves into a variable of a known layer."""

    assignment: Assignment
    layer: Layer
    link: Link

    @property
    def rule(self) -> Rename:
        """What the rule says."""
        return self.link.rule.spec

    @property
    def expression(self) -> Expression:
        """How the variable is made."""
        return self.link.expressions[self.assignment.entry]


def plan_warnings(plan: Plan, epsilons: Mapping[str, float]) -> Plan:
    """The plan with its warnings.

    Args:
        plan: The plan.
        epsilons: Epsilons of the PyTorch network's own modules by path, where it is at hand.
    """
    folded = list(_folded_assumption(plan))
    if plan.target is None:
        return replace(plan, remarks=tuple(map(Remark, [*folded, *_unknown_epsilon(plan)])))
    moves, graph = list(_moves(plan, plan.target)), Graph(plan.target)
    placed = [*_flattened(moves, graph), *_other_channels(moves, graph, plan)]
    told = [*folded, *_unfoldable_epsilon(moves, epsilons), *_reset_before(moves)]
    return replace(plan, remarks=(*placed, *map(Remark, told)))


def _moves(plan: Plan, target: Inventory) -> Iterator[_Move]:
    for assignment in plan.assignments:
        link, variable = assignment.link, assignment.variable
        if assignment.kind == "moved" and link is not None and variable is not None:
            yield _Move(assignment, target.layers[variable.layer], link)


def _flattened(moves: list[_Move], graph: Graph) -> Iterator[Remark]:
    """A flatten before a Dense orders its inputs; PyTorch's order and Keras's differ."""
    for move in moves:
        assignment, layer = move.assignment, move.layer
        better = _AFTER_FLATTEN.get((layer.class_name, assignment.name.rpartition("/")[2]))
        if better is None or "(" in (move.expression.axes or "") or graph.flatten_before(layer) is None:
            continue
        if graph.channels_before(layer) != assignment.shape[0]:
            yield Remark(
                f"{assignment.name} is fed by a Flatten, and {assignment.place} says layout '{assignment.layout}': "
                f"right only if PyTorch flattened channels last too; otherwise layout '{better}'",
                assignment.place,
            )


def _other_channels(moves: list[_Move], graph: Graph, plan: Plan) -> Iterator[Remark]:
    """Channels that the rule says, where the model has another number."""
    for move in moves:
        if not move.expression.infer or not move.rule.sizes:
            continue
        told = sizes_of(move.rule.sizes, plan.params)
        for axis, what in move.expression.infer.items():
            size = graph.size(what, move.layer)
            if axis in told and size not in (None, told[axis]):
                place = move.assignment.place
                text = f"{move.assignment.name}: {place} says {axis} = {told[axis]}, the model has {size} channels"
                yield Remark(text, place)


def _folded_assumption(plan: Plan) -> Iterator[str]:
    """Folds that are right only if PyTorch's epsilon is what nobody said."""
    layers_of: dict[tuple[float, float], list[str]] = {}
    for entry in plan.epsilons:
        if entry.action == "fold" and entry.origin is EpsilonOrigin.ASSUMED:
            layers_of.setdefault((entry.source, entry.target), []).append(entry.layer)
    for (source, target), layers in layers_of.items():
        yield (
            f"{_several(layers)}: folded from an epsilon of {source:g}, which is only assumed, to {target:g}: wrong "
            f"where the network's own is another; say [batchnorm] source_epsilon, or give the network by --torch"
        )


def _unfoldable_epsilon(moves: list[_Move], epsilons: Mapping[str, float]) -> Iterator[str]:
    """Epsilons that no weight can make up for: rule or module have another, or Keras's default was left."""
    layers_of: dict[tuple[float, float | None, bool], dict[str, None]] = {}
    for move in moves:
        epsilon, said = move.layer.settings.get("epsilon"), move.rule.epsilon
        read = epsilons.get(move.assignment.sources[0].rpartition(".")[0])
        source = read if said is None else said
        if move.layer.class_name not in NORMALISATIONS or epsilon in (None, source):
            continue
        if source is not None or epsilon == KERAS_EPSILON:
            layers_of.setdefault((epsilon, source, said is not None), {})[move.layer.path] = None
    for (epsilon, source, by_rule), layers in layers_of.items():
        who = "the rule says" if by_rule else "the module has"
        told = f"{who} {source:g}" if source is not None else "PyTorch's default is 1e-5"
        yield f"{_several(list(layers))}: epsilon {epsilon:g}, {told}; weights cannot make up for it, the model can"


def _reset_before(moves: list[_Move]) -> Iterator[str]:
    """A GRU that resets before the matrix product is another function than PyTorch's."""
    layers = {
        move.layer.path: None
        for move in moves
        if move.layer.class_name == "GRUCell" and move.layer.settings.get("reset_after") is False
    }
    if layers:
        yield f"{_several(list(layers))}: reset_after=False, PyTorch's GRU resets after; weights cannot make up for it"


def _unknown_epsilon(plan: Plan) -> Iterator[str]:
    layers = [
        assignment.name.rpartition("/")[0]
        for assignment in plan.assignments
        if assignment.entry == "moving_variance" and plan.rules.batchnorm.target_epsilon is None
    ]
    for pattern, members in grouped(layers):
        yield (
            f"the epsilon of {pattern}{f' ({len(members)})' if len(members) > 1 else ''} is not compared: no model "
            f"is given; Keras's default is 1e-3, PyTorch's 1e-5"
        )


def _several(layers: list[str]) -> str:
    patterns = grouped(layers)
    return ", ".join(f"{pattern} ({len(members)})" if len(members) > 1 else pattern for pattern, members in patterns)
