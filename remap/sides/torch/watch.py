"""Hooks on a PyTorch network: every module, and every function on tensors, tells when it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from remap.sides.torch.calls import class_names, function_name, function_settings, is_operation, module_settings
from remap.sides.torch.operations import described
from remap.sides.trace import Call, Recorder, flatten

SILENT = {
    *("get", "set", "size", "dim", "shape", "numel", "is_floating_point", "is_complex", "has_torch_function"),
    *("requires_grad", "detach", "data_ptr", "is_contiguous", "stride", "storage_offset", "element_size"),
    *("is_nested", "is_same_size", "layout", "device", "dtype", "len", "format", "repr", "bool", "item", "tolist"),
    *("cpu", "numpy"),
}
"""Functions that ask a tensor something and compute nothing."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a tensor among the arguments of a call."""

    index: int


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A call that can be made again: what was called, and its arguments with slots for the tensors that went in.

    Args:
        function: The module or function.
        args: Positional arguments.
        kwargs: Keyword arguments.
    """

    function: Callable[..., Any]
    args: Any
    kwargs: Any

    def __call__(self, tensors: Sequence[Any]) -> Any:
        """The call on other tensors."""
        return self.function(*_filled(self.args, tensors), **_filled(self.kwargs, tensors))


def repeatable(function: Callable[..., Any], args: Any, kwargs: Any, is_tensor: Callable[[Any], bool]) -> Repeatable:
    """A call to be made again; it keeps none of the tensors that :func:`~remap.sides.trace.flatten` finds in it."""
    slots: list[Slot] = []
    return Repeatable(function, *(_emptied(value, is_tensor, slots) for value in (list(args), kwargs)))


def _emptied(value: Any, is_tensor: Callable[[Any], bool], slots: list[Slot]) -> Any:
    """A nest with slots in the place of tensors, in the order in which they are found."""
    if is_tensor(value):
        slots.append(Slot(len(slots)))
        return slots[-1]
    if type(value) is dict:
        return {key: _emptied(inner, is_tensor, slots) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_emptied(inner, is_tensor, slots) for inner in value)
    slots += [Slot(len(slots) + n) for n, _ in enumerate(flatten(value, is_tensor))]  # kept: it is of a user's class
    return value


def _filled(value: Any, tensors: Sequence[Any]) -> Any:
    if isinstance(value, Slot):
        return tensors[value.index]
    if type(value) is dict:
        return {key: _filled(inner, tensors) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_filled(inner, tensors) for inner in value)
    return value


@contextmanager
def watched(
    torch: Any,
    network: Any,
    recorder: Recorder,
    is_tensor: Callable[[Any], bool],
    again: dict[int, Repeatable] | None = None,
) -> Iterator[None]:
    """Every module tells when it is called; so does every function on tensors, outside of torch's own modules.

    Args:
        torch: The module.
        network: Whose modules.
        recorder: Where calls are noted.
        is_tensor: What counts as an input of a call.
        again: Where each call is kept, by its position, to be made again; None for nowhere.
    """
    running: list[int] = []
    opaque: set[int] = set()
    handles = []

    def watch(path: str, module: Any) -> None:
        told = module_settings(module)
        operation, settings = described(class_names(module), told)
        closed = is_operation(module)

        def before(_: Any, args: Any, kwargs: Any) -> None:
            call = Call(path, type(module).__name__, settings, operation=operation, told=told)
            running.append(recorder.begin(call, [list(args), kwargs]))
            if again is not None:
                again[running[-1]] = repeatable(module, args, kwargs, is_tensor)
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
            told = function_settings(name, function, args, kwargs)
            operation, settings = described((), told)
            index = recorder.begin(Call("", name, settings, function=True, operation=operation, told=told), tensors)
            if again is not None:
                again[index] = repeatable(function, args, kwargs, is_tensor)
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
