"""The mappings of the families' smallest members, written out by hand in numpy, apart from remap and its rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Table:
    """What each Keras variable has to be, by its last two path components.

    Args:
        state: A state_dict of numpy arrays.
        source_epsilon: Epsilon of torch's BatchNorms.
        target_epsilon: Epsilon of Keras's.
    """

    def __init__(self, state: Mapping[str, np.ndarray], source_epsilon: float, target_epsilon: float) -> None:
        self.state = state
        self.epsilons = source_epsilon, target_epsilon
        self.expected: dict[str, np.ndarray] = {}

    def put(self, name: str, value: np.ndarray) -> None:
        assert name not in self.expected, name
        self.expected[name] = value

    def _bias(self, layer: str, module: str) -> None:
        if f"{module}.bias" in self.state:
            self.put(f"{layer}/bias", self.state[f"{module}.bias"])

    def conv(self, layer: str, module: str, zero_bias: bool = False) -> None:
        kernel = self.state[f"{module}.weight"].transpose(2, 3, 1, 0)
        self.put(f"{layer}/kernel", kernel)
        self._bias(layer, module)
        if zero_bias:
            self.put(f"{layer}/bias", np.zeros(kernel.shape[-1]))

    def depthwise(self, layer: str, module: str) -> None:
        self.put(f"{layer}/kernel", self.state[f"{module}.weight"].transpose(2, 3, 0, 1))

    def separable(self, layer: str, depthwise: str, pointwise: str) -> None:
        self.put(f"{layer}/depthwise_kernel", self.state[f"{depthwise}.weight"].transpose(2, 3, 0, 1))
        self.put(f"{layer}/pointwise_kernel", self.state[f"{pointwise}.weight"].transpose(2, 3, 1, 0))

    def dense(self, layer: str, module: str) -> None:
        weight = self.state[f"{module}.weight"]
        self.put(f"{layer}/kernel", weight.reshape(weight.shape[:2]).T)
        self._bias(layer, module)

    def conv_from_dense(self, layer: str, module: str) -> None:
        self.put(f"{layer}/kernel", self.state[f"{module}.weight"].T[None, None])
        self._bias(layer, module)

    def norm(self, layer: str, module: str) -> None:
        self.put(f"{layer}/gamma", self.state[f"{module}.weight"])
        self.put(f"{layer}/beta", self.state[f"{module}.bias"])

    def bn(self, layer: str, module: str) -> None:
        gamma, variance = self.state[f"{module}.weight"], self.state[f"{module}.running_var"]
        source, target = self.epsilons
        if source != target:
            gamma = gamma * np.sqrt((variance + target) / (variance + source))
        self.put(f"{layer}/gamma", gamma)
        self.put(f"{layer}/beta", self.state[f"{module}.bias"])
        self.put(f"{layer}/moving_mean", self.state[f"{module}.running_mean"])
        self.put(f"{layer}/moving_variance", variance)

    def bn_without_gamma(self, layer: str, module: str) -> None:
        gamma, variance = self.state[f"{module}.weight"], self.state[f"{module}.running_var"]
        source, target = self.epsilons
        self.put(f"{layer}/beta", self.state[f"{module}.bias"])
        self.put(f"{layer}/moving_mean", self.state[f"{module}.running_mean"])
        self.put(f"{layer}/moving_variance", (variance + source) / gamma**2 - target)


def blocks_of(counts: tuple[int, ...], start: int = 0) -> Iterator[tuple[int, int]]:
    """Every stage and block, stages counted from ``start``."""
    for stage, count in enumerate(counts, start):
        for block in range(count):
            yield stage, block


def resnet50(t: Table) -> None:
    t.conv("conv1_conv", "conv1", zero_bias=True)
    t.bn("conv1_bn", "bn1")
    for stage, block in blocks_of((3, 4, 6, 3), 1):
        keras, torch = f"conv{stage + 1}_block{block + 1}", f"layer{stage}.{block}"
        for n in (1, 2, 3):
            t.conv(f"{keras}_{n}_conv", f"{torch}.conv{n}", zero_bias=True)
            t.bn(f"{keras}_{n}_bn", f"{torch}.bn{n}")
        if block == 0:
            t.conv(f"{keras}_0_conv", f"{torch}.downsample.0", zero_bias=True)
            t.bn(f"{keras}_0_bn", f"{torch}.downsample.1")
    t.dense("predictions", "fc")


def vgg16(t: Table) -> None:
    index = 0
    for block, count in enumerate((2, 2, 3, 3, 3), 1):
        for conv in range(1, count + 1):
            t.conv(f"block{block}_conv{conv}", f"features.{index}")
            index += 2
        index += 1
    weight = t.state["classifier.0.weight"].reshape(4096, 512, 7, 7)
    t.put("fc1/kernel", weight.transpose(2, 3, 1, 0).reshape(7 * 7 * 512, 4096))
    t.put("fc1/bias", t.state["classifier.0.bias"])
    t.dense("fc2", "classifier.3")
    t.dense("predictions", "classifier.6")


def densenet121(t: Table) -> None:
    t.conv("conv1_conv", "features.conv0")
    t.bn("conv1_bn", "features.norm0")
    for stage, block in blocks_of((6, 12, 24, 16), 1):
        keras, torch = f"conv{stage + 1}_block{block + 1}", f"features.denseblock{stage}.denselayer{block + 1}"
        t.bn(f"{keras}_0_bn", f"{torch}.norm1")
        t.conv(f"{keras}_1_conv", f"{torch}.conv1")
        t.bn(f"{keras}_1_bn", f"{torch}.norm2")
        t.conv(f"{keras}_2_conv", f"{torch}.conv2")
    for stage in (1, 2, 3):
        t.bn(f"pool{stage + 1}_bn", f"features.transition{stage}.norm")
        t.conv(f"pool{stage + 1}_conv", f"features.transition{stage}.conv")
    t.bn("bn", "features.norm5")
    t.dense("predictions", "classifier")


def mobilenet(t: Table) -> None:
    t.conv("conv1", "conv_stem")
    t.bn("conv1_bn", "bn1")
    for number, (stage, block) in enumerate(blocks_of((1, 2, 2, 6, 2)), 1):
        torch = f"blocks.{stage}.{block}"
        t.depthwise(f"conv_dw_{number}", f"{torch}.conv_dw")
        t.bn(f"conv_dw_{number}_bn", f"{torch}.bn1")
        t.conv(f"conv_pw_{number}", f"{torch}.conv_pw")
        t.bn(f"conv_pw_{number}_bn", f"{torch}.bn2")
    t.conv_from_dense("conv_preds", "classifier")


def mobilenet_v2(t: Table) -> None:
    t.conv("Conv1", "features.0.0")
    t.bn("bn_Conv1", "features.0.1")
    for number in range(1, 18):
        keras = "expanded_conv" if number == 1 else f"block_{number - 1}"
        torch, k = f"features.{number}.conv", 0
        if number > 1:
            t.conv(f"{keras}_expand", f"{torch}.0.0")
            t.bn(f"{keras}_expand_BN", f"{torch}.0.1")
            k = 1
        t.depthwise(f"{keras}_depthwise", f"{torch}.{k}.0")
        t.bn(f"{keras}_depthwise_BN", f"{torch}.{k}.1")
        t.conv(f"{keras}_project", f"{torch}.{k + 1}")
        t.bn(f"{keras}_project_BN", f"{torch}.{k + 2}")
    t.conv("Conv_1", "features.18.0")
    t.bn("Conv_1_bn", "features.18.1")
    t.dense("predictions", "classifier.1")


def mobilenetv2_100(t: Table) -> None:
    t.conv("Conv1", "conv_stem")
    t.bn("bn_Conv1", "bn1")
    for number, (stage, block) in enumerate(blocks_of((1, 2, 3, 4, 3, 3, 1))):
        keras, torch = f"block_{number}" if number else "expanded_conv", f"blocks.{stage}.{block}"
        t.depthwise(f"{keras}_depthwise", f"{torch}.conv_dw")
        if number:
            t.conv(f"{keras}_expand", f"{torch}.conv_pw")
            t.bn(f"{keras}_expand_BN", f"{torch}.bn1")
        t.bn(f"{keras}_depthwise_BN", f"{torch}.bn{2 if number else 1}")
        t.conv(f"{keras}_project", f"{torch}.conv_pw{'l' if number else ''}")
        t.bn(f"{keras}_project_BN", f"{torch}.bn{3 if number else 2}")
    t.conv("Conv_1", "conv_head")
    t.bn("Conv_1_bn", "bn2")
    t.dense("predictions", "classifier")


def mobilenet_v3_small(t: Table) -> None:
    t.conv("conv", "features.0.0")
    t.bn("conv_bn", "features.0.1")
    for number, squeezes in enumerate([True, False, False] + [True] * 8):
        keras = f"expanded_conv_{number}_" if number else "expanded_conv_"
        torch, k = f"features.{number + 1}.block", 0
        if number:
            t.conv(f"{keras}expand", f"{torch}.0.0")
            t.bn(f"{keras}expand_bn", f"{torch}.0.1")
            k = 1
        t.depthwise(f"{keras}depthwise", f"{torch}.{k}.0")
        t.bn(f"{keras}depthwise_bn", f"{torch}.{k}.1")
        if squeezes:
            k += 1
            t.conv(f"{keras}squeeze_excite_conv", f"{torch}.{k}.fc1")
            t.conv(f"{keras}squeeze_excite_conv_1", f"{torch}.{k}.fc2")
        t.conv(f"{keras}project", f"{torch}.{k + 1}.0")
        t.bn(f"{keras}project_bn", f"{torch}.{k + 1}.1")
    t.conv("conv_1", "features.12.0")
    t.bn("conv_1_bn", "features.12.1")
    t.conv_from_dense("conv_2", "classifier.0")
    t.conv_from_dense("logits", "classifier.3")


def tf_mobilenetv3_small_100(t: Table) -> None:
    _timm_mobilenet_v3(t, (1, 2, 3, 2, 3), squeezes=(0, *range(3, 11)))


def tf_mobilenetv3_small_minimal_100(t: Table) -> None:
    _timm_mobilenet_v3(t, (1, 2, 3, 2, 3), squeezes=())


def tf_mobilenetv3_large_100(t: Table) -> None:
    _timm_mobilenet_v3(t, (1, 2, 3, 4, 2, 3), squeezes=(3, 4, 5, *range(10, 15)))


def _timm_mobilenet_v3(t: Table, stages: tuple[int, ...], squeezes: tuple[int, ...]) -> None:
    t.conv("conv", "conv_stem")
    t.bn("conv_bn", "bn1")
    for number, (stage, block) in enumerate(blocks_of(stages)):
        keras, torch = f"expanded_conv_{number}_" if number else "expanded_conv_", f"blocks.{stage}.{block}"
        t.depthwise(f"{keras}depthwise", f"{torch}.conv_dw")
        if number:
            t.conv(f"{keras}expand", f"{torch}.conv_pw")
            t.bn(f"{keras}expand_bn", f"{torch}.bn1")
        t.bn(f"{keras}depthwise_bn", f"{torch}.bn{2 if number else 1}")
        if number in squeezes:
            t.conv(f"{keras}squeeze_excite_conv", f"{torch}.se.conv_reduce")
            t.conv(f"{keras}squeeze_excite_conv_1", f"{torch}.se.conv_expand")
        t.conv(f"{keras}project", f"{torch}.conv_pw{'l' if number else ''}")
        t.bn(f"{keras}project_bn", f"{torch}.bn{3 if number else 2}")
    t.conv("conv_1", f"blocks.{len(stages)}.0.conv")
    t.bn("conv_1_bn", f"blocks.{len(stages)}.0.bn1")
    t.conv("conv_2", "conv_head")
    t.conv_from_dense("logits", "classifier")


def _imagenet_normalization(t: Table) -> None:
    t.put("normalization/mean", np.array([0.485, 0.456, 0.406]))
    t.put("normalization/variance", np.array([0.052441, 0.050176, 0.050625]))
    t.put("normalization/count", np.array(0))


def efficientnet_b0(t: Table) -> None:
    _imagenet_normalization(t)
    t.conv("stem_conv", "features.0.0")
    t.bn("stem_bn", "features.0.1")
    for stage, block in blocks_of((1, 2, 2, 3, 3, 4, 1), 1):
        keras, torch = f"block{stage}{LETTERS[block]}", f"features.{stage}.{block}.block"
        k = 0
        if stage > 1:
            t.conv(f"{keras}_expand_conv", f"{torch}.0.0")
            t.bn(f"{keras}_expand_bn", f"{torch}.0.1")
            k = 1
        t.depthwise(f"{keras}_dwconv", f"{torch}.{k}.0")
        t.bn(f"{keras}_bn", f"{torch}.{k}.1")
        t.conv(f"{keras}_se_reduce", f"{torch}.{k + 1}.fc1")
        t.conv(f"{keras}_se_expand", f"{torch}.{k + 1}.fc2")
        t.conv(f"{keras}_project_conv", f"{torch}.{k + 2}.0")
        t.bn(f"{keras}_project_bn", f"{torch}.{k + 2}.1")
    t.conv("top_conv", "features.8.0")
    t.bn("top_bn", "features.8.1")
    t.dense("predictions", "classifier.1")


def _timm_ends(t: Table) -> None:
    t.conv("stem_conv", "conv_stem")
    t.bn("stem_bn", "bn1")
    t.conv("top_conv", "conv_head")
    t.bn("top_bn", "bn2")
    t.dense("predictions", "classifier")


def _timm_mbconv(t: Table, keras: str, torch: str, depthwise: str) -> None:
    t.conv(f"{keras}_expand_conv", f"{torch}.conv_pw")
    t.bn(f"{keras}_expand_bn", f"{torch}.bn1")
    t.depthwise(f"{keras}_{depthwise}", f"{torch}.conv_dw")
    t.bn(f"{keras}_bn", f"{torch}.bn2")
    t.conv(f"{keras}_se_reduce", f"{torch}.se.conv_reduce")
    t.conv(f"{keras}_se_expand", f"{torch}.se.conv_expand")
    t.conv(f"{keras}_project_conv", f"{torch}.conv_pwl")
    t.bn(f"{keras}_project_bn", f"{torch}.bn3")


def tf_efficientnet_b0(t: Table) -> None:
    _imagenet_normalization(t)
    _timm_ends(t)
    for stage, block in blocks_of((1, 2, 2, 3, 3, 4, 1)):
        keras, torch = f"block{stage + 1}{LETTERS[block]}", f"blocks.{stage}.{block}"
        if stage > 0:
            _timm_mbconv(t, keras, torch, "dwconv")
            continue
        t.depthwise(f"{keras}_dwconv", f"{torch}.conv_dw")
        t.bn(f"{keras}_bn", f"{torch}.bn1")
        t.conv(f"{keras}_se_reduce", f"{torch}.se.conv_reduce")
        t.conv(f"{keras}_se_expand", f"{torch}.se.conv_expand")
        t.conv(f"{keras}_project_conv", f"{torch}.conv_pw")
        t.bn(f"{keras}_project_bn", f"{torch}.bn2")


def efficientnet_v2_s(t: Table) -> None:
    t.conv("stem_conv", "features.0.0")
    t.bn("stem_bn", "features.0.1")
    for stage, block in blocks_of((2, 4, 4, 6, 9, 15), 1):
        keras, torch = f"block{stage}{LETTERS[block]}", f"features.{stage}.{block}.block"
        if stage > 1:
            t.conv(f"{keras}_expand_conv", f"{torch}.0.0")
            t.bn(f"{keras}_expand_bn", f"{torch}.0.1")
        if stage > 3:
            t.depthwise(f"{keras}_dwconv2", f"{torch}.1.0")
            t.bn(f"{keras}_bn", f"{torch}.1.1")
            t.conv(f"{keras}_se_reduce", f"{torch}.2.fc1")
            t.conv(f"{keras}_se_expand", f"{torch}.2.fc2")
        last = 0 if stage == 1 else 1 if stage < 4 else 3
        t.conv(f"{keras}_project_conv", f"{torch}.{last}.0")
        t.bn(f"{keras}_project_bn", f"{torch}.{last}.1")
    t.conv("top_conv", "features.7.0")
    t.bn("top_bn", "features.7.1")
    t.dense("predictions", "classifier.1")


def tf_efficientnetv2_b0(t: Table) -> None:
    _timm_ends(t)
    for stage, block in blocks_of((1, 2, 2, 3, 5, 8)):
        keras, torch = f"block{stage + 1}{LETTERS[block]}", f"blocks.{stage}.{block}"
        if stage == 0:
            t.conv(f"{keras}_project_conv", f"{torch}.conv")
            t.bn(f"{keras}_project_bn", f"{torch}.bn1")
        elif stage < 3:
            t.conv(f"{keras}_expand_conv", f"{torch}.conv_exp")
            t.bn(f"{keras}_expand_bn", f"{torch}.bn1")
            t.conv(f"{keras}_project_conv", f"{torch}.conv_pwl")
            t.bn(f"{keras}_project_bn", f"{torch}.bn2")
        else:
            _timm_mbconv(t, keras, torch, "dwconv2")


def _convnext_tiny(t: Table, torch: Callable[[str, int, int], str]) -> None:
    name = "convnext_tiny"
    t.conv(f"{name}_stem_conv", torch("stem.0", 0, 0))
    t.norm(f"{name}_stem_layernorm", torch("stem.1", 0, 0))
    for number, (stage, block) in enumerate(blocks_of((3, 3, 9, 3))):
        keras = f"{name}_stage_{stage}_block_{block}"
        t.conv(f"{keras}_depthwise_conv", torch("depthwise", stage, block))
        t.norm(f"{keras}_layernorm", torch("norm", stage, block))
        t.dense(f"{keras}_pointwise_conv_1", torch("fc1", stage, block))
        t.dense(f"{keras}_pointwise_conv_2", torch("fc2", stage, block))
        scale = "variable" if number == 0 else f"variable_{number}"
        t.put(f"{keras}_layer_scale/{scale}", t.state[torch("scale", stage, block)].ravel())
    for number in range(3):
        t.norm(f"{name}_downsampling_layernorm_{number}", torch("downsample.0", number + 1, 0))
        t.conv(f"{name}_downsampling_conv_{number}", torch("downsample.1", number + 1, 0))
    t.norm(f"{name}_head_layernorm", torch("head.norm", 0, 0))
    t.dense(f"{name}_head_dense", torch("head.fc", 0, 0))


def convnext_tiny(t: Table) -> None:
    fixed = {"stem.0": "features.0.0", "stem.1": "features.0.1", "head.norm": "classifier.0", "head.fc": "classifier.2"}
    inside = {"depthwise": "block.0", "norm": "block.2", "fc1": "block.3", "fc2": "block.5", "scale": "layer_scale"}

    def torch(what: str, stage: int, block: int) -> str:
        if what.startswith("downsample"):
            return f"features.{2 * stage}.{what[-1]}"
        return fixed.get(what) or f"features.{2 * stage + 1}.{block}.{inside[what]}"

    _convnext_tiny(t, torch)


def timm_convnext_tiny(t: Table) -> None:
    inside = {"depthwise": "conv_dw", "norm": "norm", "fc1": "mlp.fc1", "fc2": "mlp.fc2", "scale": "gamma"}

    def torch(what: str, stage: int, block: int) -> str:
        if what.startswith("downsample"):
            return f"stages.{stage}.{what}"
        return f"stages.{stage}.blocks.{block}.{inside[what]}" if what in inside else what

    _convnext_tiny(t, torch)


def resnetv2_50(t: Table) -> None:
    t.conv("conv1_conv", "stem.conv", zero_bias=True)
    for stage, block in blocks_of((3, 4, 6, 3)):
        keras, torch = f"conv{stage + 2}_block{block + 1}", f"stages.{stage}.blocks.{block}"
        t.bn(f"{keras}_preact_bn", f"{torch}.norm1")
        t.conv(f"{keras}_1_conv", f"{torch}.conv1")
        t.bn(f"{keras}_1_bn", f"{torch}.norm2")
        t.conv(f"{keras}_2_conv", f"{torch}.conv2")
        t.bn(f"{keras}_2_bn", f"{torch}.norm3")
        t.conv(f"{keras}_3_conv", f"{torch}.conv3", zero_bias=True)
        if block == 0:
            t.conv(f"{keras}_0_conv", f"{torch}.downsample.conv", zero_bias=True)
    t.bn("post_bn", "norm")
    t.dense("predictions", "head.fc")


def _numbered(base: str, number: int) -> str:
    return base if number == 0 else f"{base}_{number}"


def _in_order_of_creation(t: Table, modules: list[str]) -> None:
    """Convolutions and their BatchNorms that Keras numbers as it creates them."""
    for number, module in enumerate(modules):
        t.conv(_numbered("conv2d", number), f"{module}.conv")
        t.bn_without_gamma(_numbered("batch_normalization", number), f"{module}.bn")


def inception_v3(t: Table) -> None:
    double = ["3x3dbl_1", "3x3dbl_2", "3x3dbl_3"]
    sevens = ["1x1", "7x7_1", "7x7_2", "7x7_3", *(f"7x7dbl_{n}" for n in range(1, 6)), "_pool"]
    last = ["1x1", "3x3_1", "3x3_2a", "3x3_2b", "3x3dbl_1", "3x3dbl_2", "3x3dbl_3a", "3x3dbl_3b", "_pool"]
    branches = {
        **{f"5{x}": ["1x1", "5x5_1", "5x5_2", *double, "_pool"] for x in "bcd"},
        "6a": ["3x3", *double],
        **{f"6{x}": sevens for x in "bcde"},
        "7a": ["3x3_1", "3x3_2", *(f"7x7x3_{n}" for n in range(1, 5))],
        **{f"7{x}": last for x in "bc"},
    }
    stem = [f"Conv2d_{name}" for name in ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")]
    mixed = [f"Mixed_{block}.branch{branch}" for block, found in branches.items() for branch in found]
    _in_order_of_creation(t, stem + mixed)
    t.dense("predictions", "fc")


def legacy_xception(t: Table) -> None:
    for n in (1, 2):
        t.conv(f"block1_conv{n}", f"conv{n}")
        t.bn(f"block1_conv{n}_bn", f"bn{n}")
    skips = 0
    for block in range(1, 13):
        for conv in range(2 if block in (1, 2, 3, 12) else 3):
            at = 3 * conv + (block > 1)
            keras, torch = f"block{block + 1}_sepconv{conv + 1}", f"block{block}.rep"
            t.separable(keras, f"{torch}.{at}.conv1", f"{torch}.{at}.pointwise")
            t.bn(f"{keras}_bn", f"{torch}.{at + 1}")
        if block in (1, 2, 3, 12):
            t.conv(_numbered("conv2d", skips), f"block{block}.skip")
            t.bn(_numbered("batch_normalization", skips), f"block{block}.skipbn")
            skips += 1
    for n in (1, 2):
        t.separable(f"block14_sepconv{n}", f"conv{n + 2}.conv1", f"conv{n + 2}.pointwise")
        t.bn(f"block14_sepconv{n}_bn", f"bn{n + 2}")
    t.dense("predictions", "fc")


def inception_resnet_v2(t: Table) -> None:
    three = ["0", "1.0", "1.1", "2.0", "2.1", "2.2"]
    two = ["0", "1.0", "1.1"]
    blocks = [("mixed_5b", [*three, "3.1"])]
    blocks += [(f"repeat.{i}", three) for i in range(10)]
    blocks += [("mixed_6a", [*two, "1.2"])]
    blocks += [(f"repeat_1.{i}", two) for i in range(20)]
    blocks += [("mixed_7a", ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1", "2.2"])]
    blocks += [*((f"repeat_2.{i}", ["0", "1.0", "1.1"]) for i in range(9)), ("block8", ["0", "1.0", "1.1"])]
    ordered = [f"conv2d_{name}" for name in ("1a", "2a", "2b", "3b", "4a")]
    for block, branches in blocks:
        found = [*branches, "1.2"] if block.startswith(("repeat_1", "repeat_2", "block8")) else branches
        ordered += [f"{block}.branch{branch}" for branch in found]
    _in_order_of_creation(t, ordered)
    for i in range(10):
        t.conv(f"block35_{i + 1}_conv", f"repeat.{i}.conv2d")
        t.conv(f"block8_{i + 1}_conv", f"repeat_2.{i}.conv2d" if i < 9 else "block8.conv2d")
    for i in range(20):
        t.conv(f"block17_{i + 1}_conv", f"repeat_1.{i}.conv2d")
    t.conv("conv_7b", "conv2d_7b.conv")
    t.bn_without_gamma("conv_7b_bn", "conv2d_7b.bn")
    t.dense("predictions", "classif")


def nasnetalarge(t: Table) -> None:
    t.conv("stem_conv1", "conv0.conv")
    t.bn("stem_bn1", "conv0.bn")
    reduction = {"0_left": "left1", "0_right": "right1", "1_right": "right2", "2_right": "right3", "4_left": "left4"}
    normal = {"0_left": "left1", "0_right": "right1", "1_left": "left2", "1_right": "right2", "4_left": "left5"}
    cells = [("cell_stem_0", "reduction", "stem_1"), ("cell_stem_1", "reduction", "stem_2")]
    cells += [(f"cell_{i}", "normal", str(i if i < 6 else i + 1)) for i in range(18)]
    cells += [("reduction_cell_0", "reduction", "reduce_6"), ("reduction_cell_1", "reduction", "reduce_12")]
    for torch, kind, keras in cells:
        t.conv(f"{kind}_conv_1_{keras}", f"{torch}.conv_1x1.conv")
        t.bn(f"{kind}_bn_1_{keras}", f"{torch}.conv_1x1.bn")
        for branch, side in (reduction if kind == "reduction" else normal).items():
            for n in (1, 2):
                at = f"{torch}.comb_iter_{branch}"
                separable = f"{at}.separable_{n}"
                t.separable(
                    f"separable_conv_{n}_{kind}_{side}_{keras}",
                    f"{separable}.depthwise_conv2d",
                    f"{separable}.pointwise_conv2d",
                )
                t.bn(f"separable_conv_{n}_bn_{kind}_{side}_{keras}", f"{at}.bn_sep_{n}")
        if torch in ("cell_stem_1", "cell_0", "cell_6", "cell_12"):
            t.conv(f"adjust_conv_1_{keras}", f"{torch}.path_1.conv")
            t.conv(f"adjust_conv_2_{keras}", f"{torch}.path_2.conv")
            t.bn(f"adjust_bn_{keras}", f"{torch}.final_path_bn")
        elif torch != "cell_stem_0":
            t.conv(f"adjust_conv_projection_{keras}", f"{torch}.conv_prev_1x1.conv")
            t.bn(f"adjust_bn_{keras}", f"{torch}.conv_prev_1x1.bn")
    t.dense("predictions", "last_linear")
