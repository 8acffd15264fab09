"""A whole pickled ``nn.Module``: its tensors, read from the inert stand-in and named as ``state_dict`` names them."""

from __future__ import annotations

from typing import Any

from remap.errors import CheckpointError
from remap.formats.tree import Foreign, Tree
from remap.tensors.names import NameBudget

MAX_DEPTH = 200
MAX_MODULES = 200_000


def is_module(node: Tree) -> bool:
    """Whether ``node`` stands for an ``nn.Module`` object."""
    return isinstance(node, Foreign) and type(node.state) is dict and "_modules" in node.state


def state_dict(module: Foreign) -> dict[str, Tree]:
    """Parameters and persistent buffers below ``module`` by name; a value is whatever the pickle has there.

    Raises:
        CheckpointError: There is no end to the modules in modules.
    """
    entries: dict[str, Tree] = {}
    names = NameBudget(f"module {module.name}")
    waiting: list[tuple[str, Any, int]] = [("", module, 0)]
    visits = 0
    while waiting:
        prefix, node, depth = waiting.pop()
        visits += 1
        if depth > MAX_DEPTH or visits > MAX_MODULES:
            raise CheckpointError(
                "modules are nested without end",
                where=f"module {module.name}",
                found=f"more than {MAX_DEPTH} levels or {MAX_MODULES} modules",
            )
        if not is_module(node):
            continue
        state = node.state
        transient = set(_texts(state.get("_non_persistent_buffers_set")))
        for group in ("_parameters", "_buffers"):
            for name, value in _items(state.get(group)):
                if value is not None and not (group == "_buffers" and name in transient):
                    entries[names.take(prefix + name)] = value
        below = [(names.take(f"{prefix}{name}."), child, depth + 1) for name, child in _items(state.get("_modules"))]
        waiting += reversed(below)
    return entries


def _items(group: Any) -> list[tuple[str, Any]]:
    entries = group.entries if isinstance(group, Foreign) else group
    return [(name, value) for name, value in entries.items() if type(name) is str] if type(entries) is dict else []


def _texts(group: Any) -> list[str]:
    """The names in a set: pickled as a list, or as the call of ``set`` on one."""
    if isinstance(group, Foreign):
        group = group.args[0] if group.args else ()
    return [name for name in group if type(name) is str] if type(group) in (list, tuple) else []
