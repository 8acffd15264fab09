"""Tensors computed before any rule sees them: weight norm, spectral norm, BatchNorm folded into what is before it."""

import numpy as np
import pytest
import torch
from keras import layers
from layer_parity import Case, check_equal, planned, sequential, write_rules
from torch import nn
from torch.nn.utils import parametrizations as new
from torch.nn.utils import spectral_norm, weight_norm

from remap.errors import PlanError

WEIGHT_NORM_OLD = r"""
[[derive]]
op = "weight_norm"
from = { g = '(?P<module>.*)\.weight_g', v = '(?P<module>.*)\.weight_v' }
to = '{module}.weight'
"""
WEIGHT_NORM_NEW = r"""
[[derive]]
op = "weight_norm"
from.g = '(?P<module>.*)\.parametrizations\.weight\.original0'
from.v = '(?P<module>.*)\.parametrizations\.weight\.original1'
to = '{module}.weight'
"""
SPECTRAL_NORM_OLD = r"""
[[derive]]
op = "spectral_norm"
from = { weight = '(?P<module>.*)\.weight_orig', u = '(?P<module>.*)\.weight_u', v = '(?P<module>.*)\.weight_v' }
to = '{module}.weight'
"""
SPECTRAL_NORM_NEW = r"""
[[derive]]
op = "spectral_norm"
from.weight = '(?P<module>.*)\.parametrizations\.weight\.original'
from.u = '(?P<module>.*)\.parametrizations\.weight\.0\._u'
from.v = '(?P<module>.*)\.parametrizations\.weight\.0\._v'
to = '{module}.weight'
"""
DIM_1 = "options = { dim = 1 }\n"
LAYER = "[[rename]]\nmatch = '0'\nto = 'layer'\nlayout = '{layout}'\n"


def normed(name, module, layer, layout, input, derive, channels=True):
    shape = (*input[1:], input[0]) if channels else input
    return Case(
        name,
        lambda: nn.Sequential(module()),
        lambda: sequential(shape, layer()),
        derive + LAYER.format(layout=layout),
        input,
        channels,
    )


def conv():
    return nn.Conv2d(4, 6, 3)


def keras_conv():
    return layers.Conv2D(6, 3, name="layer")


CASES = [
    normed("weight norm, old form", lambda: weight_norm(conv()), keras_conv, "conv2d", (4, 7, 7), WEIGHT_NORM_OLD),
    normed("weight norm, new form", lambda: new.weight_norm(conv()), keras_conv, "conv2d", (4, 7, 7), WEIGHT_NORM_NEW),
    normed(
        "weight norm of a ConvTranspose1d, axis 0 is its input",
        lambda: weight_norm(nn.ConvTranspose1d(4, 6, 4)),
        lambda: layers.Conv1DTranspose(6, 4, name="layer"),
        "conv1d_transpose",
        (4, 7),
        WEIGHT_NORM_OLD,
    ),
    *(
        normed(
            f"weight norm of a Linear, one norm for all, {form} form",
            lambda norm=norm: norm(nn.Linear(4, 6), dim=None),
            lambda: layers.Dense(6, name="layer"),
            "dense",
            (4,),
            derive,
            channels=False,
        )
        for form, norm, derive in (("old", weight_norm, WEIGHT_NORM_OLD), ("new", new.weight_norm, WEIGHT_NORM_NEW))
    ),
    normed(
        "weight norm along axis 1",
        lambda: new.weight_norm(nn.Linear(4, 6), dim=1),
        lambda: layers.Dense(6, name="layer"),
        "dense",
        (4,),
        WEIGHT_NORM_NEW,
        channels=False,
    ),
    normed(
        "spectral norm, old form", lambda: spectral_norm(conv()), keras_conv, "conv2d", (4, 7, 7), SPECTRAL_NORM_OLD
    ),
    normed(
        "spectral norm, new form", lambda: new.spectral_norm(conv()), keras_conv, "conv2d", (4, 7, 7), SPECTRAL_NORM_NEW
    ),
    *(
        normed(
            f"spectral norm of a ConvTranspose2d, {form} form",
            lambda norm=norm: norm(nn.ConvTranspose2d(4, 6, 3)),
            lambda: layers.Conv2DTranspose(6, 3, name="layer"),
            "conv2d_transpose",
            (4, 5, 6),
            derive + DIM_1,
        )
        for form, norm, derive in (
            ("old", spectral_norm, SPECTRAL_NORM_OLD),
            ("new", new.spectral_norm, SPECTRAL_NORM_NEW),
        )
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_normed_layer_gives_equal_outputs(case, tmp_path):
    plan = check_equal(case, tmp_path)
    assert len(plan.derived_from) in (2, 3)


FOLD = r"""
[[derive]]
op = "fold_batchnorm_kernel"
from = { weight = '0\.weight', variance = '1\.running_var', gamma = '1\.weight' }
to = 'folded.weight'
{kernel}

[[derive]]
op = "fold_batchnorm_bias"
from.mean = '1\.running_mean'
from.variance = '1\.running_var'
from.gamma = '1\.weight'
from.beta = '1\.bias'
from.bias = '0\.bias'
to = 'folded.bias'
{bias}

[[rename]]
match = 'folded'
to = 'layer'
layout = "{layout}"

[[ignore]]
match = '1\.num_batches_tracked'
reason = "Keras keeps no such counter"
"""


def folded(name, module, norm, layer, layout, input, kernel="", bias=""):
    return Case(
        name,
        lambda: nn.Sequential(module(), norm()),
        lambda: sequential((*input[1:], input[0]) if len(input) > 1 else input, layer()),
        FOLD.replace("{kernel}", kernel).replace("{bias}", bias).replace("{layout}", layout),
        input,
        len(input) > 1,
    )


FOLDED = [
    folded("into a convolution", conv, lambda: nn.BatchNorm2d(6), keras_conv, "conv2d", (4, 7, 7)),
    folded(
        "into a convolution without bias",
        lambda: nn.Conv2d(4, 6, 3, bias=False),
        lambda: nn.BatchNorm2d(6),
        keras_conv,
        "conv2d",
        (4, 7, 7),
    ),
    folded("without affine", conv, lambda: nn.BatchNorm2d(6, affine=False), keras_conv, "conv2d", (4, 7, 7)),
    folded(
        "of another epsilon",
        conv,
        lambda: nn.BatchNorm2d(6, eps=1e-1),
        keras_conv,
        "conv2d",
        (4, 7, 7),
        "options = { epsilon = 1e-1 }",
        "options = { epsilon = 1e-1 }",
    ),
    folded(
        "into a dense layer",
        lambda: nn.Linear(5, 7),
        lambda: nn.BatchNorm1d(7),
        lambda: layers.Dense(7, name="layer"),
        "dense",
        (5,),
    ),
    folded(
        "into a transposed convolution",
        lambda: nn.ConvTranspose2d(4, 6, 3),
        lambda: nn.BatchNorm2d(6),
        lambda: layers.Conv2DTranspose(6, 3, name="layer"),
        "conv2d_transpose",
        (4, 5, 6),
        "options = { dim = 1 }",
    ),
    folded(
        "into a depthwise convolution",
        lambda: nn.Conv2d(4, 8, 3, groups=4),
        lambda: nn.BatchNorm2d(8),
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, name="layer"),
        "depthwise_conv2d",
        (4, 7, 7),
    ),
]


@pytest.mark.parametrize("case", FOLDED, ids=str)
def test_a_batch_norm_folds_into_the_layer_before_it(case, tmp_path):
    check_equal(case, tmp_path)


IDENTITY = """
[[rename]]
match = '0'
to = 'conv'
layout = "conv2d"

[[fill]]
match = 'norm/.*'
value = "identity"
reason = "PyTorch has no BatchNorm here"
"""


@pytest.mark.parametrize("epsilon", [1e-3, 1e-5, 0.5])
@pytest.mark.parametrize("affine", [True, False])
def test_a_batch_norm_that_only_keras_has_becomes_the_identity(epsilon, affine, tmp_path):
    case = Case(
        "identity",
        lambda: nn.Sequential(conv()),
        lambda: sequential(
            (7, 7, 4),
            layers.Conv2D(6, 3, name="conv"),
            layers.BatchNormalization(
                epsilon=epsilon, scale=affine, center=affine, beta_initializer="ones", name="norm"
            ),
        ),
        IDENTITY,
        (4, 7, 7),
        True,
    )
    plan = check_equal(case, tmp_path)
    variance = next(a for a in plan.assignments if a.name == "norm/moving_variance")
    np.testing.assert_array_equal(variance.value.array(), np.full(6, 1 - epsilon, np.float32))
    assert variance.kind == "filled"
    assert variance.reason == "PyTorch has no BatchNorm here"


@pytest.mark.parametrize(
    "layer", [layers.Conv2D(6, 1, name="norm"), layers.Dense(6, name="norm")], ids=["conv", "dense"]
)
def test_a_mapping_of_channels_that_only_keras_has_becomes_the_identity(layer, tmp_path):
    case = Case(
        "identity",
        lambda: nn.Sequential(conv()),
        lambda: sequential((7, 7, 4), layers.Conv2D(6, 3, name="conv"), layer),
        IDENTITY,
        (4, 7, 7),
        True,
    )
    check_equal(case, tmp_path)


@pytest.mark.parametrize(
    ("layer", "variable"),
    [
        (layers.LayerNormalization(name="norm"), "norm/gamma"),
        (layers.Conv2D(6, 3, name="norm"), "norm/kernel"),
        (layers.Dense(5, name="norm"), "norm/kernel"),
    ],
    ids=["norm", "conv", "dense"],
)
def test_other_layers_cannot_be_made_the_identity(layer, variable, tmp_path):
    case = Case(
        "",
        lambda: nn.Sequential(conv()),
        lambda: sequential((7, 7, 4), layers.Conv2D(6, 3, name="conv"), layer),
        IDENTITY,
        (4, 7, 7),
    )
    with pytest.raises(PlanError, match="the variable cannot be made the identity") as failure:
        planned(case.torch(), case.keras(), write_rules(tmp_path, case.rules))
    assert variable in str(failure.value)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (WEIGHT_NORM_OLD.replace("v = '(?P<module>.*)\\.weight_v'", "v = 'nothing'"), "missing v"),
        (WEIGHT_NORM_OLD.replace("'{module}.weight'", "'0.bias'"), "takes the name of one that is there"),
        (WEIGHT_NORM_OLD + WEIGHT_NORM_OLD, "a tensor is derived twice"),
        (WEIGHT_NORM_OLD + WEIGHT_NORM_NEW, "a rule matches nothing"),
    ],
    ids=["an input is missing", "name taken", "twice", "idle"],
)
def test_mistakes_in_derive(rules, message, tmp_path):
    with pytest.raises(PlanError, match=message):
        planned(
            nn.Sequential(weight_norm(conv())),
            sequential((7, 7, 4), keras_conv()),
            write_rules(tmp_path, rules + LAYER.format(layout="conv2d")),
        )


def test_an_optional_derive_may_match_nothing(tmp_path):
    rules = WEIGHT_NORM_NEW + "optional = true\n" + LAYER.format(layout="conv2d")
    case = Case(
        "plain", lambda: nn.Sequential(conv()), lambda: sequential((7, 7, 4), keras_conv()), rules, (4, 7, 7), True
    )
    check_equal(case, tmp_path)


def test_an_input_that_other_rules_read_too_is_kept(tmp_path):
    """A pointwise kernel makes the bias of a separable convolution and is moved itself."""
    rules = r"""
[[derive]]
op = "separable_bias"
from = { pointwise = 'mix\.weight', depthwise_bias = 'space\.bias', bias = 'mix\.bias' }
to = 'joined_bias'
keep = ["pointwise"]
[[rename]]
match = 'space\.weight'
to = 'layer/depthwise_kernel'
axes = "(c m) 1 h w -> h w c m"
[[rename]]
match = 'mix\.weight'
to = 'layer/pointwise_kernel'
axes = "o i h w -> h w i o"
[[rename]]
match = 'joined_bias'
to = 'layer/bias'
"""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.space, self.mix = nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 7, 1)

        def forward(self, x):
            return self.mix(self.space(x))

    case = Case(
        "", Block, lambda: sequential((7, 7, 4), layers.SeparableConv2D(7, 3, name="layer")), rules, (4, 7, 7), True
    )
    check_equal(case, tmp_path)
    without = write_rules(tmp_path, rules.replace('keep = ["pointwise"]', ""))
    with pytest.raises(PlanError, match="a rule matches nothing"):
        planned(Block(), case.keras(), without)


def test_weight_norm_computes_in_float64(tmp_path):
    """A half-precision checkpoint is normed without loss and rounded once, to the target's float32."""
    module = nn.Sequential(weight_norm(nn.Linear(300, 5, bias=False)))
    with torch.no_grad():
        module[0].weight_v.copy_(torch.randn(5, 300) * 100)
    half = module.half()
    plan = planned(
        half,
        sequential((300,), layers.Dense(5, use_bias=False, name="layer")),
        write_rules(tmp_path, WEIGHT_NORM_OLD + LAYER.format(layout="dense")),
    )
    g, v = (half[0].state_dict()[key].double().numpy() for key in ("weight_g", "weight_v"))
    expected = (g * v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32).T
    np.testing.assert_array_equal(plan.assignments[0].value.array(), expected)


OPS = r"""
[layouts.conv_norm]
bias = { from = ['1\.running_mean', '1\.running_var', '1\.weight', '1\.bias', '0\.bias'], op = "fold_batchnorm_bias" }
[layouts.conv_norm.kernel]
from = ['0\.weight', '1\.running_var', '1\.weight']
op = "fold_batchnorm_kernel"
axes = "o i h w -> h w i o"
[layouts.normed]
kernel = { from = ["weight_g", "weight_v"], op = "weight_norm", axes = "o i -> i o" }
bias = "bias"
[[rename]]
match = '0'
to = 'conv'
layout = "conv_norm"
[[rename]]
match = '2'
to = 'dense'
layout = "normed"
[[ignore]]
match = '.*\.num_batches_tracked'
reason = "Keras keeps no such counter"
"""


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layout_may_name_the_operations_itself(affine, bias, tmp_path):
    """Two modules into one layer without a derived tensor between; what is optional may lack."""
    case = Case(
        "op",
        lambda: nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 4, 3, bias=bias), nn.BatchNorm2d(4, affine=affine)),
            nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            weight_norm(nn.Linear(4, 5)),
        ),
        lambda: sequential(
            (7, 7, 3),
            layers.Conv2D(4, 3, name="conv"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, name="dense"),
        ),
        OPS,
        (3, 7, 7),
        True,
    )
    check_equal(case, tmp_path)
