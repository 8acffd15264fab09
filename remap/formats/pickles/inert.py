"""What comes of the calls that a pickle asks for: values of this package, or stand-ins that can do nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remap.formats.tree import Foreign, Global

_KEY_TYPES = frozenset((str, bool, type(None), Foreign, Global))
_MAX_KEY = 1 << 60


class Constructor:
    """A function of this package that stands for an allowed global: the only thing a pickle can have called."""

    __slots__ = ("call", "name")

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name = name
        self.call = call


def call(function: Any, args: Any) -> Any:
    """What stands for ``function(*args)``: a value of ours, or an inert :class:`Foreign`."""
    if type(args) is not tuple:
        raise TypeError("arguments are no tuple")
    if type(function) is Constructor:
        return function.call(*args)
    if type(function) is Global:
        return Foreign(function.name, args)
    if type(function) is Foreign:
        return Foreign(f"result of {function.name:.200}", args)
    raise TypeError("call of something that is no function")


def add_items(target: Any, items: list[Any]) -> None:
    """Put ``[key, value, key, value ...]`` into a dict, or beside an inert object."""
    entries = target.entries if type(target) is Foreign else target
    if type(entries) is not dict:
        return
    before = len(entries)
    for index in range(0, len(items), 2):
        entries[_key(items[index])] = items[index + 1]
    if len(entries) - before != len(items) // 2:
        raise ValueError("a key occurs twice in one dict")


def _key(key: Any) -> Any:
    """A key that hashes in constant time and without recursion; others are stood in for: they name no tensor."""
    if type(key) in _KEY_TYPES or (type(key) is int and abs(key) < _MAX_KEY):
        return key
    return Foreign(f"{type(key).__name__} as key")
