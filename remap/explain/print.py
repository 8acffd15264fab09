"""An explanation for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from remap.explain.explain import Explanation, output_places, rule_place
from remap.planning.derived import Derived
from remap.planning.plan import Assignment
from remap.rules.rulefile import RAW, RuleFile

EXCERPT = " " * 12
"""In front of lines of a rule file, whose carets must stay below what they point to."""


def print_explanation(found: Explanation, out: Console) -> None:
    """One paragraph for each variable concerned, or the near misses."""
    for line in explanation_lines(found):
        out.print(line, soft_wrap=line.startswith(EXCERPT))


def explanation_lines(found: Explanation) -> Iterator[str]:
    """The lines of an explanation."""
    what = "source tensor" if found.side == "source" else "Keras variable"
    yield f"{what} {found.name}"
    if found.side == "source":
        tensor = found.draft.plan.checkpoint[found.name]
        yield f"  {_typed(tensor.shape, tensor.dtype.name)} in {tensor.storage.place}"
    if found.ignored is not None:
        yield f"  left behind by {found.ignored.place}: {found.ignored.reason}"
        yield from _indented(found.ignored.place.of("match").excerpt())
    for assignment in found.assignments:
        yield ""
        yield from _assignment(assignment, found.draft.plan.rules)
    if not found.covered:
        yield from _uncovered(found)


def _assignment(assignment: Assignment, rules: RuleFile) -> Iterator[str]:
    yield f"{assignment.name}  {_typed(assignment.shape, assignment.dtype.name)}  {assignment.kind}"
    yield f"  rule      {assignment.place}"
    yield from _indented(rule_place(assignment).excerpt())
    if assignment.captures:
        yield f"  captures  {', '.join(f'{name} = {text}' for name, text in assignment.captures.items())}"
    if assignment.layout:
        yield f"  layout    {_layout(assignment, rules)}"
    if assignment.reason:
        yield f"  why       {assignment.reason}"
    steps = list(assignment.value.recipe.steps)
    sources = list(assignment.value.sources)
    for source in sources:
        yield f"  from      {source.name}  {_typed(source.shape, source.dtype.name)}"
        if isinstance(source, Derived):
            yield f"            {source.place}"
    if len(sources) == len([word for word, _ in steps if word == "source"]):
        steps = [step for step in steps if step[0] != "source"]
    width = max((len(word) for word, _ in steps), default=0)
    for number, (word, shape) in enumerate(steps):
        yield f"  {'steps' if number == 0 else '':8}  {word:{width}}  -> {shape}"
    if not steps and sources:
        computed = any(isinstance(source, Derived) for source in sources)
        yield f"  steps     {'computed, and' if computed else 'none: it'} lands as it is"
    if sources and sources[0].dtype != assignment.dtype:
        yield f"            cast from {sources[0].dtype.name} to {assignment.dtype.name}"
    if assignment.blind:
        yield f"  note      its shape could not show a wrong layout: {assignment.blind}"
    for form, paths in output_places(assignment).items():
        yield f"  lies in   {form}: {', '.join(paths)}"
    if assignment.variable is None:
        yield "            (with --model also in the other formats)"


def _layout(assignment: Assignment, rules: RuleFile) -> str:
    if assignment.layout == RAW:
        return "none: the rule moves one tensor"
    place = rules.layout_places.get(assignment.layout)
    return f"{assignment.layout}, {assignment.entry}  ({place or 'built in'})"


def _uncovered(found: Explanation) -> Iterator[str]:
    if found.variable is not None:
        yield f"  {_typed(found.variable.shape, found.variable.dtype)}"
    yield f"  no rule {'claims' if found.side == 'source' else 'writes'} it"
    for problem in found.problems:
        yield from _indented(str(problem))
    if found.near:
        yield "  closest rules:"
    for miss in found.near:
        yield f"    {miss.place} '{miss.pattern}'"
        yield f"      {miss.why}"


def _indented(text: str) -> Iterator[str]:
    return (f"{EXCERPT}{line}" for line in text.splitlines())


def _typed(shape: tuple[int, ...], dtype: str) -> str:
    return f"{shape} {dtype}"
