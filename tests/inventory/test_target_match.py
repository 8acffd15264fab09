"""Names in rules: which variable they mean, and what is said when they mean none or several."""

import time

import pytest

from remap.errors import TargetError
from remap.inventory.inventory import Inventory, Layer, Variable
from remap.inventory.match import VariableNames
from remap.inventory.shipped import shipped_inventory


def names(*pairs):
    variables = tuple(Variable(path, address, (1,), "float32", 0) for path, address in pairs)
    return VariableNames(Inventory("test", variables, (Layer("l", "L", "l", "l"),), "functional", "3"))


BLOCKS = names(
    ("block/conv2d_7/kernel", "block/conv2d[0]/kernel"),
    ("block/conv2d_9/kernel", "block/conv2d[1]/kernel"),
    ("head/kernel", "head/kernel"),
    ("block/head/kernel", "block/head/kernel"),
    ("twin/kernel", "twin/kernel"),
    ("twin/kernel#2", "twin/kernel#2"),
    ("a/norm/gamma", "a/norm/gamma"),
    ("b/norm/gamma", "b/norm/gamma"),
)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("block/conv2d_7/kernel", "block/conv2d_7/kernel"),
        ("block/conv2d[1]/kernel", "block/conv2d_9/kernel"),
        ("conv2d_9/kernel", "block/conv2d_9/kernel"),
        ("conv2d[0]/kernel", "block/conv2d_7/kernel"),
        ("head/kernel", "head/kernel"),  # a full name wins over the ending of another
        ("block/head/kernel", "block/head/kernel"),
        ("twin/kernel", "twin/kernel"),
        ("twin/kernel#2", "twin/kernel#2"),
        ("twin#2/kernel", "twin/kernel#2"),  # as a rule writes it, whose layout adds the variable
        ("twin#1/kernel", "twin/kernel"),
        ("block/head#1/kernel", "block/head/kernel"),  # where there is no second too
        ("b/norm/gamma", "b/norm/gamma"),
    ],
)
def test_resolves(name, path):
    assert BLOCKS.resolve(name).path == path
    assert BLOCKS.find(name).path == path


@pytest.mark.parametrize(
    "name", ["onv2d_9/kernel", "twin/kernel#3", "head#2/kernel", "conv2d_9", "block", "", "/", "kernel/", "d/kernel"]
)
def test_only_whole_components_at_the_end_count(name):
    assert BLOCKS.find(name) is None
    assert BLOCKS.candidates(name) == ()
    with pytest.raises(TargetError, match="no such variable"):
        BLOCKS.resolve(name)


def test_ambiguity_lists_the_candidates():
    assert len(BLOCKS.candidates("norm/gamma")) == 2
    for look_up in (BLOCKS.find, BLOCKS.resolve):
        with pytest.raises(TargetError) as caught:
            look_up("norm/gamma")
        assert caught.value.problems[0].found == "a/norm/gamma, b/norm/gamma"
    assert "block/conv2d_7/kernel (block/conv2d[0]/kernel)" in BLOCKS.problem("kernel").found
    assert "and 2 more" in BLOCKS.problem("kernel").found


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("conv2_blok1_1_conv/kernel", "conv2_block1_1_conv/kernel"),
        ("conv2_block1_1_conv/kernal", "conv2_block1_1_conv/kernel"),
        ("conv2_block1_1_bn/moving_var", "conv2_block1_1_bn/moving_variance"),
        ("conv2_block4_1_conv/kernel", "conv2_block1_1_conv/kernel"),
        ("prediction/bias", "predictions/bias"),
    ],
)
def test_suggestions(wrong, right):
    problem = VariableNames(shipped_inventory("keras.applications:ResNet50")).problem(wrong, where="r.toml:4")
    assert right in problem.fix
    assert (problem.where, problem.found) == ("r.toml:4", wrong)


def test_no_suggestion_where_nothing_is_close():
    assert BLOCKS.problem("zzzzzz/qqqq").fix == ""


@pytest.mark.no_cover
def test_look_ups_and_suggestions_stay_quick_with_many_names():
    many = names(*((f"m/s_{i // 1000}/b_{i // 10}/conv2d_{i}/kernel",) * 2 for i in range(30_000)))
    many.find("conv2d_1/kernel")
    many.close_to("conv2d_1/kernal")
    start = time.process_time()
    for i in range(30_000):
        assert many.find(f"conv2d_{i}/kernel").path.endswith(f"/conv2d_{i}/kernel")
    looked_up = time.process_time() - start
    start = time.process_time()
    for i in range(20):
        assert many.close_to(f"conv2d_{i * 1000 + 234}/kernal")
    suggested = time.process_time() - start
    assert looked_up < 2, looked_up
    assert suggested < 2, suggested
