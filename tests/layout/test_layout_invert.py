"""Layouts backwards: what is made of random tensors gives them back, and inverting twice gives the layout back."""

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from test_layout_properties import NAMES, groupings

from remap.layout.axes import parse_axes
from remap.layout.combine import Form
from remap.layout.compile import compile_recipe
from remap.layout.expression import Expression, source_patterns
from remap.layout.invert import invert, slots_of
from remap.layout.tiles import Value
from remap.layout.uses import Irreversible
from remap.rules.layouts import builtin_layouts
from remap.rules.load import load_rules
from remap.rules.shipped import shipped_names
from remap.tensors.tensor import ArrayStorage, Tensor, dense_strides

PARAMS = {"tokens": 3}
"""Numbers that bounds of slices are given by."""


REFUSED = {
    "reduce": Irreversible.SUM,
    "repeat": Irreversible.REPEAT,
    "op": Irreversible.OPERATION,
    "call": Irreversible.CALL,
}
"""Words that make an expression irreversible."""


def refusal_of(expression):
    """Why the words of an expression say that it has no inverse; None where they do not."""
    if expression.batchnorm == "variance_without_gamma":
        return Irreversible.GAMMA
    return next((code for word, code in REFUSED.items() if getattr(expression, word)), None)


def tensor(array):
    array = np.array(array, order="C")  # ascontiguousarray would give a number an axis
    return Tensor("t", array.shape, array.dtype, dense_strides(array.shape), ArrayStorage(array))


def made(expression, stacks, sizes, target=None):
    """What an expression makes of the tensors of each of its sources, and the sizes that it was made with."""
    tensors = [tensor(array) for stack in stacks for array in stack]
    ends = np.cumsum([len(stack) for stack in stacks])
    parts = tuple(tuple(range(end - len(stack), end)) for end, stack in zip(ends, stacks, strict=True))
    forms = tuple(Form(each.shape, each.strides, each.dtype) for each in tensors)
    value = Value(compile_recipe(expression, forms, parts, dict(sizes), target), tuple(tensors))
    return value.array(), value.recipe.sizes


def forwards(expressions, tensors, sizes):
    """Every variable of expressions that only move, scale and add, and their solved sizes."""
    arrays, solved = {}, {}
    for slot, expression in expressions.items():
        if refusal_of(expression) is not None:
            solved[slot] = {}
            continue
        stacks = [tensors[pattern] for pattern in source_patterns(expression)]
        arrays[slot], solved[slot] = made(expression, stacks, sizes[slot])
    return arrays, solved


def bare(expression):
    """Without the words that describe a variable rather than change it."""
    listed = expression.sources
    sources = listed[0] if isinstance(listed, list) and len(listed) == 1 else listed
    return replace(expression, sources=sources, fill=None, like=None, batchnorm=None, verify=True)


def round_trip(expressions, tensors, sizes):
    """Forth and back. The inverse, and the inverse of the inverse."""
    variables, solved = forwards(expressions, tensors, sizes)
    shapes = {pattern: stack[0].shape for pattern, stack in tensors.items()}
    inverse = invert(expressions, shapes, solved)
    stacked = {}
    for (name, index), array in variables.items():
        stacked.setdefault(name, {})[index] = array
    back_sizes = {}
    for (pattern, index), expression in inverse.expressions.items():
        stacks = [[array for _, array in sorted(stacked[name].items())] for name in source_patterns(expression)]
        known = {}
        for name in source_patterns(expression):
            known |= {key: size for (own, _), each in solved.items() if own == name for key, size in each.items()}
        expected = tensors[pattern][max(index, 0)]
        array, back_sizes[pattern, index] = made(expression, stacks, known, expected.shape)
        assert array.shape == expected.shape
        if expression.scale == 1.0 and expression.add == 0.0:
            np.testing.assert_array_equal(array, expected)
        else:
            np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-5)
    there = {name: next(iter(stack.values())).shape for name, stack in stacked.items()}
    return inverse, invert(inverse.expressions, there, back_sizes)


# ---- the shipped layouts ---------------------------------------------------------------------------------------------


def shipped_layouts():
    """Every layout of the shipped files, and every rule without one that says axes, each once."""
    found = {f"layouts.toml {name}": layout for name, layout in builtin_layouts().items()}
    for file in shipped_names():
        rules = load_rules(file)
        found |= {f"{file} {name}": rules.layouts[name] for name in rules.layout_places}
        for rule in rules.renames:
            if rule.spec.layout is None and (rule.spec.axes or rule.spec.take):
                found[f"{file} {rule.spec.match}"] = rules.layout_of(rule.spec)
    unique = {}
    for name, layout in found.items():
        unique.setdefault(repr(sorted(layout.items())), (name, layout))
    return dict(unique.values())


SHIPPED = shipped_layouts()


def listed(expression):
    return expression.sources if isinstance(expression.sources, list) else [expression.sources]


def is_apart(expression):
    """Whether a list of sources is stacked along a new first axis."""
    return len(listed(expression)) > 1 and expression.concat is None


@st.composite
def modules(draw, layout):
    """Random sizes for the axes of a layout, and random tensors for all that its reversible expressions read."""
    sizes = {"row": 5, "token": 6, **PARAMS}
    reversible = [expression for expression in layout.values() if refusal_of(expression) is None]
    for expression in reversible:
        names = parse_axes(expression.axes).names if expression.axes else ()
        sizes |= {name: draw(st.integers(2, 4)) for name in names if name not in sizes}
        sizes |= {name: size for name, size in expression.sizes.items() if isinstance(size, int)}
        sizes |= {name: len(order) for name, order in expression.order.items()}
        if is_apart(expression) and expression.axes:
            sizes[parse_axes(expression.axes).left[0][0]] = len(listed(expression))
    shapes, counts = {}, {}
    for expression in reversible:
        for pattern in source_patterns(expression):
            known, own = dict(sizes), None
            if expression.concat:
                known[expression.concat] = draw(st.integers(1, 3))
            if expression.axes:
                groups = parse_axes(expression.axes).left[is_apart(expression) + bool(expression.stack) :]
                own = tuple(prod(known[name] for name in group) for group in groups)
            shapes[pattern] = own if shapes.get(pattern) is None else shapes[pattern]
            counts[pattern] = sizes[expression.stack] if expression.stack else 1
    numbers = np.random.default_rng(draw(st.integers(0, 999)))
    return sizes, {
        pattern: [
            np.asarray(numbers.standard_normal((3,) if shape is None else shape), "f4") for _ in range(counts[pattern])
        ]
        for pattern, shape in shapes.items()
    }


@pytest.mark.parametrize("name", SHIPPED)
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_every_shipped_layout_is_inverted_or_says_why_not(name, data):
    layout = SHIPPED[name]
    sizes, tensors = data.draw(modules(layout))
    told = {
        (entry, -1): {name: size for name, size in sizes.items() if name != expression.concat}
        for entry, expression in layout.items()
    }
    inverse, again = round_trip(slots_of(layout), tensors, told)
    used = {entry: layout[entry] for entry in layout if (entry, -1) not in inverse.spare}
    assert not again.refusals
    assert {entry: expression for (entry, _), expression in again.expressions.items()} == {
        entry: bare(expression) for entry, expression in used.items()
    }
    reasons = {refusal_of(layout[entry]) for entry, _ in inverse.spare}
    if any(expression.take for expression in layout.values()) and not inverse.expressions:
        reasons = {Irreversible.PART}  # positions and tokens that the layout leaves behind
    patterns = {pattern for expression in layout.values() for pattern in source_patterns(expression)}
    made_from = {pattern for pattern, _ in inverse.expressions}
    assert patterns == made_from | inverse.refusals.keys()
    assert {refusal.code for refusal in inverse.refusals.values()} <= reasons


def test_most_shipped_layouts_can_be_inverted():
    reasons = [refusal_of(expression) for layout in SHIPPED.values() for expression in layout.values()]
    assert reasons.count(None) > 0.9 * len(reasons)


# ---- generated expressions -------------------------------------------------------------------------------------------

many = settings(max_examples=200, deadline=None)


def side(groups):
    return " ".join("1" if not group else group[0] if len(group) == 1 else f"({' '.join(group)})" for group in groups)


def text(left, right):
    return f"{side(left)} -> {side(right)}"


@st.composite
def arrangements(draw):
    """A left side, and the size of every axis."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, len(NAMES)))]
    return draw(groupings(names)), {name: draw(st.integers(1, 4)) for name in names}


@st.composite
def rights(draw, names):
    return draw(groupings(draw(st.permutations(names))))


@st.composite
def shuffles(draw, sizes, names):
    """Random orders and flips of some axes."""
    chosen = draw(st.lists(st.sampled_from(sorted(names)), unique=True, max_size=2)) if names else []
    orders = {name: list(draw(st.permutations(range(sizes[name])))) for name in chosen}
    flips = draw(st.lists(st.sampled_from(sorted(names)), unique=True, max_size=2)) if names else []
    return {"order": orders, "flip": flips}


def numbers_of(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("f4")


def shape_of(groups, sizes):
    return tuple(prod(sizes[name] for name in group) for group in groups)


def assert_undone(expressions, tensors, sizes):
    """There and back, and inverted twice the same."""
    inverse, again = round_trip(expressions, tensors, sizes)
    assert not inverse.refusals and not inverse.spare
    assert not again.refusals
    assert again.expressions.keys() == expressions.keys()
    for slot, expression in again.expressions.items():
        wanted = bare(expressions[slot])
        assert replace(expression, scale=1.0, add=0.0) == replace(wanted, scale=1.0, add=0.0)
        assert expression.scale == pytest.approx(wanted.scale, rel=1e-15)
        assert expression.add == pytest.approx(wanted.add, rel=1e-15)
    return inverse


@many
@given(st.data())
def test_axes_order_flip_scale_and_add(data):
    left, sizes = data.draw(arrangements())
    right = data.draw(rights(list(sizes)))
    expression = Expression(
        sources="t",
        axes=text(left, right),
        scale=data.draw(st.sampled_from([1.0, 0.5, -4.0, 0.3, 49.0])),
        add=data.draw(st.sampled_from([0.0, 1.0, -0.7])),
        **data.draw(shuffles(sizes, list(sizes))),
    )
    tensors = {"t": [numbers_of(shape_of(left, sizes))]}
    assert_undone({("v", -1): expression}, tensors, {("v", -1): sizes})


@st.composite
def cuts(draw, size):
    """The numbers below a size in two runs or more, as texts of slices."""
    if draw(st.booleans()) and size > 1:
        step = draw(st.integers(2, size))
        return [f"{start or ''}::{step}" for start in range(step)]
    ends = sorted(draw(st.sets(st.integers(1, size - 1), min_size=1))) if size > 1 else []
    return [f"{a or ''}:{b or ''}" for a, b in zip([0, *ends], [*ends, 0], strict=True)]


@many
@given(st.data())
def test_take_with_all_its_parts(data):
    """Indices in a variable each, or slices; every variable with its axes arranged alike, or each in its own way."""
    left, sizes = data.draw(arrangements())
    axis = data.draw(st.sampled_from(sorted(sizes)))
    sizes[axis] = data.draw(st.integers(2, 4))
    rest = [name for name in sizes if name != axis]
    alike = data.draw(st.booleans())
    texts = list(range(sizes[axis])) if data.draw(st.booleans()) else data.draw(cuts(sizes[axis]))
    words = data.draw(shuffles(sizes, rest))
    common = None
    expressions = {}
    for number, taken in enumerate(texts):
        if isinstance(taken, int):
            right = ((axis,), *data.draw(rights(rest))) if rest else ((axis,),)
        else:
            right = data.draw(rights(list(sizes)))
        common = right if common is None or not alike else common
        own = dict(words)
        if not isinstance(
            taken, int
        ):  # the parts may be turned and shuffled along the axis that is cut, each in its own way
            length = len(range(*_slice(taken).indices(sizes[axis])))
            if length > 1 and data.draw(st.booleans()):
                own = {**words, "order": {**words["order"], axis: list(data.draw(st.permutations(range(length))))}}
            if data.draw(st.booleans()):
                own = {**own, "flip": [*own["flip"], axis]}
        expressions[f"v{number}", -1] = Expression(sources="t", axes=text(left, common), take={axis: taken}, **own)
    tensors = {"t": [numbers_of(shape_of(left, sizes))]}
    variables, solved = forwards(expressions, tensors, dict.fromkeys(expressions, sizes))
    inverse, again = round_trip(expressions, tensors, dict.fromkeys(expressions, sizes))
    assert not inverse.refusals and not inverse.spare and not again.refusals
    if isinstance(texts[0], int):
        assert {slot: again.expressions[slot] for slot in expressions} == {
            slot: bare(expression) for slot, expression in expressions.items()
        }
    # whatever the words, the inverse of the inverse makes the same of the tensor
    for slot, expression in again.expressions.items():
        assert expression.sources == "t"
        np.testing.assert_array_equal(made(expression, [tensors["t"]], solved[slot])[0], variables[slot])


def _slice(taken):
    return slice(*(int(part) if part else None for part in taken.split(":")))


@many
@given(st.data())
def test_several_sources_are_taken_apart(data):
    """Joined along an axis, listed along a new one, stacked by a capture, and stacked and joined at once."""
    left, sizes = data.draw(arrangements())
    firsts = [group[0] for group in left if group]
    how = data.draw(st.sampled_from(["concat", "list", "stack", "stack and concat", "stack and list"]))
    lead, words, tensors = [], {}, {}
    lengths = data.draw(st.lists(st.integers(1, 3), min_size=2, max_size=3))
    names = [f"t{number}" for number in range(len(lengths))]
    count = data.draw(st.integers(1, 3)) if "stack" in how else 1
    if "list" in how:
        lead.append("listed")
        sizes["listed"] = len(names)
    if "stack" in how:
        lead.append("k")
        words["stack"] = "k"
        sizes["k"] = count
    joined = data.draw(st.sampled_from(firsts)) if "concat" in how else None
    for number, (name, length) in enumerate(zip(names, lengths, strict=True)):
        own = {**sizes, joined: length}
        tensors[name] = [numbers_of(shape_of(left, own), 10 * number + index) for index in range(count)]
    if joined is not None:
        words["concat"] = joined
        sizes[joined] = sum(lengths)
    if how == "stack":
        names, tensors = names[:1], {names[0]: tensors[names[0]]}
    groups = (*((name,) for name in lead), *left)
    right = data.draw(rights(list(sizes)))
    expression = Expression(
        sources=names if len(names) > 1 else names[0],
        axes=text(groups, right),
        **words,
        **data.draw(shuffles(sizes, [name for name in sizes if name not in (*lead, joined)])),
    )
    assert_undone({("v", -1): expression}, tensors, {("v", -1): sizes})


def test_sources_without_axes_are_taken_apart_too():
    tensors = {"a": [numbers_of((2, 3), 1)], "b": [numbers_of((2, 3), 2)]}
    assert_undone({("v", -1): Expression(sources=["a", "b"])}, tensors, {("v", -1): {}})
    assert_undone({("v", -1): Expression(sources="a")}, {"a": tensors["a"]}, {("v", -1): {}})
    stacked = {"a": [numbers_of((2, 3), seed) for seed in range(3)]}
    assert_undone({("v", -1): Expression(sources="a", stack="e")}, stacked, {("v", -1): {}})


FUSED = "(part d) e -> part e d"


@pytest.mark.parametrize(
    ("layout", "code"),
    [
        ({"v": Expression(sources="t", axes=FUSED, take={"part": 0})}, Irreversible.PART),
        ({"v": Expression(sources="t", axes="(part d) e -> part e d", take={"d": "1:"})}, Irreversible.PART),
        (
            {
                "v": Expression(sources="t", axes=FUSED, take={"d": ":2"}),
                "w": Expression(sources="t", axes=FUSED, take={"d": "1:"}),
            },
            Irreversible.OVERLAP,
        ),
        (
            {
                "v": Expression(sources="t", axes=FUSED, take={"part": 0}, scale=0.5),
                "w": Expression(sources="t", axes=FUSED, take={"part": 1}),
            },
            Irreversible.UNLIKE,
        ),
        ({"v": Expression(sources="t", axes=FUSED, scale=0.0)}, Irreversible.ZERO),
        ({"v": Expression(sources="t", axes="p e -> p e x", repeat=["x"])}, Irreversible.REPEAT),
        ({"v": Expression(sources=["t", "u"], reduce="sum")}, Irreversible.SUM),
        ({"v": Expression(sources=["t", "u"], call="my:code")}, Irreversible.CALL),
        ({"v": Expression(sources="t", op="block_diagonal")}, Irreversible.OPERATION),
        ({"v": Expression(sources=["t", "u"], batchnorm="variance_without_gamma")}, Irreversible.GAMMA),
        ({"v": Expression(sources=["t", "u"], concat="part", axes="(part d) e -> (part d) e")}, Irreversible.UNEVEN),
    ],
)
def test_what_cannot_be_undone_says_why(layout, code):
    known = {slot: {"part": 2, "d": 3, "e": 4} for slot in slots_of(layout)}
    inverse = invert(slots_of(layout), {"t": (6, 4), "u": (2, 4)}, known)
    assert inverse.refusals["t"].code is code
    assert not inverse.expressions
    assert set(inverse.spare) == set(slots_of(layout))
    assert code.value in str(inverse.refusals["t"])


def test_a_copy_is_spare_and_what_is_summed_beside_it_does_no_harm():
    layout = {
        "kernel": Expression(sources="weight", axes="o i -> i o"),
        "copy": Expression(sources="weight", axes="o i -> i o"),
        "bias": Expression(sources=["weight", "bias"], op="separable_bias"),
    }
    inverse = invert(
        slots_of(layout), {"weight": (3, 2), "bias": (3,)}, {slot: {"o": 3, "i": 2} for slot in slots_of(layout)}
    )
    assert inverse.expressions == {("weight", -1): Expression(sources="kernel", axes="i o -> o i")}
    assert inverse.spare == (("copy", -1), ("bias", -1))
    assert inverse.refusals.keys() == {"bias"}
