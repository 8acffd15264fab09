"""Running the PyTorch network, with a look at every module and function on the way.

Together with :mod:`remap.sides.torch.source` the only place where the check imports PyTorch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from remap.errors import TargetError
from remap.inventory.inventory import Inventory, Layer, Variable
from remap.sides.feed import Feed
from remap.sides.framework import import_module
from remap.sides.noise import NoiseRecorder
from remap.sides.reference import Reference, TracedModule
from remap.sides.side import Side, fitting
from remap.sides.torch.calls import class_names, module_settings
from remap.sides.torch.double import WAYS, whole
from remap.sides.torch.export import exported_modules, interpret
from remap.sides.torch.operations import described
from remap.sides.torch.source import load_network, tensor_of
from remap.sides.torch.watch import Repeatable, watched
from remap.sides.trace import Recorder, Trace, flatten
from remap.tensors.dtypes import is_float
from remap.tensors.to_numpy import to_numpy

MODULE = "module"
"""The kind of inventory that a PyTorch network has."""


@dataclass
class TorchSide(Side):
    """A live PyTorch network and what it did: a :class:`~remap.sides.side.Side`.

    Args:
        network: The ``torch.nn.Module``, in inference mode.
        title: How messages call it.
        trace: Its run; empty before it.
        calls: The calls of the run that can be made again, by their position.
    """

    network: Any
    title: str = ""
    trace: Trace = field(default_factory=Trace)
    calls: dict[int, Repeatable] = field(default_factory=dict)

    @classmethod
    def build(cls, spec: str, args: Mapping[str, object] | None = None) -> Self:
        """See :meth:`remap.sides.side.Side.build`."""
        return cls(load_network(spec, dict(args or {})), spec)

    @property
    def modules(self) -> dict[str, TracedModule]:
        """Every module by path, the network itself under ``""``."""
        return modules_of(self.network)

    def inventory(self) -> Inventory:
        """See :meth:`remap.sides.side.Side.inventory`: tensors of ``state_dict()``, and the modules that hold them."""
        paths = [path for path, _ in self.network.named_modules()]
        layers = [
            Layer(path.rpartition(".")[2], type(module).__name__, path, path, dict(module_settings(module)))
            for path, module in self.network.named_modules()
        ]
        variables = [
            Variable(name, name, tuple(tensor.shape), dtype_name(tensor), _holder(paths, name))
            for name, tensor in self.network.state_dict().items()
        ]
        return Inventory(self.title, tuple(variables), tuple(layers), MODULE, "")

    def assign(self, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
        """See :meth:`remap.sides.side.Side.assign`."""
        torch, state = import_module("torch"), self.network.state_dict()
        with torch.no_grad():
            for name, array in fitting(arrays, state, self.title):
                state[name].copy_(tensor_of(array))

    def run(self, feeds: Sequence[Feed]) -> Trace:
        """See :meth:`remap.sides.side.Side.run`."""
        self.calls = {}
        self.trace = run(self.network, self.title, feeds, again=self.calls)
        return self.trace

    def again(self, call: int, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """See :meth:`remap.sides.side.Side.again`."""
        torch = import_module("torch")
        with torch.no_grad():
            made = self.calls[call]([tensor_of(array) for array in inputs])
        return next(copied(tensor) for _, tensor in flatten(made, torch.is_tensor))


def _holder(paths: Sequence[str], name: str) -> int:
    """The module whose own tensor a name is."""
    path = name.rpartition(".")[0]
    while path not in paths:
        path = path.rpartition(".")[0]
    return paths.index(path)


def dtype_name(tensor: Any) -> str:
    """``float32`` ..."""
    return str(tensor.dtype).removeprefix("torch.")


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
    done = run(network, source, feeds, look_inside=trace)
    moved = [value for _, value in run_outputs(network, source, other)]
    if trace and not float64:
        done.noise = measured_noise(network, source, feeds, done)
    modules = exported_modules(network, done) if is_exported(network) else modules_of(network)
    return Reference(source, feeds, done, modules, moved, float64)


def is_exported(network: Any) -> bool:
    """Whether a network came out of a ``.pt2`` file."""
    return getattr(network, "remap_exported", False) is True


def modules_of(network: Any) -> dict[str, TracedModule]:
    """Every module by path, the network itself under ``""``."""
    modules = {}
    for path, module in network.named_modules():
        told = module_settings(module)
        operation, settings = described(class_names(module), told)
        modules[path] = TracedModule(type(module).__name__, settings, tuple(module.state_dict()), operation, told)
    return modules


def run_outputs(network: Any, source: str, feeds: Sequence[Feed]) -> list[tuple[str, np.ndarray]]:
    """The outputs of a network by name."""
    torch = import_module("torch")
    with torch.no_grad():
        return [
            (name, copied(value))
            for name, value in flatten(
                _forward(torch, network, source, _tensors(torch, network, feeds)), torch.is_tensor
            )
        ]


def run(
    network: Any,
    source: str,
    feeds: Sequence[Feed],
    look_inside: bool = True,
    again: dict[int, Repeatable] | None = None,
) -> Trace:
    """One forward pass, recorded.

    Args:
        network: The module.
        source: How messages call it.
        feeds: Its inputs.
        look_inside: Whether its modules and functions are.
        again: Where calls are kept to be made again, by their position; None for nowhere.

    Raises:
        TargetError: The network fails on the input.
    """
    recorder = Recorder(*_tensor_functions())
    _run(network, source, feeds, recorder, look_inside, again=again)
    return recorder.trace


def _run(
    network: Any,
    source: str,
    feeds: Sequence[Feed],
    recorder: Recorder,
    look_inside: bool = True,
    kind: Any = None,
    again: dict[int, Repeatable] | None = None,
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
            stack.enter_context(watched(torch, network, recorder, _tensor_functions()[1], again))
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
        copied,
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


def copied(tensor: Any) -> np.ndarray:
    """A copy of a tensor's numbers, which it may lose when it is written in place; narrow floats as float32."""
    array = to_numpy(tensor)
    narrow = is_float(array.dtype) and array.dtype.itemsize < 4
    return np.array(array, dtype=np.float32 if narrow else None)


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
