"""The outputs of both networks, matched by what they are: name, shape after layout, and position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from remap.errors import UsageError
from remap.proving.difference import Tolerance
from remap.proving.rows import Outcome, Row, compare_values
from remap.sides.keras.side import KerasSide
from remap.sides.reference import Reference
from remap.sides.trace import Trace

TORCH, KERAS = "PyTorch", "Keras"
_SIDES = {"torch": TORCH, "keras": KERAS}


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a network.

    Args:
        name: What the network calls it; empty, or numbers alone, where it has a place in a tuple or list and no name.
        value: Its position in the trace.
        index: Its place among the outputs.
    """

    name: str
    value: int
    index: int

    @property
    def title(self) -> str:
        """What a user calls it: its name, or its number."""
        return self.name or str(self.index)

    @property
    def called(self) -> bool:
        """Whether it has a name, rather than a place.

        >>> Output("logits", 0, 0).called, Output("1.0", 0, 0).called
        (True, False)
        """
        return bool(self.name) and not self.name.replace(".", "").isdigit()


def outputs_of(trace: Trace) -> list[Output]:
    """The outputs of a run, in order."""
    return [Output(name, value, index) for index, (name, value) in enumerate(trace.outputs)]


def compare_outputs(torch: Trace, keras: Trace, tolerance: Tolerance) -> list[Row]:
    """One row for each output; one that the other side lacks is not compared, and says so.

    Outputs that share a name belong together. The others belong to one of a shape that can be theirs: one that they
    are equal to, else the one at their place (by what they hold where both sides have names for them). A Keras output
    that PyTorch computes on its way, as that of a model without a head, is held against the module that gives it.
    """
    matching = _Matching(torch, keras, tolerance)
    matching.by_name()
    matching.by_likeness()
    matching.inside()
    matching.by_place()
    rows = [matching.row(theirs, ours) for ours, theirs in sorted(matching.pairs.items(), key=lambda p: p[0].index)]
    rows += [_alone(output, KERAS) for output in matching.ours]
    return rows + [_alone(output, TORCH) for output in matching.theirs if output.value not in matching.taken]


def _alone(output: Output, side: str) -> Row:
    title = output.name or f"output {output.index}"
    row = Row(
        title, output.title, "output", Outcome.NOT_COMPARED, reason=f"only {side} gives it", named=bool(output.name)
    )
    return replace(row, torch_value=output.value) if side == TORCH else replace(row, keras_value=output.value)


@dataclass
class _Matching:
    """Outputs that are matched, and those that are left."""

    torch: Trace
    keras: Trace
    tolerance: Tolerance
    pairs: dict[Output, Output] = field(default_factory=dict)
    held: dict[tuple[int, int], Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.theirs, self.ours = outputs_of(self.torch), outputs_of(self.keras)
        self.more = len(self.ours) > len(self.theirs)

    @property
    def taken(self) -> set[int]:
        """Values of PyTorch that something is held against."""
        return {theirs.value for theirs in self.pairs.values()}

    def row(self, theirs: Output, ours: Output) -> Row:
        """What comes of a pair."""
        name = ours.name or theirs.name
        title = name or f"output {ours.index}"
        row = self.compared(theirs.value, ours.value)
        return replace(row, layer=title, module=theirs.name or title, kind="output", named=bool(name))

    def compared(self, torch_value: int, keras_value: int) -> Row:
        key = torch_value, keras_value
        if key not in self.held:
            depth = self.torch.depths[-1]
            self.held[key] = compare_values(self.torch, torch_value, self.keras, keras_value, depth, self.tolerance)
        return self.held[key]

    def _match(self, theirs: Output, ours: Output) -> None:
        self.pairs[ours] = theirs
        self.ours.remove(ours)
        if theirs in self.theirs:
            self.theirs.remove(theirs)

    def by_name(self) -> None:
        """Match those of one name."""
        named = {output.name: output for output in self.theirs if output.called}
        for ours in [output for output in self.ours if output.name in named]:
            self._match(named[ours.name], ours)

    def by_likeness(self) -> None:
        """Match those of shapes that can be one another's, the likeliest first."""
        ranks = {
            (theirs, ours): self._rank(theirs, ours, row)
            for theirs in self.theirs
            for ours in self.ours
            if (row := self.compared(theirs.value, ours.value)).difference is not None
        }
        for theirs, ours in sorted(ranks, key=lambda pair: ranks[pair]):
            if theirs in self.theirs and ours in self.ours:
                self._match(theirs, ours)

    def _rank(self, theirs: Output, ours: Output, row: Row) -> tuple[bool, bool, int, float]:
        assert row.difference is not None
        equal = row.outcome == Outcome.EQUAL
        apart = 0 if theirs.called and ours.called else abs(theirs.index - ours.index)
        elsewhere = self.more and not equal and next(self._given(ours), None) is not None
        return not equal, elsewhere, apart, row.difference.relative

    def inside(self) -> None:
        """Match Keras's outputs that are left with the modules, outermost first, or functions that give them."""
        for ours in list(self.ours):
            given = next(self._given(ours), None)
            if given is not None:
                self._match(given, ours)

    def _given(self, ours: Output) -> Iterator[Output]:
        for call in sorted(self.torch.calls, key=lambda call: not call.name):
            for value in call.outputs:
                if self.compared(value, ours.value).outcome == Outcome.EQUAL:
                    yield Output(call.name or call.kind, value, -1)

    def by_place(self) -> None:
        """Match what is left in order: their shapes differ, and that is what is to be said."""
        for theirs, ours in list(zip(self.theirs, self.ours, strict=False)):
            self._match(theirs, ours)


def exchanged(rows: Iterable[Row], torch: Trace, keras: Trace) -> tuple[tuple[str, str], ...]:
    """Outputs that stand in another order on the two sides, Keras's first: those that have a place, and no name."""
    places = [{output.value: output for output in outputs_of(trace) if not output.called} for trace in (torch, keras)]
    pairs = [
        (places[1][row.keras_value], places[0][row.torch_value])
        for row in rows
        if row.keras_value in places[1] and row.torch_value in places[0]
    ]
    order = [theirs.index for _, theirs in sorted(pairs, key=lambda pair: pair[0].index)]
    moved = zip(sorted(pairs, key=lambda pair: pair[0].index), sorted(order), strict=True)
    return tuple((ours.title, theirs.title) for (ours, theirs), place in moved if theirs.index != place)


def without(names: Sequence[str], torch: Trace, keras: Trace) -> tuple[frozenset[int], frozenset[int]]:
    """The places of outputs that are not to be looked at, PyTorch's and Keras's.

    Args:
        names: ``NAME``, of either side, or ``torch:NAME``, ``keras:NAME``; the number of one that has no name.
        torch: PyTorch's run.
        keras: Keras's.

    Raises:
        UsageError: Neither network gives such an output.
    """
    given = {TORCH: outputs_of(torch), KERAS: outputs_of(keras)}
    places: dict[str, set[int]] = {TORCH: set(), KERAS: set()}
    for text in names:
        side, colon, name = text.partition(":")
        sides = [_SIDES[side]] if colon and side in _SIDES else [TORCH, KERAS]
        wanted = name if colon and side in _SIDES else text
        chosen = [(each, output.index) for each in sides for output in given[each] if output.title == wanted]
        if not chosen:
            titles = "; ".join(f"{each}: {', '.join(o.title for o in outputs)}" for each, outputs in given.items())
            raise UsageError("no such output", where=f"--ignore-output {text}", expected=titles)
        for each, index in chosen:
            places[each].add(index)
    return frozenset(places[TORCH]), frozenset(places[KERAS])


def leave_out(names: Sequence[str], reference: Reference, side: KerasSide) -> None:
    """Take the outputs that are not to be looked at (:func:`without`) out of both runs, and of those to come."""
    places, side.left_out = without(names, reference.trace, side.trace)
    kept = [place for place in range(len(reference.trace.outputs)) if place not in places]
    if len(reference.other_outputs) == len(reference.trace.outputs):
        reference.other_outputs = [reference.other_outputs[place] for place in kept]
    reference.trace.outputs = [reference.trace.outputs[place] for place in kept]
    side.trace.outputs = [each for place, each in enumerate(side.trace.outputs) if place not in side.left_out]
