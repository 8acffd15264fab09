"""keras_hub's backbones beside their PyTorch models: where both come from, what both are fed, what counts as equal."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MethodType
from typing import Any

import keras_hub
import numpy as np
from repository import ROOT

from remap import verify
from remap.proving.inputs import InputSpec
from remap.sides.keras.spec import ModelSource

FOLDER = ROOT / "tests/architectures/keras_hub"
if str(FOLDER) not in sys.path:
    sys.path.append(str(FOLDER))  # its modules import each other by their bare names

import hub_checkpoints as checkpoints  # noqa: E402

Adapter = Callable[..., Any]
"""A network's ``forward`` that takes a backbone's inputs by their names, all in PyTorch's layout."""
OTHER_PLACES = "what is made from it is equal: the layer and PyTorch's module end at other places"
SEVERAL = "one module became several layers, and none of its outputs has this shape"
TOKENS = {
    "token_ids": "input_ids=int64[2,8]<31",
    "encoder_token_ids": "input_ids=int64[2,8]<31",
    "decoder_token_ids": "decoder_input_ids=int64[2,8]<31",
    "segment_ids": "token_type_ids=int64[2,8]<2",
    "padding_mask": "attention_mask=int64[2,8]",
    "encoder_padding_mask": "attention_mask=int64[2,8]",
    "decoder_padding_mask": "decoder_attention_mask=int64[2,8]",
}
"""What ``--input`` says of each input of a backbone, behind its name."""


def inputs_of(backbone: Any) -> list[str]:
    """``--input`` for a backbone: tokens and masks by their names, images by their shape."""
    if not isinstance(backbone.input, dict):
        height, width, channels = backbone.input.shape[1:]
        return [f"pixel_values=float32[2,{channels},{height},{width}]"]
    found = []
    for name, symbol in backbone.input.items():
        images = "pixel_values=float32[2,{3},{1},{2}]".format(*symbol.shape) if len(symbol.shape) == 4 else ""
        found.append(f"{name}:{TOKENS.get(name) or images}")
    return found


def arrays(inputs: Mapping[str, np.ndarray]) -> list[InputSpec]:
    """Inputs of a backbone, in its own layout, for both sides, which both know them by the backbone's names."""
    specs = []
    for name, array in inputs.items():
        array = array.astype("int64") if array.dtype.kind in "bi" else array
        array = np.moveaxis(array, -1, 1) if array.ndim == 4 else array
        specs.append(InputSpec(name, array.shape, array.dtype.name, torch_name=name, values=array))
    return specs


def built(case: Any, folder: Path, adapter: Adapter | None = None) -> Any:
    """A transformers model with random weights, and the folder that is published of it."""
    network = checkpoints.transformers_model(case.model, case.config, case.settings)
    checkpoints.fill_randomly(network, dtype=case.dtype, zeros=case.zeros)
    checkpoints.save_transformers(network, folder, case.published, case.respelled)
    if adapter is not None:
        network.forward = MethodType(adapter, network)
    return network


def preset(rules: str, folder: Path, **options: Any) -> ModelSource:
    """keras_hub's backbone for a folder."""
    return ModelSource(rules, lambda: keras_hub.models.Backbone.from_preset(str(folder), load_weights=False, **options))


def hold_transformers(case: Any, folder: Path, **options: Any) -> Any:
    """A transformers model, its published folder, and keras_hub's backbone for it."""
    network = built(case, folder)
    source = preset(case.rules, folder)
    return verify(f"keras_hub/{case.rules}", folder, source, network, inputs=inputs_of(source.build()), **options)


def assert_equal(found: Any, not_traced: Mapping[str, str]) -> None:
    """No alarm: all is equal, but for layers that are listed with the reason that is given."""
    assert found.verdict == "equal", found.finding
    assert found.weights.equal
    for name, reason in found.untraced.items():
        assert [why for layer, why in not_traced.items() if re.fullmatch(layer, name)] == [reason], name
    assert {row.outcome for row in found.rows if row.layer not in found.untraced} == {"equal"}
