"""Looking into an exported program (``.pt2``): its graph knows which module every operation came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remap.sides.reference import TracedModule
from remap.sides.torch.calls import function_settings
from remap.sides.torch.operations import described
from remap.sides.trace import Call, Recorder, Trace


def interpret(torch: Any, network: Any, recorder: Recorder) -> Callable[..., Any]:
    """A function that runs an exported program operation by operation and records every one.

    Args:
        torch: The module.
        network: What ``ExportedProgram.module()`` gave.
        recorder: Where calls are noted.
    """
    entered = _Entered(recorder)

    class Watched(torch.fx.Interpreter):  # type: ignore[misc]
        def run_node(self, node: Any) -> Any:
            if node.op != "call_function":
                return super().run_node(node)
            args, kwargs = self.fetch_args_kwargs_from_env(node)
            inputs = [list(args), kwargs]
            entered.move_to(_modules_of(node), inputs)
            name, told = _told(node.target, args, kwargs)
            operation, settings = described((), told)
            call = Call("", name, settings, function=True, operation=operation, told=told)
            index = recorder.begin(call, inputs)
            entered.last = super().run_node(node)
            recorder.end(index, entered.last)
            return entered.last

    def call(*args: Any, **kwargs: Any) -> Any:
        result = Watched(network).run(*args, *kwargs.values())
        entered.move_to([], ())
        _describe(recorder.trace)
        return result

    return call


class _Entered:
    """The modules that the present operation lies in; they begin with their first operation, end with their last."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.last: Any = None
        self._open: list[tuple[str, int]] = []

    def move_to(self, modules: list[tuple[str, str]], inputs: Any) -> None:
        paths = [path for path, _ in modules]
        while self._open and [path for path, _ in self._open] != paths[: len(self._open)]:
            self.recorder.end(self._open.pop()[1], self.last)
        for path, kind in modules[len(self._open) :]:
            self._open.append((path, self.recorder.begin(Call(path, kind, {}), inputs)))


def _modules_of(node: Any) -> list[tuple[str, str]]:
    stack = node.meta.get("nn_module_stack") or {}
    named = ((path.removeprefix("L['self']").strip("."), kind) for path, kind in stack.values())
    return [(name, str(getattr(kind, "__name__", kind)).rpartition(".")[2]) for name, kind in named if name]


def _told(target: Any, args: Any, kwargs: Any) -> tuple[str, dict[str, Any]]:
    """Name and settings of an operation: those of an aten overload are named by its schema."""
    schema = getattr(target, "_schema", None)
    if schema is None:
        name = getattr(target, "__name__", str(target))
        return name, function_settings(name, target, args, kwargs)
    name = schema.name.rpartition("::")[2].strip("_")
    names = [argument.name for argument in schema.arguments]
    given = dict(zip(names, args, strict=False)) | kwargs
    defaults = {argument.name: argument.default_value for argument in schema.arguments if argument.has_default_value()}
    return name, function_settings(name, target, (), {**defaults, **given})


def _describe(trace: Trace) -> None:
    """A module that is one operation has the settings of that operation."""
    children: dict[int, list[int]] = {}
    for index, call in enumerate(trace.calls):
        if call.parent is not None:
            children.setdefault(call.parent, []).append(index)
    for index, inside in children.items():
        if len(inside) == 1:
            only = trace.calls[inside[0]]
            call = trace.calls[index]
            call.operation, call.settings, call.told = only.operation, dict(only.settings), dict(only.told)


def exported_modules(network: Any, trace: Trace) -> dict[str, TracedModule]:
    """The modules of an exported program, as far as its run showed them."""
    keys = list(network.state_dict())
    modules = {}
    for call in trace.calls:
        if call.name:
            prefix = f"{call.name}."
            tensors = tuple(key.removeprefix(prefix) for key in keys if key.startswith(prefix))
            modules[call.name] = TracedModule(call.kind, call.settings, tensors, call.operation, call.told)
    return modules
