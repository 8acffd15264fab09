"""Finding the state_dict inside of what people save: nested dicts, whole modules, averages beside weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from remap.errors import CheckpointError, UsageError
from remap.formats.pickles.module import is_module, state_dict
from remap.formats.tree import Census, Foreign, Tree, describe, is_leaf, is_readable
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
MAX_OFFERS = 100
"""Roots that are looked into before they are offered; each takes a look at all keys on its way."""
WHOLE = "."
"""The root that means the whole file."""
MAX_DEPTH = 8
MAX_NESTED = 100_000


class Unwrapped:
    """The way to the state_dict: what was taken off on it and what lies beside it.

    Args:
        tree: What a reader made of a file.
        where: The file, for messages.
        rooted: Whether a root that the caller names leads into this tree, so that one can be offered.
    """

    def __init__(self, tree: Tree, where: str, rooted: bool = True) -> None:
        self.tree = tree
        self.where = where
        self.peeled: list[str] = []
        self.skipped: list[Skipped] = []
        self.roots: list[str] = []
        """Roots that reach tensors which were left alone."""
        self._whole = tree
        self._offers = MAX_OFFERS if rooted else 0
        self._path = ""
        self._count = Census()
        self._readable = Census(is_readable)

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
            self._path += f"{key}."
            self.tree = mapping[key]

    def follow(self, root: str) -> None:
        """Go down the dotted key ``root``; a key may have dots itself.

        Raises:
            UsageError: It leads nowhere.
        """
        rest = root
        while rest:
            mapping = _mapping(self.tree) or {}
            fits = [name for name in mapping if type(name) in (str, int) and f"{rest}.".startswith(f"{name}.")]
            if not fits:
                raise UsageError(
                    f"no root {root!r} in the checkpoint",
                    where=self.where,
                    found=keys(self.tree) or describe(self.tree),
                    fix="set root to the key of the state_dict, or leave it out",
                )
            key = max(fits, key=lambda name: len(str(name)))
            self.peeled.append(f"[{key!r}]")
            self.tree = mapping[key]
            rest = rest[len(str(key)) + 1 :]
        self._path = f"{root}."

    def flatten(self) -> dict[str, Tree]:
        """Tensors by dotted key: a state_dict is flat, several that were saved together are not."""
        if is_leaf(self.tree):
            return {"": self.tree}
        aside = len(self.skipped)
        entries = self._flattened(_is_nested)
        if not entries and self._count(self.tree):
            del self.skipped[aside:]
            entries = self._flattened(_is_container)
        return entries

    def _flattened(self, nested: Callable[[Tree], bool]) -> dict[str, Tree]:
        """Tensors by dotted key.

        Args:
            nested: What is gone into: lists are where there is nothing else.
        """
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
                    label = self._aside(name, child, prefix)
                    self.skipped.append(Skipped(f"{prefix}({type(name).__name__} key)", label))
                elif is_leaf(child):
                    entries[key] = child
                elif nested(child) and self._count(child) and not _is_optimizer(child):
                    below.append((f"{key}.", child))
                else:
                    self.skipped.append(Skipped(key, self._aside(name, child, prefix)))
            waiting += reversed(below)
        return entries

    def _choose(self, mapping: dict[Any, Tree]) -> str | None:
        """The key below which the state_dict lies, None if ``mapping`` is one itself."""
        nested = self._holding(mapping, _is_nested)
        if not nested and not any(map(is_leaf, mapping.values())):
            nested = self._holding(mapping, _is_container)
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

    def _holding(self, mapping: dict[Any, Tree], nested: Callable[[Tree], bool]) -> list[str]:
        """The keys below which there are tensors."""
        return [
            name
            for name, node in mapping.items()
            if type(name) is str and nested(node) and not _is_optimizer(node) and self._count(node)
        ]

    def _aside(self, name: Any, node: Tree, prefix: str = "") -> str:
        tensors = self._count(node)
        if not tensors or is_leaf(node):
            return describe(node)
        label = f"{describe(node)} with {tensors} tensor{'' if tensors == 1 else 's'}"
        if OTHERS.search(str(name)) or _is_optimizer(node) or not _is_container(node) or not self._readable(node):
            return label
        root = f"{self._path}{prefix}{name}"
        if not self._is_root(root, node):
            return label
        self.roots.append(root)
        return f"{label}; root = {root!r} reads it"

    def _is_root(self, root: str, node: Tree) -> bool:
        """Whether a root reaches a node: a key may be empty or no text, and another may have dots."""
        self._offers -= 1
        if self._offers < 0:
            return False
        way = Unwrapped(self._whole, self.where, rooted=False)
        try:
            way.follow(root)
        except UsageError:
            return False
        return way.tree is node and root != WHOLE


def keys(node: Tree) -> str:
    """The first keys of a dict, for messages."""
    names = [name for name in _mapping(node) or {} if type(name) is str]
    return f"{', '.join(names[:12])}{' ...' if len(names) > 12 else ''}"


def _is_nested(node: Tree) -> bool:
    return type(node) is dict or is_module(node) or (isinstance(node, Foreign) and bool(node.entries))


def _is_container(node: Tree) -> bool:
    return _is_nested(node) or type(node) in (list, tuple)


def _mapping(node: Tree) -> dict[Any, Tree] | None:
    """What a node holds by key: a list or a tuple by number."""
    if type(node) in (list, tuple):
        return {str(number): child for number, child in enumerate(node)}
    if is_module(node):
        return state_dict(node)
    if isinstance(node, Foreign):
        return node.entries or None
    return node if type(node) is dict else None


def _is_optimizer(node: Tree) -> bool:
    return type(node) is dict and "param_groups" in node and "state" in node
