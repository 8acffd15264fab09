"""Dense layers, convolutions of every kind, embeddings and PReLU: equal outputs in float32."""

import numpy as np
import pytest
import torch
from keras import layers
from layer_parity import Case, check_equal, convert, randomise, relative_difference, sequential, write_rules
from torch import nn

from remap.errors import PlanError

LAYER = """
[[rename]]
match = '0'
to = 'layer'
layout = "{layout}"
{more}
"""


def one(name, module, layer, layout, input, more="", channels=True):
    """A case of one module and one layer."""
    shape = (*input[1:], input[0]) if channels else input
    return Case(
        name,
        lambda: nn.Sequential(module()),
        lambda: sequential(shape, layer()),
        LAYER.format(layout=layout, more=more),
        input,
        channels,
    )


def pair(name, depthwise, pointwise, layer, layout, input):
    """A case of two modules below one, which become one layer."""
    return one(name, lambda: nn.Sequential(depthwise(), pointwise()), layer, layout, input)


CASES = [
    one("Linear", lambda: nn.Linear(5, 7), lambda: layers.Dense(7, name="layer"), "dense", (5,), channels=False),
    one("Linear square", lambda: nn.Linear(6, 6), lambda: layers.Dense(6, name="layer"), "dense", (6,), channels=False),
    one(
        "Linear without bias into one with",
        lambda: nn.Linear(5, 7, bias=False),
        lambda: layers.Dense(7, bias_initializer="ones", name="layer"),
        "dense",
        (5,),
        "fill = ['bias']",
        channels=False,
    ),
    one("Conv1d", lambda: nn.Conv1d(4, 6, 3), lambda: layers.Conv1D(6, 3, name="layer"), "conv1d", (4, 9)),
    one("Conv2d", lambda: nn.Conv2d(4, 6, (3, 5)), lambda: layers.Conv2D(6, (3, 5), name="layer"), "conv2d", (4, 8, 9)),
    one(
        "Conv2d square everywhere",
        lambda: nn.Conv2d(3, 3, 3, bias=False),
        lambda: layers.Conv2D(3, 3, use_bias=False, name="layer"),
        "conv2d",
        (3, 7, 7),
    ),
    one(
        "Conv3d",
        lambda: nn.Conv3d(4, 6, (2, 3, 4)),
        lambda: layers.Conv3D(6, (2, 3, 4), name="layer"),
        "conv3d",
        (4, 5, 6, 7),
    ),
    one(
        "Conv2d groups=2",
        lambda: nn.Conv2d(4, 6, 3, groups=2),
        lambda: layers.Conv2D(6, 3, groups=2, name="layer"),
        "conv2d",
        (4, 7, 7),
    ),
    one(
        "Conv2d dilation=2",
        lambda: nn.Conv2d(4, 6, 3, dilation=2),
        lambda: layers.Conv2D(6, 3, dilation_rate=2, name="layer"),
        "conv2d",
        (4, 8, 8),
    ),
    one(
        "Conv1d groups=2",
        lambda: nn.Conv1d(4, 6, 3, groups=2),
        lambda: layers.Conv1D(6, 3, groups=2, name="layer"),
        "conv1d",
        (4, 9),
    ),
    one(
        "depthwise m=1 to DepthwiseConv2D",
        lambda: nn.Conv2d(4, 4, 3, groups=4),
        lambda: layers.DepthwiseConv2D(3, name="layer"),
        "depthwise_conv2d",
        (4, 7, 7),
    ),
    one(
        "depthwise m=3 to DepthwiseConv2D",
        lambda: nn.Conv2d(4, 12, 3, groups=4),
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=3, name="layer"),
        "depthwise_conv2d",
        (4, 7, 7),
    ),
    one(
        "depthwise m=3 to grouped Conv2D",
        lambda: nn.Conv2d(4, 12, 3, groups=4),
        lambda: layers.Conv2D(12, 3, groups=4, name="layer"),
        "conv2d",
        (4, 7, 7),
    ),
    one(
        "depthwise Conv1d",
        lambda: nn.Conv1d(4, 4, 3, groups=4),
        lambda: layers.DepthwiseConv1D(3, name="layer"),
        "depthwise_conv1d",
        (4, 9),
    ),
    one(
        "ConvTranspose1d",
        lambda: nn.ConvTranspose1d(4, 6, 3),
        lambda: layers.Conv1DTranspose(6, 3, name="layer"),
        "conv1d_transpose",
        (4, 7),
    ),
    one(
        "ConvTranspose2d",
        lambda: nn.ConvTranspose2d(4, 6, (3, 5), stride=2),
        lambda: layers.Conv2DTranspose(6, (3, 5), strides=2, name="layer"),
        "conv2d_transpose",
        (4, 6, 5),
    ),
    one(
        "ConvTranspose2d k4 s2 p1 to same",
        lambda: nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1),
        lambda: layers.Conv2DTranspose(6, 4, strides=2, padding="same", name="layer"),
        "conv2d_transpose",
        (4, 6, 5),
    ),
    one(
        "ConvTranspose2d k2 s2",
        lambda: nn.ConvTranspose2d(4, 6, 2, stride=2),
        lambda: layers.Conv2DTranspose(6, 2, strides=2, name="layer"),
        "conv2d_transpose",
        (4, 6, 5),
    ),
    one(
        "ConvTranspose3d",
        lambda: nn.ConvTranspose3d(4, 6, 3),
        lambda: layers.Conv3DTranspose(6, 3, name="layer"),
        "conv3d_transpose",
        (4, 4, 5, 6),
    ),
    one(
        "ConvTranspose1d groups=2",
        lambda: nn.ConvTranspose1d(4, 6, 3, groups=2),
        lambda: layers.Conv1DTranspose(6, 3, name="layer"),
        "conv1d_transpose_grouped",
        (4, 7),
        "sizes = { groups = 2 }",
    ),
    one(
        "ConvTranspose2d groups=2",
        lambda: nn.ConvTranspose2d(4, 6, 3, groups=2),
        lambda: layers.Conv2DTranspose(6, 3, name="layer"),
        "conv2d_transpose_grouped",
        (4, 6, 5),
        "sizes = { groups = 2 }",
    ),
    pair(
        "depthwise and pointwise without bias to SeparableConv2D",
        lambda: nn.Conv2d(4, 4, 3, groups=4, bias=False),
        lambda: nn.Conv2d(4, 7, 1, bias=False),
        lambda: layers.SeparableConv2D(7, 3, use_bias=False, name="layer"),
        "separable_conv2d",
        (4, 7, 7),
    ),
    pair(
        "bias on the pointwise",
        lambda: nn.Conv2d(4, 4, 3, groups=4, bias=False),
        lambda: nn.Conv2d(4, 7, 1),
        lambda: layers.SeparableConv2D(7, 3, name="layer"),
        "separable_conv2d",
        (4, 7, 7),
    ),
    pair(
        "bias on the depthwise",
        lambda: nn.Conv2d(4, 4, 3, groups=4),
        lambda: nn.Conv2d(4, 7, 1, bias=False),
        lambda: layers.SeparableConv2D(7, 3, name="layer"),
        "separable_conv2d",
        (4, 7, 7),
    ),
    pair(
        "bias on both, m=2",
        lambda: nn.Conv2d(4, 8, 3, groups=4),
        lambda: nn.Conv2d(8, 7, 1),
        lambda: layers.SeparableConv2D(7, 3, depth_multiplier=2, name="layer"),
        "separable_conv2d",
        (4, 7, 7),
    ),
    pair(
        "1d pair to SeparableConv1D",
        lambda: nn.Conv1d(4, 4, 3, groups=4),
        lambda: nn.Conv1d(4, 7, 1),
        lambda: layers.SeparableConv1D(7, 3, name="layer"),
        "separable_conv1d",
        (4, 9),
    ),
    one(
        "Conv2d 1x1 to Dense",
        lambda: nn.Conv2d(4, 6, 1),
        lambda: layers.Dense(6, name="layer"),
        "dense_from_conv2d",
        (4, 5, 6),
    ),
    one(
        "Conv1d 1 to Dense",
        lambda: nn.Conv1d(4, 6, 1),
        lambda: layers.Dense(6, name="layer"),
        "dense_from_conv1d",
        (4, 5),
    ),
    Case(
        "Linear to Conv2D 1x1",
        lambda: nn.Sequential(nn.Linear(4, 6)),
        lambda: sequential((5, 6, 4), layers.Conv2D(6, 1, name="layer")),
        LAYER.format(layout="conv2d_from_linear", more=""),
        (5, 6, 4),
    ),
    one(
        "PReLU shared to shared_axes=[1,2]",
        lambda: nn.PReLU(),
        lambda: layers.PReLU(shared_axes=[1, 2], name="layer"),
        "prelu_shared",
        (6, 4, 4),
    ),
    one(
        "PReLU shared to shared_axes=[1,2,3]",
        lambda: nn.PReLU(),
        lambda: layers.PReLU(shared_axes=[1, 2, 3], name="layer"),
        "prelu_shared",
        (6, 4, 4),
    ),
    one(
        "PReLU(C) to shared_axes=[1,2]",
        lambda: nn.PReLU(6),
        lambda: layers.PReLU(shared_axes=[1, 2], name="layer"),
        "prelu",
        (6, 4, 4),
    ),
    one("PReLU(C) to alpha [H,W,C]", lambda: nn.PReLU(6), lambda: layers.PReLU(name="layer"), "prelu", (6, 4, 5)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_layer_gives_equal_outputs(case, tmp_path):
    plan = check_equal(case, tmp_path)
    assert not plan.warnings


class Ids(nn.Module):
    """A lookup by whole numbers in place of the floats that a case gives."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, x):
        return self.table(ids_of(x))


def ids_of(x):
    return (x.abs() * 1000).long() % 11 if isinstance(x, torch.Tensor) else (np.abs(x) * 1000).astype(np.int64) % 11


EMBEDDED = [
    Case(
        "Embedding",
        lambda: Ids(nn.Embedding(11, 5)),
        lambda: sequential((6,), layers.Embedding(11, 5, name="layer")),
        LAYER.replace("'0'", "'table'").format(layout="embedding", more=""),
        (6,),
        call=lambda model, x: model(ids_of(x)),
    ),
    Case(
        "EmbeddingBag of means",
        lambda: Ids(nn.EmbeddingBag(11, 5, mode="mean")),
        lambda: sequential((6,), layers.Embedding(11, 5, name="layer"), layers.GlobalAveragePooling1D()),
        LAYER.replace("'0'", "'table'").format(layout="embedding", more=""),
        (6,),
        call=lambda model, x: model(ids_of(x)),
    ),
]


@pytest.mark.parametrize("case", EMBEDDED, ids=str)
def test_embeddings_give_equal_outputs(case, tmp_path):
    check_equal(case, tmp_path)


def test_output_padding_against_same_is_shifted_and_a_crop_makes_it_equal(tmp_path):
    """Weights cannot repair it: the output check shows it, a model that crops repairs it."""

    def cropped(layer):
        return sequential((6, 6, 4), layer, layers.Cropping2D(((1, 0), (1, 0))))

    def case(model):
        return one(
            "output_padding",
            lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
            model,
            "conv2d_transpose",
            (4, 6, 6),
        )

    module = randomise(case(None).torch())
    rules = write_rules(tmp_path, case(None).rules)
    same = sequential((6, 6, 4), layers.Conv2DTranspose(6, 3, strides=2, padding="same", name="layer"))
    convert(module, same, rules)
    assert relative_difference(case(None), module, same) > 0.1
    valid = cropped(layers.Conv2DTranspose(6, 3, strides=2, padding="valid", name="layer"))
    convert(module, valid, rules)
    assert relative_difference(case(None), module, valid) <= 1e-5


def test_groups_of_a_transposed_convolution_must_be_given(tmp_path):
    case = next(case for case in CASES if case.name == "ConvTranspose2d groups=2")
    rules = write_rules(tmp_path, case.rules.replace("sizes = { groups = 2 }", ""))
    with pytest.raises(PlanError, match=r"sizes = \{ groups = NUMBER \}"):
        convert(randomise(case.torch()), case.keras(), rules)


def test_groups_that_do_not_divide_the_channels_are_an_error(tmp_path):
    case = next(case for case in CASES if case.name == "ConvTranspose2d groups=2")
    rules = write_rules(tmp_path, case.rules.replace("groups = 2", "groups = 3"))
    with pytest.raises(PlanError, match=r"\(4, 3, 3, 3\) does not split into 3 groups"):
        convert(randomise(case.torch()), case.keras(), rules)


def test_two_modules_that_fit_one_place_are_an_error(tmp_path):
    """A layout that finds two depthwise kernels below one module must not drop one of them."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(4, 4, 3, groups=4)
            self.depthwise = nn.Conv2d(4, 4, 3, groups=4)
            self.pointwise = nn.Conv2d(4, 7, 1)

    model = sequential((7, 7, 4), layers.SeparableConv2D(7, 3, name="layer"))
    rules = write_rules(tmp_path, LAYER.format(layout="separable_conv2d", more=""))
    with pytest.raises(PlanError, match="two source tensors fit one place") as failure:
        convert(nn.Sequential(Twice()), model, rules)
    assert "0.conv1.weight and 0.depthwise.weight" in str(failure.value)


def test_a_separable_pair_of_other_names_takes_a_layout_of_ones_own(tmp_path):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.spatial = nn.Conv2d(4, 4, 3, groups=4)
            self.mix = nn.Conv2d(4, 7, 1)

        def forward(self, x):
            return self.mix(self.spatial(x))

    rules = r"""
    [layouts.block]
    depthwise_kernel = { from = 'spatial\.weight', axes = "(c m) 1 h w -> h w c m" }
    pointwise_kernel = { from = 'mix\.weight', axes = "o i h w -> h w i o" }
    bias = { from = ['mix\.weight', 'spatial\.bias', 'mix\.bias'], op = "separable_bias" }
    [[rename]]
    match = '0'
    to = 'layer'
    layout = "block"
    """
    check_equal(
        Case(
            "own names",
            lambda: nn.Sequential(Block()),
            lambda: sequential((7, 7, 4), layers.SeparableConv2D(7, 3, name="layer")),
            rules,
            (4, 7, 7),
            True,
        ),
        tmp_path,
    )
