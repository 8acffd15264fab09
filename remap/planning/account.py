"""Closing the account: whatever is left over on either side becomes a problem with its likeliest fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from remap.errors import Problem, ProblemCode
from remap.inventory.inventory import Variable
from remap.layout.axes import AxesError
from remap.layout.compile import Form, compile_recipe
from remap.layout.expression import source_patterns
from remap.layout.tiles import Source
from remap.planning.match import Claims
from remap.planning.meant import MeantRules
from remap.planning.plan import Assignment
from remap.planning.suggest import Nearest, grouped, named_once, several
from remap.planning.unsaid import unsaid_fix, varying_captures
from remap.rules.rulefile import Rule, RuleFile
from remap.rules.schema import Ignore, Rename

_ROLES = {
    "kernel": ("weight", "kernel", "proj"),
    "gamma": ("weight", "gamma", "scale"),
    "embeddings": ("weight", "emb"),
    "alpha": ("weight", "alpha", "slope"),
    "bias": ("bias", "shift"),
    "beta": ("bias", "beta", "shift", "offset"),
    "moving_mean": ("running_mean", "mean"),
    "moving_variance": ("running_var", "var"),
}
"""Variables of Keras's layers, and what is in the names of the tensors that they come from, the usual one first."""


def unnamed_problems(claims: Claims) -> Iterator[Problem]:
    """Modules whose layer cannot be named."""
    for module, rule, why in claims.unnamed:
        excerpt = rule.place.of("match").excerpt()
        yield Problem(
            "a template cannot be filled", found=why, excerpt=excerpt, place=rule.place, subject=module, names=(module,)
        )


def source_problems(claims: Claims, keys: Sequence[str], unused: Sequence[str]) -> Iterator[Problem]:
    """What does not close on the PyTorch side.

    Args:
        claims: The outcome of matching.
        keys: All keys.
        unused: Keys that a rule claims but no variable is made from.
    """
    links = claims.links if claims.unclaimed else ()
    owners = {key: link.rule.place for link in links for key in link.claimed()}
    claimed = Nearest(owners)
    for pattern, members in grouped(claims.unclaimed):
        near = claimed.to(members[0], 1)
        yield Problem(
            ProblemCode.UNCLAIMED.value,
            where=several(pattern, members),
            fix=_fix_unclaimed(members[0], [f"{owners[key]} for '{key}'" for key in near], keys),
            code=ProblemCode.UNCLAIMED,
            names=named_once(members),
        )
    for rules, contested in _by_rules(claims):
        for pattern, members in grouped(contested):
            yield Problem(
                ProblemCode.CONTESTED.value,
                several(pattern, members),
                ", ".join(f"{rule.place} ('{rule.spec.match}')" for rule in rules),
                "one rule",
                f"narrow the pattern at {' or '.join(str(rule.place) for rule in rules)}",
                code=ProblemCode.CONTESTED,
                names=tuple(members),
            )
    for first, second, owner in claims.doubled:
        yield Problem(
            "two source tensors fit one place of a layout",
            found=f"{first} and {second}",
            expected="one",
            fix="narrow the pattern, or capture what tells them apart",
            place=owner.place,
            names=(first, second),
        )
    names, modules = Nearest(keys), Nearest(key.rpartition(".")[0] for key in keys)
    for rule in claims.idle:
        near = (modules if getattr(rule.spec, "layout", None) else names).to(_plain(rule.spec.match), 2)
        yield Problem(
            ProblemCode.IDLE_RULE.value,
            fix="check the pattern, or say optional = true",
            found=f"closest: {', '.join(near)}" if near else "",
            excerpt=rule.place.of("match").excerpt(),
            code=ProblemCode.IDLE_RULE,
            place=rule.place,
            names=tuple(near),
        )
    for pattern, members in grouped(unused):
        yield Problem(
            "a rule claims a source tensor and makes nothing of it",
            where=several(pattern, members),
            fix="name it in the layout, or [ignore] it with a reason",
            names=named_once(members),
        )


def _by_rules(claims: Claims) -> Iterator[tuple[list[Rule[Rename] | Rule[Ignore]], list[str]]]:
    """Keys that several rules claim, by those rules."""
    keys: dict[tuple[int, ...], list[str]] = {}
    owners: dict[tuple[int, ...], list[Rule[Rename] | Rule[Ignore]]] = {}
    for key, rules in claims.contested:
        same = tuple(map(id, rules))
        keys.setdefault(same, []).append(key)
        owners[same] = rules
    yield from ((owners[same], members) for same, members in keys.items())


def target_problems(
    assignments: Sequence[Assignment],
    variables: Sequence[Variable],
    unclaimed: Sequence[str],
    rules: RuleFile,
    meant: MeantRules,
) -> Iterator[Problem]:
    """What does not close on the Keras side.

    Args:
        assignments: What is written.
        variables: The target's variables; empty where no target is known.
        unclaimed: Source tensors that nothing claims, for near misses.
        rules: The rule file.
        meant: Rules that were to write what is missing.
    """
    by_name: dict[str, Assignment] = {}
    for assignment in assignments:
        other = by_name.setdefault(assignment.name, assignment)
        if other is not assignment:
            yield Problem(
                "a variable is written twice",
                assignment.name,
                found=f"from {_origin(other)} and from {_origin(assignment)}",
                expected="one rule for each variable",
                fix=_fix_twice(other, assignment),
                names=(assignment.name,),
            )
        variable = assignment.variable
        if variable is not None and assignment.shape != variable.shape and assignment.kind != "kept":
            yield _shape_problem(assignment, variable, rules)
    missing = {variable.path: variable for variable in variables if variable.path not in by_name}
    siblings: dict[str, Assignment] = {}
    for assignment in assignments if missing else ():
        siblings.setdefault(assignment.name.rpartition("/")[0], assignment)
    for pattern, members in grouped(missing):
        variable = missing[members[0]]
        yield Problem(
            ProblemCode.MISSING.value,
            where=several(pattern, members),
            found=f"shape {variable.shape}",
            fix=_fix_missing(members[0], siblings, unclaimed, rules, meant),
            code=ProblemCode.MISSING,
            names=named_once(members),
        )


def _fix_unclaimed(key: str, near: Sequence[str], keys: Sequence[str]) -> str:
    weight, _, part = key.rpartition("_")
    if part in ("blocks", "scales") and {f"{weight}_blocks", f"{weight}_scales"} <= set(keys):
        return (
            "the weight is quantised, in blocks of MXFP4, which is not converted: dequantise the checkpoint first, by "
            "transformers' Mxfp4Config(dequantize=True) and save_pretrained"
        )
    if part in ("orig", "mask") and {f"{weight}_orig", f"{weight}_mask"} <= set(keys):
        return (
            f"'{weight}' was pruned, and is the product of two tensors: [[derive]] op = \"product\", "
            f"from = {{ first = '(?P<name>.*)_orig', second = '(?P<name>.*)_mask' }}, to = '{{name}}'"
        )
    like = f" like the one at {near[0]}" if near else ""
    return f"a rule{like}, or an [ignore] with a reason"


def _shape_problem(assignment: Assignment, variable: Variable, rules: RuleFile) -> Problem:
    others = _fitting_layouts(assignment, variable.shape, rules)
    sources = [f"{source.name} {source.shape}" for source in assignment.value.sources]
    return Problem(
        "shapes differ",
        found=f"{assignment.shape} from {', '.join(sources[:3])} by layout '{assignment.layout}'",
        expected=str(variable.shape),
        fix=f"layout {' or '.join(repr(name) for name in others)} would give that shape"
        if others
        else "check that this module and this layer are the same",
        excerpt=assignment.place.of("match").excerpt(),
        place=assignment.place,
        subject=assignment.name,
        names=(assignment.name, *assignment.sources[:3]),
    )


def _fitting_layouts(assignment: Assignment, shape: tuple[int, ...], rules: RuleFile) -> list[str]:
    """Layouts that would give a variable of that name and shape from the same single source."""
    if len(assignment.value.sources) != 1:
        return []
    source: Source = assignment.value.sources[0]
    forms = (Form(source.shape, source.strides, source.dtype),)
    tensor = source.name.rpartition(".")[2]
    fitting = []
    for name, layout in rules.layouts.items():
        expression = layout.get(assignment.entry)
        if expression is None or expression.op or expression.call or source_patterns(expression) != [tensor]:
            continue
        try:
            if compile_recipe(expression, forms, ((0,),), {}, shape).shape == shape:
                fitting.append(name)
        except AxesError:
            continue
    return fitting


def _fix_missing(
    name: str, siblings: Mapping[str, Assignment], unclaimed: Sequence[str], rules: RuleFile, meant: MeantRules
) -> str:
    place = meant.place(name)
    if place is not None:
        return f"mend {place}, which was probably meant to write it"
    layer, _, entry = name.rpartition("/")
    sibling = siblings.get(layer)
    if sibling is not None and sibling.layout in rules.layouts:
        expression = rules.layouts[sibling.layout].get(entry)
        own = Nearest(_of_role(entry, [key for key in unclaimed if key.startswith(f"{sibling.module}.")]))
        if expression is not None and (close := own.to(f"{sibling.module}.{_usual(entry)}", 1)):
            takes = " or ".join(f"'{name}'" for name in source_patterns(expression))
            return (
                f"'{close[0]}', which no rule claims, may be it: layout '{sibling.layout}' at {sibling.place} takes "
                f"{takes}; a layout of your own can take that"
            )
        if expression is not None and expression.fill is not None:
            return f'the layer is written by {sibling.place}: say fill = ["{entry}"] there'
    wanted = f"{layer}/{_usual(entry)}".replace("/", ".")
    near = Nearest(_of_role(entry, unclaimed)).to(wanted, 2)
    hint = f"; unclaimed: {', '.join(near)}" if near else ""
    return f"a rule that writes it, or a [keep] or [fill] with a reason{hint}"


def _fix_twice(first: Assignment, second: Assignment) -> str:
    """Where one module of one rule writes a variable twice, what its layout captures is not said."""
    links = [link for assignment in (first, second) if (link := assignment.link) is not None]
    unsaid = varying_captures(links).get(id(links[0].rule)) if links else None
    return unsaid_fix(links[0].rule, unsaid) if unsaid else ""


def _of_role(entry: str, keys: Iterable[str]) -> list[str]:
    """Keys of tensors that a variable of Keras's own layers can come from; all for any other variable."""
    roles = _ROLES.get(entry)
    return [key for key in keys if roles is None or any(role in key.rpartition(".")[2] for role in roles)]


def _usual(entry: str) -> str:
    """What PyTorch usually calls the tensor of a variable."""
    return _ROLES[entry][0] if entry in _ROLES else entry


def _origin(assignment: Assignment) -> str:
    return f"{assignment.module or assignment.reason} ({assignment.place})"


def _plain(pattern: str) -> str:
    """A regex as the name it is most like, for near misses."""
    for old, new in (("\\.", "."), ("\\d+", "0"), ("(?:", ""), (".*", ""), (".+", "")):
        pattern = pattern.replace(old, new)
    return pattern
