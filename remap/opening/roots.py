"""Finding the state_dict inside of what people save: nested dicts, whole modules, averages beside weights."""

from __future__ import annotations

import re
from typing import Any

from remap.errors import CheckpointError, UsageError
from remap.formats.pickles.module import is_module, state_dict
from remap.formats.tree import Census, Foreign, Tree, describe, is_leaf
from remap.tensors.names import NameBudget
from remap.tensors.tensor import Skipped

ROOTS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "network",
    "net",
    "params",
    "params_state_dict",
    "generator",
    "module",
    "weights",
    "net_state_dict",
    "network_state_dict",
)
COLLECTIONS = {"params", "batch_stats"}
"""Where Flax keeps parameters and the statistics of normalisations: a network needs both."""
AVERAGE = re.compile(r"(^|[_.\-])(ema|swa|shadow|averaged?)([_.\-]|$)|^ema", re.IGNORECASE)
OTHERS = re.compile(
    r"optim|^opts?$|sched|scaler|^amp$|callbacks|loops|hparams|hyper_parameters|config|^cfg$|args|rng|metrics|discr",
    re.IGNORECASE,
)
MAX_DEPTH = 8
MAX_NESTED = 100_000


class Unwrapped:
    """The way to the state_dict: what was taken off on it and what lies beside it."""

    def __init__(self, tree: Tree, where: str) -> None:
        self.tree = tree
        self.where = where
        self.peeled: list[str] = []
        self.skipped: list[Skipped] = []
        self._count = Census()

    def descend(self) -> None:
        """Go down through the wrappers that are known, or that hold the only tensors there are.

        Raises:
            CheckpointError: There are several state_dicts and no saying which.
        """
        for _ in range(MAX_DEPTH):
            mapping = self.tree if is_module(self.tree) else _mapping(self.tree)
            if not isinstance(mapping, dict):
                return
            key = self._choose(mapping)
            if key is None:
                return
            self.peeled.append(f"[{key!r}]")
            self.skipped += [Skipped(str(name), self._aside(name, mapping[name])) for name in mapping if name != key]
            self.tree = mapping[key]

    def follow(self, root: str) -> None:
        """Go down the dotted key ``root``; a key may have dots itself.

        Raises:
            UsageError: It leads nowhere.
        """
        rest = root
        while rest:
            mapping = _mapping(self.tree) or {}
            fits = [name for name in mapping if type(name) is str and f"{rest}.".startswith(f"{name}.")]
            if not fits:
                raise UsageError(
                    f"no root {root!r} in the checkpoint",
                    where=self.where,
                    found=keys(self.tree) or describe(self.tree),
                    fix="set root to the key of the state_dict, or leave it out",
                )
            key = max(fits, key=len)
            self.peeled.append(f"[{key!r}]")
            self.tree = mapping[key]
            rest = rest[len(key) + 1 :]

    def flatten(self) -> dict[str, Tree]:
        """Tensors by dotted key: a state_dict is flat, several that were saved together are not."""
        if is_leaf(self.tree):
            return {"": self.tree}
        entries: dict[str, Tree] = {}
        names = NameBudget(self.where)
        waiting: list[tuple[str, Tree]] = [("", self.tree)]
        seen: set[int] = set()
        while waiting:
            prefix, node = waiting.pop()
            if id(node) in seen or len(seen) > MAX_NESTED:
                self.skipped.append(Skipped(prefix[:-1], "the same dict again, or one of too many"))
                continue
            seen.add(id(node))
            if is_module(node):
                self.peeled.append(f"module {node.name}" + (f" at {prefix[:-1]!r}" if prefix else ""))
            below = []
            for name, child in (_mapping(node) or {}).items():
                key = names.take(f"{prefix}{name}")
                if type(name) is not str:
                    self.skipped.append(Skipped(f"{prefix}({type(name).__name__} key)", self._aside(name, child)))
                elif is_leaf(child):
                    entries[key] = child
                elif _is_nested(child) and self._count(child) and not _is_optimizer(child):
                    below.append((f"{key}.", child))
                else:
                    self.skipped.append(Skipped(key, self._aside(name, child)))
            waiting += reversed(below)
        return entries

    def _choose(self, mapping: dict[Any, Tree]) -> str | None:
        """The key below which the state_dict lies, None if ``mapping`` is one itself."""
        nested = [
            name
            for name, node in mapping.items()
            if type(name) is str and _is_nested(node) and not _is_optimizer(node) and self._count(node)
        ]
        if COLLECTIONS.issubset(nested):
            return None
        plain = [name for name in nested if not AVERAGE.search(name)]
        known = [name for name in ROOTS if name in plain]
        if len(known) > 1:
            raise CheckpointError(
                "checkpoint holds several state_dicts",
                where=self.where,
                found=", ".join(known),
                fix=f'say which: root = "{known[0]}" under [source]',
            )
        if known or any(map(is_leaf, mapping.values())):
            return known[0] if known else None
        likely = [name for name in plain if not OTHERS.search(name)]
        averages = [name for name in nested if name not in plain]
        candidates = likely or averages
        return candidates[0] if len(candidates) == 1 else None

    def _aside(self, name: Any, node: Tree) -> str:
        tensors = self._count(node)
        if not tensors or is_leaf(node):
            return describe(node)
        label = f"{describe(node)} with {tensors} tensors"
        return label if OTHERS.search(str(name)) or _is_optimizer(node) else f"{label}; root = {str(name)!r} reads it"


def keys(node: Tree) -> str:
    """The first keys of a dict, for messages."""
    names = [name for name in _mapping(node) or {} if type(name) is str]
    return f"{', '.join(names[:12])}{' ...' if len(names) > 12 else ''}"


def _is_nested(node: Tree) -> bool:
    return type(node) is dict or is_module(node) or (isinstance(node, Foreign) and bool(node.entries))


def _mapping(node: Tree) -> dict[Any, Tree] | None:
    if is_module(node):
        return state_dict(node)
    if isinstance(node, Foreign):
        return node.entries or None
    return node if type(node) is dict else None


def _is_optimizer(node: Tree) -> bool:
    return type(node) is dict and "param_groups" in node and "state" in node
