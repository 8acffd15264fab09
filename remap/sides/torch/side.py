"""Running the PyTorch network, with a look at every module and function on the way.

Together with :mod:`remap.sides.torch.source` the only place where the check imports PyTorch.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from remap.errors import TargetError
from remap.sides.feed import Feed
from remap.sides.framework import import_module
from remap.sides.noise import NoiseRecorder
from remap.sides.reference import Reference, TracedModule
from remap.sides.torch.calls import function_name, function_settings, is_operation, module_settings
from remap.sides.torch.double import WAYS, whole
from remap.sides.torch.export import exported_modules, interpret
from remap.sides.trace import Recorder, Trace, flatten
from remap.tensors.dtypes import is_float
from remap.tensors.to_numpy import to_numpy

CALIBRATION_SAMPLES = 4
"""Enough that a BatchNorm on a 1x1 map has a variance."""


def reference_of(
    network: Any, source: str, feeds: list[Feed], other: list[Feed], *, float64: bool = False, trace: bool = True
) -> Reference:
    """Run a network twice, on an input and on another, and look into the first run.

    Args:
        network: The module, its weights loaded.
        source: How messages call it.
        feeds: The input.
        other: The other input.
        float64: Whether it runs in double precision.
        trace: Whether to look into it, and to measure its rounding error.

    Raises:
        TargetError: The network fails on the input.
    """
    network = copy.deepcopy(network).double() if float64 else network.float()
    found = run(network, source, feeds, look_inside=trace)
    moved = [value for _, value in run_outputs(network, source, other)]
    if trace and not float64:
        found.noise = measured_noise(network, source, feeds, found)
    modules = exported_modules(network, found) if is_exported(network) else modules_of(network)
    return Reference(source, feeds, found, modules, moved, float64)


def is_exported(network: Any) -> bool:
    """Whether a network came out of a ``.pt2`` file."""
    return getattr(network, "remap_exported", False) is True


def modules_of(network: Any) -> dict[str, TracedModule]:
    """Every module by path, the network itself under ``""``."""
    return {
        path: TracedModule(type(module).__name__, module_settings(module), tuple(module.state_dict()))
        for path, module in network.named_modules()
    }


def run_outputs(network: Any, source: str, feeds: Sequence[Feed]) -> list[tuple[str, np.ndarray]]:
    """The outputs of a network by name."""
    torch = import_module("torch")
    with torch.no_grad():
        return [
            (name, _copied(value))
            for name, value in flatten(
                _forward(torch, network, source, _tensors(torch, network, feeds)), torch.is_tensor
            )
        ]


def run(network: Any, source: str, feeds: Sequence[Feed], look_inside: bool = True) -> Trace:
    """One forward pass, recorded.

    Raises:
        TargetError: The network fails on the input.
    """
    recorder = Recorder(*_tensor_functions())
    _run(network, source, feeds, recorder, look_inside)
    return recorder.trace


def _run(
    network: Any, source: str, feeds: Sequence[Feed], recorder: Recorder, look_inside: bool = True, kind: Any = None
) -> None:
    torch = import_module("torch")
    inputs = _tensors(torch, network, feeds, kind)
    recorder.note_all(inputs)
    call: Any = network
    with torch.no_grad(), ExitStack() as stack:
        if look_inside and isinstance(network, torch.jit.ScriptModule):
            recorder.trace.untraced[""] = "TorchScript runs compiled: only its outputs can be seen"
        elif look_inside and is_exported(network):
            call = interpret(torch, network, recorder)
        elif look_inside:
            stack.enter_context(_watched(torch, network, recorder))
        outputs = _forward(torch, call, source, inputs)
    for name, tensor in flatten(outputs, torch.is_tensor):
        position = recorder.note(tensor)
        if position is not None:
            recorder.trace.outputs.append((name, position))


def _tensor_functions() -> tuple[Any, Any, Any]:
    """What a recorder asks of tensors; parameters are no inputs."""
    torch = import_module("torch")
    parameter = torch.nn.Parameter
    return (
        _copied,
        lambda value: torch.is_tensor(value) and not isinstance(value, parameter),
        lambda tensor: tensor._version,
    )


def _tensors(torch: Any, network: Any, feeds: Sequence[Feed], kind: Any = None) -> tuple[list[Any], dict[str, Any]]:
    """The inputs as positional and keyword arguments, in a precision, or in the network's own."""
    kind = kind or next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)
    tensors = [torch.from_numpy(np.array(feed.torch)) for feed in feeds]
    tensors = [tensor.to(kind) if tensor.is_floating_point() else tensor for tensor in tensors]
    named = list(zip(feeds, tensors, strict=True))
    return [t for feed, t in named if not feed.torch_name], {feed.torch_name: t for feed, t in named if feed.torch_name}


def _forward(torch: Any, call: Any, source: str, inputs: tuple[list[Any], dict[str, Any]]) -> Any:
    positional, keywords = inputs
    torch.manual_seed(0)
    try:
        return call(*positional, **keywords)
    except Exception as error:
        taken = [f"{tensor.dtype}{list(tensor.shape)}" for tensor in (*positional, *keywords.values())]
        raise TargetError(
            "the PyTorch model fails on the input",
            where=source,
            found=f"{type(error).__name__}: {str(error)[:500]}",
            expected=f"a model that takes {', '.join(taken)}",
            fix="give its inputs with --input",
        ) from error


def _copied(tensor: Any) -> np.ndarray:
    """A copy of a tensor's numbers, which it may lose when it is written in place; narrow floats as float32."""
    array = to_numpy(tensor)
    narrow = is_float(array.dtype) and array.dtype.itemsize < 4
    return np.array(array, dtype=np.float32 if narrow else None)


@contextmanager
def _watched(torch: Any, network: Any, recorder: Recorder) -> Iterator[None]:
    """Every module tells when it is called; so does every function on tensors, outside of torch's own modules."""
    running: list[int] = []
    opaque: set[int] = set()
    handles = []

    def watch(path: str, module: Any) -> None:
        kind, settings = type(module).__name__, module_settings(module)
        closed = is_operation(module)

        def before(_: Any, args: Any, kwargs: Any) -> None:
            running.append(recorder.begin(path, kind, settings, [list(args), kwargs]))
            if closed:
                opaque.add(running[-1])

        def after(_: Any, args: Any, kwargs: Any, output: Any) -> None:
            recorder.end(running[-1], output)
            opaque.discard(running.pop())

        handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(module.register_forward_hook(after, with_kwargs=True))

    class Functions(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            name = function_name(function)
            tensors = [list(args), kwargs]
            inside_vmap = torch._C._functorch.maybe_current_level() is not None  # where tensors have no values
            if opaque or inside_vmap or name in SILENT or not any(True for _ in flatten(tensors, torch.is_tensor)):
                return function(*args, **kwargs)
            index = recorder.begin("", name, function_settings(name, function, args, kwargs), tensors, True)
            output = function(*args, **kwargs)
            recorder.end(index, output)
            return output

    for path, module in network.named_modules():
        watch(path, module)
    try:
        with Functions():
            yield
    finally:
        for handle in handles:
            handle.remove()


SILENT = {
    *("get", "set", "size", "dim", "shape", "numel", "is_floating_point", "is_complex", "has_torch_function"),
    *("requires_grad", "detach", "data_ptr", "is_contiguous", "stride", "storage_offset", "element_size"),
    *("is_nested", "is_same_size", "layout", "device", "dtype", "len", "format", "repr", "bool", "item", "tolist"),
    *("cpu", "numpy"),
}
"""Functions that ask a tensor something and compute nothing."""


def measured_noise(network: Any, source: str, feeds: Sequence[Feed], trace: Trace) -> dict[int, float]:
    """Rounding error of every value of a trace: the distance from the same run in double precision.

    Empty where the network does not run in double precision, or does something else there.
    """
    torch = import_module("torch")
    hooked = not isinstance(network, torch.jit.ScriptModule) and not is_exported(network)
    for way in WAYS if hooked else (whole,):
        recorder = NoiseRecorder(trace, *_tensor_functions())
        try:
            with way(network):
                _run(network, source, feeds, recorder, kind=torch.float64)
        except (TargetError, RuntimeError):
            continue
        if recorder.same and (way is whole or not recorder.lowered):
            return recorder.noise
    return {}


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
        f"{path}.{name}" if path else name: _copied(getattr(module, name))
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
