"""The expression engine against einops and plain numpy, on random patterns, strides and tiles."""

from dataclasses import dataclass, replace
from unittest.mock import patch

import einops
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import remap.layout.copy as copying
import remap.layout.tiles as tiling
from remap.layout.axes import AxesError, parse_axes
from remap.layout.combine import Form
from remap.layout.compile import compile_recipe
from remap.layout.expression import Expression
from remap.layout.tiles import Value
from remap.tensors.tensor import ArrayStorage, Tensor

NAMES = ("a", "bb", "c1", "d_x", "e")
DTYPES = (np.float32, np.float16, np.int64, ml_dtypes.bfloat16)

quick = settings(max_examples=250, deadline=None)


@dataclass(frozen=True)
class Pattern:
    """A random axes pattern with the size of every elementary axis."""

    left: tuple[tuple[str, ...], ...]
    right: tuple[tuple[str, ...], ...]
    sizes: dict[str, int]

    def side(self, groups):
        return " ".join(
            "1" if not group else group[0] if len(group) == 1 else f"({' '.join(group)})" for group in groups
        )

    @property
    def text(self):
        return f"{self.side(self.left)} -> {self.side(self.right)}"

    @property
    def order(self):
        return [name for group in self.right for name in group]

    @property
    def shape(self):
        return tuple(int(np.prod([self.sizes[name] for name in group], initial=1)) for group in self.left)

    def needed(self):
        """Sizes that the shape does not tell: all but one of every group."""
        return {name: self.sizes[name] for group in self.left for name in group[1:]}


@st.composite
def groupings(draw, names):
    """The names cut into groups, with axes of size 1 put between."""
    groups, left = [], list(names)
    while left:
        count = draw(st.integers(1, min(3, len(left))))
        groups.append(tuple(left[:count]))
        left = left[count:]
    for _ in range(draw(st.integers(0, 2))):
        groups.insert(draw(st.integers(0, len(groups))), ())
    return tuple(groups)


@st.composite
def patterns(draw):
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, len(NAMES)))]
    return Pattern(
        draw(groupings(names)),
        draw(groupings(draw(st.permutations(names)))),
        {name: draw(st.integers(1, 4)) for name in names},
    )


@st.composite
def sources(draw, shape, number=0, dtype=np.float32):
    """A tensor of random strides over a larger storage, and the same numbers as a plain array."""
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.integers(1, 2)) for _ in shape]
    room = tuple(shape[axis] * steps[axis] for axis in order)
    lead = draw(st.integers(0, 3))
    size = int(np.prod(room, initial=1))
    base = (np.arange(lead + size) + 1000 * number + 1).astype(dtype)
    inner = base[lead:].reshape(room)[tuple(slice(None, None, steps[axis]) for axis in order)]
    view = inner.transpose(np.argsort(order)) if shape else inner
    assert view.shape == shape
    strides = tuple(step // base.itemsize for step in view.strides)
    return Tensor(f"t{number}", shape, base.dtype, strides, ArrayStorage(base), lead), np.ascontiguousarray(view)


def value_of(expression, tensors, parts=None, sizes=(), target=None):
    forms = tuple(Form(tensor.shape, tensor.strides, tensor.dtype) for tensor in tensors)
    parts = parts or tuple((index,) for index in range(len(tensors)))
    return Value(compile_recipe(expression, forms, parts, dict(sizes), target), tuple(tensors))


def assert_whole_and_in_tiles(value, expected, budget):
    """The value as one array, and put together from tiles, both by box and by run; so too when it counts as large."""
    assert value.recipe.shape == expected.shape
    np.testing.assert_array_equal(value.array(), expected)
    assert_in_tiles(value, expected, budget)
    with (
        patch.object(tiling, "MAPPED_BYTES", 0),
        patch.object(copying, "BLOCK_BYTES", 32),
        patch.object(copying, "RUN_BYTES", 8),
    ):
        np.testing.assert_array_equal(value.array(), expected)
        assert_in_tiles(value, expected, budget)


def assert_in_tiles(value, expected, budget):
    axes = value.recipe.axes
    boxes, flat = np.empty(axes, expected.dtype), np.empty(expected.size, expected.dtype)
    written = np.zeros(axes, int)
    for tile in tiling.tiles(value.recipe, budget):
        box = tuple(slice(a, b) for a, b in zip(tile.start, tile.stop, strict=True))
        rendered = value.render(tile)
        boxes[box] = rendered
        written[box] += 1
        position = 0
        for first, count in tile.runs(axes):
            flat[first : first + count] = np.asarray(rendered).reshape(-1)[position : position + count]
            position += count
        assert position == rendered.size
    assert (written == 1).all()
    np.testing.assert_array_equal(boxes.reshape(expected.shape), expected)
    np.testing.assert_array_equal(flat.reshape(expected.shape), expected)


@quick
@given(st.data())
def test_split_permute_and_merge_are_those_of_einops(data):
    pattern = data.draw(patterns())
    tensor, plain = data.draw(sources(pattern.shape, dtype=data.draw(st.sampled_from(DTYPES))))
    expected = einops.rearrange(plain, pattern.text, **pattern.sizes)
    value = value_of(Expression(sources="t", axes=pattern.text), [tensor], sizes=pattern.needed())
    assert_whole_and_in_tiles(value, expected, data.draw(st.integers(1, 200)))


@quick
@given(st.data())
def test_sizes_are_solved_from_the_target(data):
    """Where every axis of the result is elementary, nothing has to be said."""
    pattern = data.draw(patterns())
    pattern = replace(pattern, right=tuple((name,) for name in pattern.order))
    tensor, plain = data.draw(sources(pattern.shape))
    expected = einops.rearrange(plain, pattern.text, **pattern.sizes)
    value = value_of(Expression(sources="t", axes=pattern.text), [tensor], target=expected.shape)
    np.testing.assert_array_equal(value.array(), expected)


@st.composite
def changes(draw, pattern):
    """Random take, order and flip, and what numpy makes of them in elementary axes."""
    order, sizes = pattern.order, dict(pattern.sizes)
    take, orders, steps = {}, {}, []
    for name in draw(st.lists(st.sampled_from(order), unique=True, max_size=2)):
        if draw(st.booleans()):
            take[name] = draw(st.integers(-sizes[name], sizes[name] - 1))
            steps.append(("index", name, take[name]))
            del sizes[name]
        else:
            start, step = draw(st.integers(0, sizes[name] - 1)), draw(st.sampled_from([1, 2, -1]))
            take[name] = f"{start}::{step}"
            chosen = slice(start, None, step)
            steps.append(("slice", name, chosen))
            sizes[name] = len(range(*chosen.indices(sizes[name])))
    for name in draw(st.lists(st.sampled_from(sorted(sizes)), unique=True, max_size=2)) if sizes else []:
        orders[name] = draw(st.permutations(range(sizes[name])))
        steps.append(("order", name, orders[name]))
    flip = draw(st.lists(st.sampled_from(sorted(sizes)), unique=True, max_size=2)) if sizes else []
    steps += [("order", name, list(reversed(range(sizes[name])))) for name in flip]
    return {"take": take, "order": orders, "flip": flip}, steps


def changed(plain, pattern, steps):
    """The reference: one numpy step for each change, on elementary axes, merged in the end."""
    found = einops.rearrange(plain, f"{pattern.side(pattern.left)} -> {' '.join(pattern.order)}", **pattern.sizes)
    names = list(pattern.order)
    for kind, name, what in steps:
        axis = names.index(name)
        if kind == "index":
            found = np.take(found, what, axis)
            names.remove(name)
        elif kind == "slice":
            found = found[tuple(what if i == axis else slice(None) for i in range(found.ndim))]
        else:
            found = np.take(found, what, axis)
    sizes = dict(zip(names, found.shape, strict=True))
    groups = [group for group in pattern.right if not group or any(name in names for name in group)]
    return found.reshape([int(np.prod([sizes[n] for n in group if n in sizes], initial=1)) for group in groups])


@quick
@given(st.data())
def test_take_order_and_flip_are_those_of_numpy(data):
    pattern = data.draw(patterns())
    words, steps = data.draw(changes(pattern))
    tensor, plain = data.draw(sources(pattern.shape))
    expression = Expression(sources="t", axes=pattern.text, **words)
    value = value_of(expression, [tensor], sizes=pattern.sizes)
    assert_whole_and_in_tiles(value, changed(plain, pattern, steps), data.draw(st.integers(1, 200)))


@quick
@given(st.data())
def test_several_sources_are_stacked_or_summed(data):
    pattern = data.draw(patterns())
    count = data.draw(st.integers(2, 4))
    drawn = [data.draw(sources(pattern.shape, number)) for number in range(count)]
    tensors, plains = [each[0] for each in drawn], [each[1] for each in drawn]
    words, steps = data.draw(changes(pattern))
    budget = data.draw(st.integers(1, 200))
    scale, add = data.draw(st.sampled_from([(1.0, 0.0), (0.5, 0.0), (1.0, 1.0), (2.0, -3.0)]))
    total = sum(plain.astype(np.float32) for plain in plains[1:]) + plains[0]
    expected = changed(total, pattern, steps) * np.float32(scale) + np.float32(add)
    expression = Expression(sources=["t"] * count, reduce="sum", axes=pattern.text, scale=scale, add=add, **words)
    assert_whole_and_in_tiles(value_of(expression, tensors, sizes=pattern.sizes), expected, budget)
    stacked = replace(
        pattern, left=(("s",), *pattern.left), right=(*pattern.right, ("s",)), sizes=pattern.sizes | {"s": count}
    )
    both = changed(np.stack(plains), stacked, steps)
    for listed, parts in ((["t"] * count, None), ("t", (tuple(range(count)),))):
        expression = Expression(sources=listed, stack=None if parts is None else "s", axes=stacked.text, **words)
        value = value_of(expression, tensors, parts, stacked.sizes)
        assert_whole_and_in_tiles(value, both, budget)


@quick
@given(st.data())
def test_sources_of_different_lengths_are_joined(data):
    """Along the first axis of a group, which may be split further as long as no source ends inside of it."""
    pattern = data.draw(patterns())
    axis = data.draw(st.sampled_from([i for i, group in enumerate(pattern.left) if group]))
    name = pattern.left[axis][0]
    lengths = data.draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))
    drawn = []
    for number, length in enumerate(lengths):
        one = replace(pattern, sizes=pattern.sizes | {name: length})
        drawn.append(data.draw(sources(one.shape, number)))
    whole = replace(pattern, sizes=pattern.sizes | {name: sum(lengths)})
    words, steps = data.draw(changes(whole))
    expected = changed(np.concatenate([plain for _, plain in drawn], axis), whole, steps)
    expression = Expression(sources=["t"] * len(lengths), concat=name, axes=whole.text, **words)
    value = value_of(expression, [tensor for tensor, _ in drawn], sizes=whole.sizes)
    assert_whole_and_in_tiles(value, expected, data.draw(st.integers(1, 200)))


@quick
@given(st.data())
def test_new_axes_repeat_what_is_there(data):
    pattern = data.draw(patterns())
    tensor, plain = data.draw(sources(pattern.shape))
    times, place = data.draw(st.integers(1, 3)), data.draw(st.integers(0, len(pattern.right)))
    right = (*pattern.right[:place], ("new",), *pattern.right[place:])
    text = f"{pattern.side(pattern.left)} -> {pattern.side(right)}"
    expected = einops.repeat(plain, text, **pattern.sizes, new=times)
    value = value_of(Expression(sources="t", axes=text, repeat=["new"]), [tensor], sizes=pattern.sizes | {"new": times})
    assert_whole_and_in_tiles(value, expected, data.draw(st.integers(1, 200)))


@quick
@given(st.data())
def test_reading_backwards_undoes_a_pattern(data):
    """The same pattern with its sides exchanged is the inverse."""
    pattern = data.draw(patterns())
    tensor, plain = data.draw(sources(pattern.shape))
    there = value_of(Expression(sources="t", axes=pattern.text), [tensor], sizes=pattern.sizes).array()
    storage = Tensor("t", there.shape, there.dtype, tuple(s // 4 for s in there.strides), ArrayStorage(there))
    back = Expression(sources="t", axes=replace(pattern, left=pattern.right, right=pattern.left).text)
    np.testing.assert_array_equal(value_of(back, [storage], sizes=pattern.sizes).array(), plain)


@quick
@given(st.data())
def test_a_size_that_contradicts_is_an_error_and_never_a_reshape(data):
    pattern = data.draw(patterns())
    tensor, _ = data.draw(sources(pattern.shape))
    name = data.draw(st.sampled_from(sorted(pattern.sizes)))
    wrong = pattern.sizes | {name: pattern.sizes[name] + data.draw(st.integers(1, 3))}
    with pytest.raises(AxesError, match=r"does not split|the axis is"):
        value_of(Expression(sources="t", axes=pattern.text), [tensor], sizes=wrong)


@settings(max_examples=400, deadline=None)
@given(st.text(st.sampled_from("ab1 ()->"), max_size=14))
def test_any_text_is_a_pattern_that_einops_takes_too_or_an_axes_error(text):
    try:
        axes = parse_axes(text)
    except AxesError:
        return
    assert set(axes.names) <= {name for group in axes.right for name in group}
    shape = [int(2 ** len(group)) for group in axes.left]
    if axes.new or not axes.left or not axes.right:
        return
    sizes = dict.fromkeys(axes.names, 2)
    plain = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    tensor = Tensor("t", plain.shape, plain.dtype, tuple(s // 4 for s in plain.strides), ArrayStorage(plain))
    found = value_of(Expression(sources="t", axes=text), [tensor], sizes=sizes).array()
    np.testing.assert_array_equal(found, einops.rearrange(plain, text, **sizes))
