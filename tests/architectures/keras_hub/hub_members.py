"""A published member of a family, and a folder of it that takes no room."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import keras_hub
import timm
import torch
import transformers
from hub_checkpoints import spelled
from transformers.core_model_loading import revert_weight_conversion

from remap.inventory.inventory import Inventory


@dataclass(frozen=True)
class Member:
    """One published model.

    Args:
        rules: Bare name of the rule file below ``keras_hub/``.
        name: Its name.
        model: The transformers class; empty for a timm architecture.
        config: Its configuration class.
        settings: Its configuration, where it is not the class's own.
        respelled: Parts of tensor names that transformers spells otherwise than published files, and how they do.
        published: Entries of published configurations that transformers does not write; of a nested one, in a dict.
        size: What its size is called.
        preset: keras_hub's name of it, under which that states its number of parameters.
    """

    rules: str
    name: str
    model: str = ""
    config: str = ""
    settings: tuple[tuple[str, object], ...] = ()
    respelled: dict[str, str] = field(default_factory=dict)
    published: dict[str, object] = field(default_factory=dict)
    size: str = ""
    preset: str = ""

    def __str__(self) -> str:
        return self.name


def parameters(target: Inventory) -> int:
    """Of all variables of a model."""
    return sum(math.prod(variable.shape) for variable in target.variables)


def stated_parameters(member: Member) -> int | None:
    """What keras_hub states of its preset; None where it states nothing, or counts otherwise."""
    return keras_hub.models.Backbone.presets[member.preset]["metadata"]["params"] if member.preset else None


def lay_down(member: Member, folder: Path) -> None:
    """The member's folder: its real names and shapes, and zeros that take no room on the disk."""
    config, shapes = _of_transformers(member) if member.model else _of_timm(member)
    (folder / "config.json").write_text(json.dumps(config))
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * shape.numel()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def _of_timm(member: Member) -> tuple[dict, dict[str, torch.Size]]:
    with torch.device("meta"):
        model = timm.create_model(member.name, pretrained=False)
    names = model.state_dict()
    # keras_hub tells by the tag of the published weights whether a model has learnable affine blocks
    tag = "" if any(".lab." in name for name in names) else "ssld_stage1_in22k_in1k"
    config = {"architecture": member.name, "pretrained_cfg": {"tag": tag}}
    return config, {name: tensor.shape for name, tensor in names.items()}


def _of_transformers(member: Member) -> tuple[dict, dict[str, torch.Size]]:
    config = getattr(transformers, member.config)(**dict(member.settings))
    with torch.device("meta"):
        model = getattr(transformers, member.model)._from_config(config)
    tied = set(getattr(model, "all_tied_weights_keys", None) or {})
    own = {name: tensor for name, tensor in model.state_dict().items() if name not in tied}
    saved = revert_weight_conversion(model, own)
    written = {**config.to_dict(), "num_experts": getattr(config, "num_experts", None)}
    written.setdefault("num_hidden_layers", getattr(config, "num_hidden_layers", None))
    for key, value in member.published.items():
        written[key] = {**written[key], **value} if isinstance(value, dict) else value
    return written, {spelled(name, member.respelled): tensor.shape for name, tensor in saved.items()}
