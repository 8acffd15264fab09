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


def print_explanation(explanation: Explanation, out: Console) -> None:
    """One paragraph for each variable concerned, or the near misses."""
    for line in explanation_lines(explanation):
        out.print(line, soft_wrap=line.startswith(EXCERPT))


def explanation_lines(explanation: Explanation) -> Iterator[str]:
    """The lines of an explanation."""
    what = "source tensor" if explanation.side == "source" else "Keras variable"
    yield f"{what} {explanation.name}"
    if explanation.side == "source":
        tensor = explanation.draft.plan.checkpoint[explanation.name]
        yield f"  {_typed(tensor.shape, tensor.dtype.name)} in {tensor.storage.place}"
    if explanation.ignored is not None:
        yield f"  left behind by {explanation.ignored.place}: {explanation.ignored.reason}"
        yield from _indented(explanation.ignored.place.of("match").excerpt())
    for assignment in explanation.assignments:
        yield ""
        yield from _assignment(assignment, explanation.draft.plan.rules)
    if not explanation.covered:
        yield from _uncovered(explanation)


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
    link = assignment.link
    part = f", part {link.part} of {len(link.rule.spec.to)}" if link is not None and link.part else ""
    if assignment.layout == RAW:
        return f"none: the rule moves one tensor{part}"
    place = rules.layout_places.get(assignment.layout)
    return f"{assignment.layout}, {assignment.entry}{part}  ({place or 'built in'})"


def _uncovered(explanation: Explanation) -> Iterator[str]:
    if explanation.variable is not None:
        yield f"  {_typed(explanation.variable.shape, explanation.variable.dtype)}"
    if explanation.claimed is not None:
        yield f"  {explanation.claimed} claims it, and nothing is made of it"
    else:
        yield f"  no rule {'claims' if explanation.side == 'source' else 'writes'} it"
    for problem in explanation.problems:
        yield from _indented(str(problem))
    if explanation.near:
        yield "  closest rules:"
    for miss in explanation.near:
        yield f"    {miss.place} '{miss.pattern}'"
        yield f"      {miss.why}"


def _indented(text: str) -> Iterator[str]:
    return (f"{EXCERPT}{line}" for line in text.splitlines())


def _typed(shape: tuple[int, ...], dtype: str) -> str:
    return f"{shape} {dtype}"
