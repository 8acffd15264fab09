"""Flatten, Unflatten and PixelShuffle: channels first on one side, last on the other."""

import keras
import numpy as np
import pytest
import torch
from keras import layers
from layer_parity import Case, check_equal, convert, planned, randomise, relative_difference, sequential, write_rules
from torch import nn

from remap.errors import PlanError
from remap.opening.memory import from_state_dict
from remap.planning.make import make_plan
from remap.rules.load import load_rules

FLATTENED = """
[[rename]]
match = '0'
to = 'conv'
layout = "{conv}"

[[rename]]
match = '2'
to = 'dense'
layout = "dense_after_flatten"
{sizes}
"""


def flattened(name, conv, layer, layout, input, positions, channels=4, sizes=""):
    """A convolution, a flatten and a dense layer."""
    return Case(
        name,
        lambda: nn.Sequential(conv(), nn.Flatten(), nn.Linear(channels * positions, 7)),
        lambda: sequential((*input[1:], input[0]), layer(), layers.Flatten(), layers.Dense(7, name="dense")),
        FLATTENED.format(conv=layout, sizes=sizes),
        input,
        True,
    )


CASES = [
    flattened(
        "after Conv1d", lambda: nn.Conv1d(3, 4, 3), lambda: layers.Conv1D(4, 3, name="conv"), "conv1d", (3, 7), 5
    ),
    flattened(
        "after Conv2d", lambda: nn.Conv2d(3, 4, 3), lambda: layers.Conv2D(4, 3, name="conv"), "conv2d", (3, 7, 5), 5 * 3
    ),
    flattened(
        "after Conv3d",
        lambda: nn.Conv3d(3, 4, 2),
        lambda: layers.Conv3D(4, 2, name="conv"),
        "conv3d",
        (3, 3, 4, 5),
        2 * 3 * 4,
    ),
    flattened(
        "after a depthwise convolution",
        lambda: nn.Conv2d(3, 6, 3, groups=3),
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, name="conv"),
        "depthwise_conv2d",
        (3, 7, 5),
        5 * 3,
        channels=6,
    ),
    flattened(
        "after a transposed convolution",
        lambda: nn.ConvTranspose2d(3, 4, 3),
        lambda: layers.Conv2DTranspose(4, 3, name="conv"),
        "conv2d_transpose",
        (3, 3, 4),
        5 * 6,
    ),
    Case(
        "through layers that keep channels",
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()), nn.Linear(4 * 3 * 2, 7)
        ),
        lambda: sequential(
            (9, 7, 3),
            layers.Conv2D(4, 3, name="conv"),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(7, name="dense"),
        ),
        FLATTENED.format(conv="conv2d", sizes=""),
        (3, 9, 7),
        True,
    ),
    flattened(
        "sizes given",
        lambda: nn.Conv2d(3, 4, 3),
        lambda: layers.Conv2D(4, 3, name="conv"),
        "conv2d",
        (3, 7, 5),
        5 * 3,
        sizes="sizes = { c = 4 }",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_dense_after_a_flatten(case, tmp_path):
    """Channels come from the model, or from the rule."""
    plan = check_equal(case, tmp_path)
    assert not plan.warnings


def test_plain_dense_after_a_flatten_is_warned_of_and_gives_other_outputs(tmp_path):
    case = CASES[1]
    rules = write_rules(tmp_path, case.rules.replace("dense_after_flatten", "dense"))
    module, model = randomise(case.torch()), case.keras()
    plan = convert(module, model, rules)
    assert len(plan.warnings) == 1
    assert "dense/kernel is fed by a Flatten" in plan.warnings[0]
    assert "dense_after_flatten" in plan.warnings[0]
    assert str(rules) in plan.warnings[0]
    assert relative_difference(case, module, model) > 0.1


def test_a_rule_without_a_layout_is_warned_of_too(tmp_path):
    case = CASES[1]
    conv = case.rules.partition("[[rename]]\nmatch = '2'")[0]
    rules = conv + (
        "[[rename]]\nmatch = '2\\.weight'\nto = 'dense/kernel'\naxes = 'o i -> i o'\n"
        "[[rename]]\nmatch = '2\\.bias'\nto = 'dense/bias'\n"
    )
    plan = planned(case.torch(), case.keras(), write_rules(tmp_path, rules))
    assert ["dense/kernel is fed by a Flatten" in warning for warning in plan.warnings] == [True]


def test_a_flatten_of_single_positions_is_no_reason_to_warn(tmp_path):
    """After pooling to 1 x 1 both orders are one."""
    case = Case(
        "",
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Linear(4, 7)
        ),
        lambda: sequential(
            (7, 5, 3),
            layers.Conv2D(4, 3, name="conv"),
            layers.GlobalAveragePooling2D(keepdims=True),
            layers.Flatten(),
            layers.Dense(7, name="dense"),
        ),
        CASES[1].rules.replace("dense_after_flatten", "dense"),
        (3, 7, 5),
        True,
    )
    assert not check_equal(case, tmp_path).warnings


def test_channels_that_neither_the_rule_nor_a_model_tells_are_an_error(tmp_path):
    case = CASES[1]
    source = from_state_dict(case.torch().state_dict())
    with pytest.raises(PlanError, match=r"size of c, s in 'o \(c s\) -> \(s c\) o' is unknown") as failure:
        make_plan(load_rules(write_rules(tmp_path, case.rules)), source)
    assert "sizes = { c = NUMBER }" in str(failure.value)


def test_channels_that_do_not_divide_the_features_are_an_error(tmp_path):
    case = CASES[1]
    rules = write_rules(tmp_path, case.rules + "sizes = { c = 7 }\n")
    with pytest.raises(PlanError, match=r"axis of 60 does not split into \(c s\)"):
        planned(case.torch(), case.keras(), rules)


def test_channels_other_than_the_models_are_warned_of(tmp_path):
    case = CASES[1]
    plan = planned(case.torch(), case.keras(), write_rules(tmp_path, case.rules + "sizes = { c = 5 }\n"))
    assert ["c = 5" in warning and "4" in warning for warning in plan.warnings] == [True]


@pytest.mark.parametrize(
    ("join", "channels"), [(layers.Concatenate, 4 + 6), (layers.Add, 4)], ids=["Concatenate", "Add"]
)
def test_channels_of_branches_are_joined(join, channels, tmp_path):
    """Concatenated channels add up; added ones must agree."""
    second = channels - 4 if join is layers.Concatenate else 4

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(3, second, 3)
            self.dense = nn.Linear(channels * 5 * 3, 7)

        def forward(self, x):
            both = torch.cat([self.a(x), self.b(x)], 1) if join is layers.Concatenate else self.a(x) + self.b(x)
            return self.dense(both.flatten(1))

    def model():
        x = keras.Input((7, 5, 3))
        both = join()([layers.Conv2D(4, 3, name="a")(x), layers.Conv2D(second, 3, name="b")(x)])
        return keras.Model(x, layers.Dense(7, name="dense")(layers.Flatten()(both)))

    rules = "[[rename]]\nmatch = '(?P<n>a|b)'\nto = '{n}'\nlayout = 'conv2d'\n"
    rules += "[[rename]]\nmatch = 'dense'\nto = 'dense'\nlayout = 'dense_after_flatten'\n"
    check_equal(Case("branches", Branches, model, rules, (3, 7, 5), True), tmp_path)


AROUND_BATCHNORM = """
[batchnorm]
source_epsilon = 1e-5
on_mismatch = "fold"
[[rename]]
match = '0'
to = 'conv'
layout = "conv2d"
[[rename]]
match = '2'
to = 'norm'
layout = "{norm}"
{fill}
[[rename]]
match = '3'
to = 'dense'
layout = "dense_after_flatten"
[[ignore]]
match = '2\\.num_batches_tracked'
reason = "Keras keeps no such counter"
"""


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("epsilon", [1e-5, 1e-3])
def test_all_vectors_of_a_batch_norm_between_are_permuted(affine, epsilon, tmp_path):
    case = Case(
        "Flatten, BatchNorm1d, Linear",
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.BatchNorm1d(60, affine=affine), nn.Linear(60, 7)),
        lambda: sequential(
            (7, 5, 3),
            layers.Conv2D(4, 3, name="conv"),
            layers.Flatten(),
            layers.BatchNormalization(epsilon=epsilon, name="norm"),
            layers.Dense(7, name="dense"),
        ),
        AROUND_BATCHNORM.format(
            norm="batch_normalization_after_flatten", fill="" if affine else "fill = ['gamma', 'beta']"
        ),
        (3, 7, 5),
        True,
    )
    plan = check_equal(case, tmp_path)
    assert not plan.warnings
    plain = write_rules(tmp_path, case.rules.replace("batch_normalization_after_flatten", "batch_normalization"))
    module, model = randomise(case.torch()), case.keras()
    plan = convert(module, model, plain)
    assert ["batch_normalization_after_flatten" in warning for warning in plan.warnings] == [True]
    assert relative_difference(case, module, model) > 0.1


UNFLATTENED = "[[rename]]\nmatch = '0'\nto = 'dense'\nlayout = '{layout}'\n"


@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_before_an_unflatten(bias, tmp_path):
    check_equal(
        Case(
            "Linear, Unflatten",
            lambda: nn.Sequential(nn.Linear(6, 60, bias=bias), nn.ReLU(), nn.Unflatten(1, (4, 5, 3))),
            lambda: sequential(
                (6,), layers.Dense(60, use_bias=bias, name="dense"), layers.ReLU(), layers.Reshape((5, 3, 4))
            ),
            UNFLATTENED.format(layout="dense_before_unflatten"),
            (6,),
            run=lambda module, x: module(x).movedim(1, -1),
        ),
        tmp_path,
    )


def test_a_convolution_before_a_pixel_shuffle(tmp_path):
    class DepthToSpace(layers.Layer):
        def call(self, x):
            _, height, width, channels = x.shape
            x = keras.ops.reshape(x, (-1, height, width, 2, 2, channels // 4))
            x = keras.ops.transpose(x, (0, 1, 3, 2, 4, 5))
            return keras.ops.reshape(x, (-1, height * 2, width * 2, channels // 4))

    x = np.arange(2 * 3 * 5 * 8, dtype=np.float32).reshape(2, 3, 5, 8)
    import tensorflow as tf

    np.testing.assert_array_equal(np.asarray(DepthToSpace()(x)), tf.nn.depth_to_space(x, 2).numpy())
    check_equal(
        Case(
            "Conv2d, PixelShuffle",
            lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.PixelShuffle(2)),
            lambda: sequential((7, 5, 3), layers.Conv2D(8, 3, name="dense"), DepthToSpace()),
            UNFLATTENED.format(layout="conv2d_before_depth_to_space") + "sizes = { c = 2 }\n",
            (3, 7, 5),
            True,
        ),
        tmp_path,
    )
