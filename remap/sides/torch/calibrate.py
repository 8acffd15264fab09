"""BatchNorm statistics of real activations, for networks whose weights were drawn at random."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from remap.sides.feed import Feed
from remap.sides.framework import import_module
from remap.sides.torch.side import copied, run_outputs

CALIBRATION_SAMPLES = 4
"""Enough that a BatchNorm on a 1x1 map has a variance."""


def calibrated(network: Any, source: str, feeds: Sequence[Feed], seed: int) -> tuple[Any, dict[str, np.ndarray]]:
    """A copy of a network whose BatchNorm layers have the statistics of real activations, and those statistics.

    Args:
        network: The module.
        source: How messages call it.
        feeds: Inputs of the kind that it takes; floating ones are drawn anew, a few samples at once,
            with their mean and spread.
        seed: For drawing.
    """
    torch = import_module("torch")
    network = copy.deepcopy(network).float()
    norms = {
        path: module
        for path, module in network.named_modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    }
    for module in norms.values():
        module.train()
        module.momentum = 1.0
    run_outputs(network, source, [_enlarged(feed, seed) for feed in feeds])
    network.eval()
    statistics = {
        f"{path}.{name}" if path else name: copied(getattr(module, name))
        for path, module in norms.items()
        for name in ("running_mean", "running_var")
    }
    return network, statistics


def _enlarged(feed: Feed, seed: int) -> Feed:
    array = feed.torch
    shape = (max(CALIBRATION_SAMPLES, array.shape[0]), *array.shape[1:])
    if array.dtype.kind == "f":
        drawn = array.mean() + array.std() * np.random.default_rng(seed).standard_normal(shape)
        drawn = drawn.astype(array.dtype)
    else:
        drawn = np.resize(array, shape)
    return dataclasses.replace(feed, torch=drawn)
