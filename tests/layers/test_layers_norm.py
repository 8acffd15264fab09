"""Normalisation of every kind: equal outputs, and what is said where weights cannot make them equal."""

import numpy as np
import pytest
import torch
from keras import layers
from layer_parity import (
    TOLERANCE,
    Case,
    check_equal,
    convert,
    planned,
    randomise,
    relative_difference,
    sequential,
    write_rules,
)
from torch import nn

from remap.errors import PlanError

RULES = """
[batchnorm]
{told}on_mismatch = "{mismatch}"
[[rename]]
match = '0'
to = 'layer'
layout = "{layout}"
{more}
[[ignore]]
match = '.*\\.num_batches_tracked'
reason = "Keras keeps no such counter"
optional = true
"""


def one(name, module, layer, layout, input, more="", channels=True, mismatch="error", **case):
    shape = (*input[1:], input[0]) if channels and len(input) > 1 else input
    return Case(
        name,
        lambda: nn.Sequential(module()),
        lambda: sequential(shape, layer()),
        RULES.format(
            layout=layout, more=more, mismatch=mismatch, told="source_epsilon = 1e-5\n" if mismatch == "fold" else ""
        ),
        input,
        channels and len(input) > 1,
        **case,
    )


def bn(name, module, input, epsilon=1e-5, layout="batch_normalization", more="", mismatch="error", **settings):
    return one(
        name,
        module,
        lambda: layers.BatchNormalization(epsilon=epsilon, name="layer", **settings),
        layout,
        input,
        more,
        mismatch=mismatch,
    )


class SmallVariances(nn.BatchNorm2d):
    """Variances from 1e-8 to 1: where an epsilon matters most."""

    def __init__(self, channels):
        super().__init__(channels)
        self.spread = torch.logspace(-8, 0, channels)

    def forward(self, x):
        self.running_var.copy_(self.spread)
        return super().forward(x)


CASES = [
    bn("BatchNorm1d [N,C]", lambda: nn.BatchNorm1d(5), (5,)),
    bn("BatchNorm1d [N,C,L]", lambda: nn.BatchNorm1d(5), (5, 7)),
    bn("BatchNorm2d", lambda: nn.BatchNorm2d(5), (5, 4, 6)),
    bn("BatchNorm3d", lambda: nn.BatchNorm3d(5), (5, 3, 4, 6)),
    bn("SyncBatchNorm", lambda: nn.SyncBatchNorm(5), (5, 4, 6)),
    bn("epsilon 1e-5 into 1e-3", lambda: nn.BatchNorm2d(5), (5, 4, 6), 1e-3, mismatch="fold"),
    bn(
        "epsilon into a layer without gamma",
        lambda: nn.BatchNorm2d(5, affine=False),
        (5, 4, 6),
        1e-4,
        mismatch="fold",
        scale=False,
        center=False,
    ),
    bn("affine=False", lambda: nn.BatchNorm2d(5, affine=False), (5, 4, 6), scale=False, center=False),
    bn(
        "affine=False into Keras's own affine",
        lambda: nn.BatchNorm2d(5, affine=False),
        (5, 4, 6),
        more="fill = ['gamma', 'beta']",
        gamma_initializer="zeros",
        beta_initializer="ones",
    ),
    bn(
        "affine=False into Keras's own affine, epsilon folded",
        lambda: nn.BatchNorm2d(5, affine=False),
        (5, 4, 6),
        1e-3,
        more="fill = ['gamma', 'beta']",
        mismatch="fold",
        beta_initializer="ones",
    ),
    bn(
        "gamma into the variance",
        lambda: nn.BatchNorm2d(5),
        (5, 4, 6),
        layout="batch_normalization_without_gamma",
        scale=False,
    ),
    bn(
        "gamma and epsilon into the variance",
        lambda: nn.BatchNorm2d(5),
        (5, 4, 6),
        1e-4,
        layout="batch_normalization_without_gamma",
        mismatch="fold",
        scale=False,
    ),
    bn(
        "InstanceNorm2d with tracked statistics",
        lambda: nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
        (6, 4, 5),
    ),
    one(
        "LayerNorm",
        lambda: nn.LayerNorm(6),
        lambda: layers.LayerNormalization(epsilon=1e-5, name="layer"),
        "layer_normalization",
        (4, 6),
        channels=False,
    ),
    one(
        "LayerNorm bias=False",
        lambda: nn.LayerNorm(6, bias=False),
        lambda: layers.LayerNormalization(epsilon=1e-5, center=False, name="layer"),
        "layer_normalization",
        (4, 6),
        channels=False,
    ),
    one(
        "LayerNorm bias=False into a layer with one",
        lambda: nn.LayerNorm(6, bias=False),
        lambda: layers.LayerNormalization(epsilon=1e-5, beta_initializer="ones", name="layer"),
        "layer_normalization",
        (4, 6),
        "fill = ['beta']",
        channels=False,
    ),
    one(
        "LayerNorm([C,H,W])",
        lambda: nn.LayerNorm([3, 4, 5]),
        lambda: layers.LayerNormalization(axis=[1, 2, 3], epsilon=1e-5, name="layer"),
        "layer_normalization_of_images",
        (3, 4, 5),
    ),
    *(
        one(
            f"GroupNorm({groups},6)",
            lambda groups=groups: nn.GroupNorm(groups, 6),
            lambda groups=groups: layers.GroupNormalization(groups, epsilon=1e-5, name="layer"),
            "group_normalization",
            (6, 4, 5),
        )
        for groups in (3, 1)
    ),
    *(
        one(
            f"InstanceNorm{len(input) - 1}d(affine)",
            lambda kind=kind: kind(6, affine=True),
            lambda: layers.GroupNormalization(-1, epsilon=1e-5, name="layer"),
            "group_normalization",
            input,
        )
        for kind, input in (
            (nn.InstanceNorm1d, (6, 7)),
            (nn.InstanceNorm2d, (6, 4, 5)),
            (nn.InstanceNorm3d, (6, 3, 4, 5)),
        )
    ),
    one(
        "RMSNorm",
        lambda: nn.RMSNorm(6, eps=1e-6),
        lambda: layers.RMSNormalization(epsilon=1e-6, name="layer"),
        "rms_normalization",
        (4, 6),
        channels=False,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_layer_gives_equal_outputs(case, tmp_path):
    plan = check_equal(case, tmp_path)
    assert not plan.warnings


class OffsetRMSNorm(nn.Module):
    """Scales by 1 + weight, as Gemma does."""

    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)


def test_rms_norm_that_scales_by_one_plus_weight(tmp_path):
    check_equal(
        one(
            "1 + weight",
            lambda: OffsetRMSNorm(6),
            lambda: layers.RMSNormalization(epsilon=1e-6, name="layer"),
            "rms_normalization_of_offset",
            (4, 6),
            channels=False,
        ),
        tmp_path,
    )


def test_instance_norm_without_affine_has_nothing_to_convert():
    case = one("InstanceNorm2d", lambda: nn.InstanceNorm2d(6), None, "", (6, 4, 5))
    model = sequential((4, 5, 6), layers.GroupNormalization(-1, epsilon=1e-5, center=False, scale=False))
    module = nn.InstanceNorm2d(6).eval()
    assert not module.state_dict() and not model.variables
    assert relative_difference(case, module, model) <= TOLERANCE


@pytest.mark.parametrize(
    ("mismatch", "small"), [("fold", True), ("accept", False)], ids=["folded, equal", "accepted, wrong"]
)
def test_small_variances_show_an_epsilon_that_is_not_folded(mismatch, small, tmp_path):
    case = bn("small", lambda: SmallVariances(9), (9, 4, 6), 1e-3, mismatch=mismatch)
    module, model = randomise(case.torch()), case.keras()
    module(torch.zeros(1, 9, 2, 2))
    plan = convert(module, model, write_rules(tmp_path, case.rules))
    difference = relative_difference(case, module, model)
    assert difference <= TOLERANCE if small else difference > 0.1
    assert [(m.layer, m.source, m.target, m.action) for m in plan.epsilons] == [("layer", 1e-5, 1e-3, mismatch)]


def test_an_epsilon_that_differs_is_an_error_unless_the_file_says_what_to_do(tmp_path):
    case = bn("error", lambda: nn.BatchNorm2d(5), (5, 4, 6), 1e-3)
    with pytest.raises(PlanError, match="BatchNorm epsilons differ") as failure:
        planned(case.torch(), case.keras(), write_rules(tmp_path, case.rules))
    assert "source 1e-05, target 0.001" in str(failure.value)


@pytest.mark.parametrize("gamma", [-1.0, 0.0])
def test_a_gamma_that_is_not_positive_does_not_fit_into_a_variance(gamma, tmp_path):
    case = next(case for case in CASES if case.name == "gamma into the variance")
    module, model = randomise(case.torch()), case.keras()
    with torch.no_grad():
        module[0].weight[2] = gamma
    with pytest.raises(PlanError, match="the variance cannot take up gamma") as failure:
        convert(module, model, write_rules(tmp_path, case.rules))
    assert "1 channels, first 2" in str(failure.value)
    assert "fold_batchnorm_kernel" in str(failure.value)


def test_statistics_that_were_not_tracked_are_missed_and_no_constant_stands_for_them(tmp_path):
    """PyTorch then uses those of the batch, which Keras does only while training."""
    case = bn("untracked", lambda: nn.BatchNorm2d(5, track_running_stats=False), (5, 4, 6))
    module, model = randomise(case.torch()), case.keras()
    with pytest.raises(PlanError, match="no rule writes a variable of the model") as failure:
        planned(module, model, write_rules(tmp_path, case.rules))
    assert "layer/moving_mean" in str(failure.value)
    assert "layer/moving_variance" in str(failure.value)
    kept = case.rules + "[[keep]]\nmatch = 'layer/moving_.*'\nreason = 'the model is called with training=True'\n"
    convert(module, model, write_rules(tmp_path, kept))
    assert relative_difference(case, module, model) > 1e-2
    training = Case("", case.torch, case.keras, kept, (5, 4, 6), True, call=lambda m, x: m(x, training=True))
    assert relative_difference(training, module, model) <= TOLERANCE


@pytest.mark.parametrize(
    ("module", "layer", "layout", "more", "told"),
    [
        (lambda: nn.LayerNorm(6), layers.LayerNormalization, "layer_normalization", "", "PyTorch's default is 1e-5"),
        (
            lambda: nn.LayerNorm(6, eps=1e-6),
            layers.LayerNormalization,
            "layer_normalization",
            "epsilon = 1e-6",
            "the rule says 1e-06",
        ),
        (
            lambda: nn.GroupNorm(2, 6),
            lambda **settings: layers.GroupNormalization(2, **settings),
            "group_normalization",
            "",
            "PyTorch's default is 1e-5",
        ),
        (
            lambda: nn.RMSNorm(6, eps=1e-2),
            lambda **settings: layers.RMSNormalization(epsilon=1e-6, **settings),
            "rms_normalization",
            "epsilon = 1e-2",
            "the rule says 0.01",
        ),
    ],
    ids=["LayerNorm", "LayerNorm with the rule's epsilon", "GroupNorm", "RMSNorm with the rule's epsilon"],
)
def test_an_epsilon_that_weights_cannot_make_up_for_is_warned_of(module, layer, layout, more, told, tmp_path):
    """Outputs differ and stay different; the plan says so."""
    case = one("", module, lambda: layer(name="layer"), layout, (6,), more, channels=False)
    torch_side, model = randomise(case.torch()), case.keras()
    plan = convert(torch_side, model, write_rules(tmp_path, case.rules))
    assert len(plan.warnings) == 1
    assert plan.warnings[0].startswith("layer: epsilon") and told in plan.warnings[0]
    assert relative_difference(case, torch_side, model) > TOLERANCE


def test_rms_norm_without_epsilon_uses_that_of_the_dtype(tmp_path):
    """finfo(float32).eps against 1e-6: small, but float64 shows that it is not equal."""
    case = one(
        "",
        lambda: nn.RMSNorm(6),
        lambda: layers.RMSNormalization(epsilon=1e-6, name="layer"),
        "rms_normalization",
        (4, 6),
        f"epsilon = {np.finfo(np.float32).eps}",
        channels=False,
    )
    module, model = randomise(case.torch()), case.keras()
    plan = convert(module, model, write_rules(tmp_path, case.rules))
    assert "the rule says 1.19209e-07" in plan.warnings[0]
    assert relative_difference(case, module, model) <= TOLERANCE
