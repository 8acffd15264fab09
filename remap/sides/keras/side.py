"""Running the Keras model, with a look at what goes in and out of every layer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np

from remap.errors import TargetError
from remap.inventory.inventory import Inventory
from remap.sides.feed import Feed
from remap.sides.framework import import_keras
from remap.sides.keras.assign import assign_arrays
from remap.sides.keras.attribute import attribute, before_activation, ends_in_activation, runs_as_keras_wrote_it
from remap.sides.keras.family import family_of
from remap.sides.keras.inputs import call_model
from remap.sides.keras.keras_model import build_model, identify, inventory_of
from remap.sides.keras.layers import kind_of, settings_of_any
from remap.sides.keras.operations import activation as activation_named
from remap.sides.keras.operations import described
from remap.sides.keras.rerun import rerun
from remap.sides.keras.spec import ModelSource, load_model_builder
from remap.sides.keras.survey import Survey
from remap.sides.side import Side, fitting
from remap.sides.trace import Call, Recorder, Trace, flatten
from remap.tensors.to_numpy import to_numpy

ACTIVATION = " activation"
"""What is added to a layer's name for the activation that it ends in, which is a call of its own."""


Replace = Callable[[Recorder, int, Any], Any]
"""Given the recorder, the position of a call that ended and its output: what goes on from there."""


@dataclass
class KerasSide(Side):
    """A live Keras model and what it did: a :class:`~remap.sides.side.Side`.

    Args:
        model: The model.
        survey: Its layers and variables.
        title: How messages call it.
        trace: Its run; empty before it.
        layer_of: The live layer or operation of every call, by position in the trace.
        left_out: Places of outputs that no run notes.
    """

    model: Any
    survey: Survey
    title: str = ""
    trace: Trace = field(default_factory=Trace)
    layer_of: dict[int, Any] = field(default_factory=dict)
    left_out: frozenset[int] = frozenset()

    @classmethod
    def build(cls, spec: str | ModelSource, args: Mapping[str, object] | None = None) -> Self:
        """See :meth:`remap.sides.side.Side.build`; a way to build a model will do too."""
        source = spec if isinstance(spec, ModelSource) else load_model_builder(spec, args)
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of every shape that a layer is tried on
        model = build_model(source)
        return cls(model, Survey(model), source.spec)

    def inventory(self) -> Inventory:
        """See :meth:`remap.sides.side.Side.inventory`."""
        return inventory_of(self.model, self.title)

    def variables(self, inventory: Inventory | None = None) -> dict[str, Any]:
        """Live variables by the paths of the model's own inventory, or of one taken earlier."""
        return identify(self.model, inventory)

    def assign(self, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
        """See :meth:`remap.sides.side.Side.assign`."""
        live = self.variables()
        assign_arrays(self.model, ((live[name], array) for name, array in fitting(arrays, live, self.title)))

    def run(self, feeds: Sequence[Feed]) -> Trace:
        """See :meth:`remap.sides.side.Side.run`."""
        run_keras(self, feeds, self.title)
        return self.trace

    def again(self, call: int, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """See :meth:`remap.sides.side.Side.again`; a layer's own activation is a call after it."""
        if self.trace.calls[call].name.endswith(ACTIVATION):
            return np.asarray(to_numpy(self.layer_of[call](import_keras().ops.convert_to_tensor(inputs[0]))))
        return rerun(self.layer_of[call], inputs, keywords=self.trace.calls[call].keywords)

    @property
    def names(self) -> dict[int, str]:
        """Path of every layer by ``id``; the model itself has none."""
        return dict(zip(map(id, self.survey.layers), self.survey.layer_paths, strict=True))


@contextmanager
def precision(float64: bool) -> Iterator[None]:
    """Keras in double precision, and back.

    Models built inside are in double precision, as far as they follow Keras's settings.
    """
    if not float64:
        yield
        return
    keras = import_keras()
    before, policy = keras.config.floatx(), keras.config.dtype_policy()
    with ExitStack() as stack:
        if keras.backend.backend() == "jax":
            import jax

            jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        stack.callback(keras.config.set_floatx, before)
        stack.callback(keras.config.set_dtype_policy, policy)
        yield


def run_keras(side: KerasSide, feeds: Sequence[Feed], spec: str, replace: Replace | None = None) -> None:
    """One forward pass in inference mode, recorded in ``side.trace``.

    Args:
        side: The model.
        feeds: Its inputs.
        spec: How messages call it.
        replace: Told of every call that ended; what it returns goes on in the place of the call's output.

    Raises:
        TargetError: The model fails on the input.
        Exception: The model runs, and does not while it is watched: a fault of the watching, whatever it is.
    """
    keras = import_keras()
    recorder = Recorder(_shared, keras.ops.is_tensor)
    try:
        with _watched(side, recorder, replace or _unchanged):
            outputs = call_model(side.model, feeds)
    except Exception as error:
        if replace is None and _runs(side.model, feeds):
            raise
        shapes = ", ".join(f"{feed.name} {feed.keras.dtype}{list(feed.keras.shape)}" for feed in feeds)
        raise TargetError(
            "the Keras model fails on the input",
            where=spec,
            found=f"{type(error).__name__}: {str(error)[:500]}",
            expected=f"a model that takes {shapes}",
            fix="give its inputs with --input",
        ) from error
    for place, (name, tensor) in enumerate(flatten(outputs, keras.ops.is_tensor)):
        position = recorder.note(tensor)
        if position is not None and place not in side.left_out:
            recorder.trace.outputs.append((name, position))
    side.trace = recorder.trace


def _runs(model: Any, feeds: Sequence[Feed]) -> bool:
    """Whether a model takes the inputs where nobody watches it."""
    try:
        call_model(model, feeds)
    except Exception:
        return False
    return True


def _unchanged(recorder: Recorder, index: int, output: Any) -> Any:
    return output


def _shared(tensor: Any) -> np.ndarray | None:
    """A tensor's numbers, not copied: no Keras layer writes in place. A symbol of a compiled loop has none."""
    try:
        array = to_numpy(tensor)
    except Exception:
        return None
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


@contextmanager
def _watched(side: KerasSide, recorder: Recorder, replace: Replace) -> Iterator[None]:
    """Every layer, and every operation of a graph, tells when it is called."""
    names = side.names
    parents = {id(layer): parent for layer, parent in zip(side.survey.layers, side.survey.parents, strict=True)}
    targets = {id(layer): (names[id(layer)], layer) for layer in side.survey.layers if layer is not side.model}
    for container in (side.model, *side.survey.layers):
        if kind_of(container) == "functional":
            targets |= {
                id(op): (op.name, op) for op in container.operations if id(op) not in targets and op is not side.model
            }
    with ExitStack() as stack:
        for name, target in targets.values():
            if _is_cell(target, parents.get(id(target))):
                recorder.trace.untraced[name] = "a cell runs inside of the loop of its layer"
            elif type(target).__name__ != "InputLayer":
                stack.enter_context(_watch(side, recorder, name, target, replace))
        yield


def _is_cell(layer: Any, parent: Any) -> bool:
    return parent is not None and getattr(parent, "cell", None) is layer


@contextmanager
def _watch(side: KerasSide, recorder: Recorder, name: str, layer: Any, replace: Replace) -> Iterator[None]:
    original, kind, told = layer.call, type(layer).__name__, settings_of_any(layer)
    family = family_of(layer)
    splits = ends_in_activation(layer) and _activation(layer) is not None

    def call(*args: Any, **kwargs: Any) -> Any:
        extra = {key: value for key, value in kwargs.items() if isinstance(value, bool)}
        operation, settings = described(family, {**told, **extra})
        extra.pop("training", None)
        begun = Call(name, kind, settings, operation=operation, told={**told, **extra}, keywords=extra)
        index = recorder.begin(begun, [list(args), kwargs])
        side.layer_of[index] = layer
        if splits and runs_as_keras_wrote_it(layer):
            watched = _activated(side, recorder, index, name, _activation(layer), replace)
            with attribute(layer, "activation", watched):
                return original(*args, **kwargs)
        run = partial(original, *args, **kwargs)
        output, before = before_activation(layer, run) if splits else (run(), None)
        if before is not None:
            return _activated(side, recorder, index, name, _activation(layer), replace)(before)
        recorder.end(index, output)
        return replace(recorder, index, output)

    with attribute(layer, "call", call):
        yield


def _activated(
    side: KerasSide, recorder: Recorder, index: int, name: str, activation: Any, replace: Replace
) -> Callable[[Any], Any]:
    """The activation that a layer ends in, as a call of its own that follows the layer's."""

    def watched(x: Any) -> Any:
        recorder.end(index, x)
        x = replace(recorder, index, x)
        function = getattr(activation, "__name__", type(activation).__name__)
        operation, settings = activation_named(function)
        told = {"activation": function}
        inner = recorder.begin(Call(name + ACTIVATION, "Activation", settings, operation=operation, told=told), x)
        side.layer_of[inner] = activation
        y = activation(x)
        recorder.end(inner, y)
        return y

    return watched


def _activation(layer: Any) -> Any:
    """The activation of a layer; None for one that changes nothing."""
    activation = getattr(layer, "activation", None)
    return None if activation is None or getattr(activation, "__name__", "") == "linear" else activation
