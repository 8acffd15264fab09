"""The timm side: the smallest architectures of every rule file, and all others that keras_hub converts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TimmCase:
    """One architecture.

    Args:
        rules: Bare name of the rule file below ``keras_hub/``.
        architecture: Its name in timm.
        size: Of the images; where it is odd, keras_hub pads otherwise at even sizes.
        apart: Bounds of the outputs' difference where it comes from something else than the weights.
        outputs: Whether outputs are compared too; they are once for every kind of block.
    """

    rules: str
    architecture: str
    size: int = 64
    apart: tuple[float, float] | None = None
    outputs: bool = True

    def __str__(self) -> str:
        return self.architecture


CASES = [
    TimmCase("resnet", "resnet18"),
    TimmCase("resnet", "resnet26", outputs=False),
    TimmCase("resnet_v2", "resnetv2_50"),
    TimmCase("densenet", "densenet121", 65, apart=(1e-8, 1e-4)),
    TimmCase("vgg", "vgg11"),
    TimmCase("mobilenet", "mobilenetv3_small_050"),
    TimmCase("mobilenet", "mobilenetv3_large_100", outputs=False),
    TimmCase("efficientnet", "efficientnet_b0"),
    TimmCase("efficientnet", "efficientnet_lite0", outputs=False),
    TimmCase("efficientnet_v2", "efficientnet_es", 65),
    TimmCase("efficientnet_v2", "efficientnetv2_rw_t", 65),
    TimmCase("cspnet", "cspresnet50", apart=(1e-11, 1e-6)),
    TimmCase("cspnet", "cspdarknet53", outputs=False),
    TimmCase("cspnet", "darknet53", outputs=False),
    TimmCase("hgnetv2", "hgnetv2_b0"),
]

OTHERS = {
    "resnet": ["resnet34", "resnet50", "resnet101", "resnet152"],
    "resnet_v2": ["resnetv2_101", "resnetv2_152"],
    "densenet": ["densenet169", "densenet201"],
    "vgg": ["vgg13", "vgg16", "vgg19"],
    "mobilenet": ["mobilenetv3_small_100"],
    "efficientnet": ["efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "efficientnet_b5"],
    "efficientnet_v2": ["efficientnet_em", "efficientnet_el", "efficientnetv2_rw_s", "efficientnetv2_rw_m"],
    "cspnet": ["cspresnext50"],
    "mobilenetv5": ["mobilenetv5_300m"],
    "hgnetv2": [f"hgnetv2_b{n}" for n in range(1, 7)],
}
