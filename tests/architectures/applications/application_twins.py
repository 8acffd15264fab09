"""PyTorch models made to compute what keras.applications computes, where only padding or strides differ."""

from __future__ import annotations

from functools import partial
from types import MethodType
from typing import Any


def as_it_is(model: Any) -> None:
    """Nothing to change."""


def stride_in_first(model: Any) -> None:
    """ResNet v1: the stride of each bottleneck moves from its 3x3 convolution to the 1x1 before it."""
    for stage in (model.layer2, model.layer3, model.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)


def last_block_strides(model: Any) -> None:
    """ResNetV2: each stage but the last strides in its last block, and the first pooling pads with zeros."""

    def strided(self: Any, x: Any) -> Any:
        kept = x[:, :, ::2, ::2]
        x = self.conv1(self.norm1(x))
        return self.conv3(self.norm3(self.conv2(self.norm2(x)))) + kept

    for stage in model.stages[1:]:
        block = stage.blocks[0]
        block.conv2.stride = block.downsample.conv.stride = (1, 1)
    for stage in model.stages[:-1]:
        block = stage.blocks[-1]
        block.conv2.stride = (2, 2)
        block.forward = MethodType(strided, block)
    zeros_in_first_pooling(model)


def pad_behind(model: Any) -> None:
    """Convolutions of stride 2 pad one row and column behind and none before, whatever the size."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d) and module.stride == (2, 2):
            module.padding = (0, 0)
            module.register_forward_pre_hook(lambda _, inputs: torch.nn.functional.pad(inputs[0], (0, 1, 0, 1)))


def padding_not_counted(model: Any) -> None:
    """Inception: average pooling leaves its padding out of the mean."""
    from torch.nn import functional

    def uncounted(self: Any, x: Any) -> Any:
        counted = functional.avg_pool2d
        functional.avg_pool2d = partial(counted, count_include_pad=False)
        try:
            return type(self).forward(self, x)
        finally:
            functional.avg_pool2d = counted

    for name, block in model.named_children():
        if name.startswith("Mixed_"):
            block.forward = MethodType(uncounted, block)


def zeros_in_first_pooling(model: Any) -> None:
    """ResNetV2: the first pooling pads with zeros."""
    import torch

    model.stem.pool = torch.nn.Sequential(torch.nn.ZeroPad2d(1), torch.nn.MaxPool2d(3, 2))


def zeros_before_pooling(model: Any) -> None:
    """NASNet: max pooling pads with zeros."""
    import torch
    from timm.layers.pool2d_same import MaxPool2dSame, pad_same

    def pooled(self: Any, x: Any) -> Any:
        return torch.nn.functional.max_pool2d(pad_same(x, self.kernel_size, self.stride), self.kernel_size, self.stride)

    for module in model.modules():
        if isinstance(module, MaxPool2dSame):
            module.forward = MethodType(pooled, module)
