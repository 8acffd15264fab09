"""Spatial sizes of what goes into a Keras model's layers: what ``same`` pads depends on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remap.errors import RemapError
from remap.sides.framework import import_keras
from remap.sides.keras.lazy import without_weights
from remap.sides.keras.live import clear_sessions, is_keras2
from remap.sides.keras.saved_model import Exported
from remap.sides.keras.spec import ModelSource
from remap.sides.keras.survey import Survey
from remap.sides.trace import Trace

Sizes = tuple[int | None, ...]
"""Of each spatial axis; None where it is open."""


def traced_sizes(trace: Trace) -> dict[str, Sizes]:
    """The sizes that a run had, by the layer's path; of a layer that is called several times, those of the first."""
    return {
        name: _spatial(trace.values[trace.calls[calls[0]].inputs[0]].shape, trace.calls[calls[0]].told)
        for name, calls in trace.by_name.items()
        if trace.calls[calls[0]].inputs
    }


def built_sizes(source: ModelSource) -> dict[str, Sizes]:
    """The sizes that a model is built for, without its weights; none where it cannot be built so."""
    keras = import_keras()
    clear_sessions()
    try:
        with without_weights(keras):
            model = source.model()
            if isinstance(model, Exported) or is_keras2(model):
                return {}
            survey = Survey(model)
            shapes = zip(survey.layer_paths, survey.layers, strict=True)
            return {path: _spatial(_input_shape(layer), vars(layer)) for path, layer in shapes}
    except RemapError:
        return {}
    finally:
        clear_sessions()


def _input_shape(layer: Any) -> Sequence[Any]:
    """The shape of a layer's one input, the batch included; nothing where it has others."""
    shapes = list((getattr(layer, "_build_shapes_dict", None) or {}).values())
    shape = shapes[0] if len(shapes) == 1 else ()
    return (
        shape
        if isinstance(shape, list | tuple) and all(size is None or isinstance(size, int) for size in shape)
        else ()
    )


def _spatial(shape: Sequence[Any], told: Mapping[str, Any]) -> Sizes:
    return tuple(shape[2:] if told.get("data_format") == "channels_first" else shape[1:-1])
