"""Tiny checkpoint folders as transformers and timm lay them out, with random weights."""

from __future__ import annotations

import json
import math
from pathlib import Path

import timm
import torch
import transformers
from safetensors.torch import load_file, save_file


def fill_randomly(
    model: torch.nn.Module, seed: int = 0, dtype: torch.dtype = torch.float32, zeros: tuple[str, ...] = ()
) -> None:
    """Give every tensor values of its own: weights that keep signals in size, scales near one, variances positive.

    Args:
        model: The model.
        seed: Of the generator.
        dtype: An element type that the values are exact in.
        zeros: Parts of names of tensors that are set to zero instead.
    """
    generator = torch.Generator().manual_seed(seed)
    # frequencies, and buffers that are not saved, are computed from the configuration
    own = {name for name in model.state_dict() if not name.endswith("inv_freq")}
    with torch.no_grad():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if not tensor.is_floating_point() or name not in own:
                continue
            if any(part in name for part in zeros):
                tensor.zero_()
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                values = noise.abs() + 0.5
            elif name.endswith(("_min", "_max")):  # bounds that clip a little
                values = (noise.abs() + 2) * (1 if name.endswith("_max") else -1)
            elif tensor.ndim < 2 and name.endswith(("weight", "gamma", "scale", "scalar", "lambda1")):
                values = 1 + 0.2 * noise
            else:
                values = noise / math.sqrt(max(tensor[0].numel() if tensor.ndim > 1 else 10, 1))
            tensor.copy_(values.to(dtype))


def transformers_model(case_class: str, config_class: str, config: dict) -> torch.nn.Module:
    """A transformers model in evaluation mode, its weights still the library's own."""
    settings = getattr(transformers, config_class)(**config)
    model = getattr(transformers, case_class)._from_config(settings, attn_implementation="eager")
    return model.eval()


def save_transformers(
    model: torch.nn.Module, folder: Path, published: dict | None = None, respelled: dict[str, str] | None = None
) -> None:
    """``config.json`` and ``model.safetensors``, with the names that lie in published files.

    Args:
        model: What to save.
        folder: Where to.
        published: Entries that published configurations have, and this version of transformers does not write.
        respelled: Parts of tensor names that this version spells otherwise, and how published files do.
    """
    model.save_pretrained(folder)
    if published:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **published}))
    if respelled:
        path = folder / "model.safetensors"
        save_file({spelled(name, respelled): tensor for name, tensor in load_file(path).items()}, path)


def spelled(name: str, respelled: dict[str, str]) -> str:
    """A tensor's name as published files spell it."""
    for ours, published in respelled.items():
        name = name.replace(ours, published)
    return name


def save_timm(model: torch.nn.Module, architecture: str, folder: Path) -> None:
    """The folder that timm publishes for an architecture."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architecture": architecture, "num_classes": model.num_classes, "num_features": model.num_features}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")


def timm_model(architecture: str, **settings) -> torch.nn.Module:
    """A timm model in evaluation mode."""
    return timm.create_model(architecture, pretrained=False, **settings).eval()


def settle(model: torch.nn.Module, size: int) -> None:
    """Take the statistics of all BatchNorms from real activations, so that signals keep their size in any depth."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(1)))
    model.eval()
