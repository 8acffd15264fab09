"""A PyTorch network in double precision: one module at a time, so that its weights are never there twice, or whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from typing import Any

from remap.sides.framework import import_module
from remap.sides.torch.calls import is_operation

Way = Callable[[Any], AbstractContextManager[None]]
"""Given a network: in double precision as long as the context lasts."""


@contextmanager
def by_module(network: Any) -> Iterator[None]:
    """Each module's own parameters and buffers are in double precision while it runs.

    Args:
        network: A module that takes hooks. It must be given inputs in double precision; where a module computes with
            the weights of one that it does not call, it fails, or rounds, which a look at its values shows.
    """
    handles = []
    for module in network.modules():
        held = module.modules() if is_operation(module) else [module]
        own = [part for part in held if part._parameters or part._buffers]
        if own:
            widen, narrow = _hooks(own)
            handles.append(module.register_forward_pre_hook(widen))
            handles.append(module.register_forward_hook(narrow, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def whole(network: Any) -> Iterator[None]:
    """All of it is in double precision."""
    try:
        network.double()
        yield
    finally:
        network.float()  # every float32 survives the way there and back


WAYS: tuple[Way, ...] = (by_module, whole)
"""The thriftier first."""


def _hooks(modules: Sequence[Any]) -> tuple[Callable[..., None], Callable[..., None]]:
    """What is done before and after a call: a copy takes the place of each tensor, which then comes back as it was."""
    unseen = import_module("torch")._C.DisableTorchFunction  # it is no function of the network's
    before: list[tuple[Any, Any]] = []

    def widen(*_: Any) -> None:
        with unseen():
            for module in modules:
                for tensor in chain(module._parameters.values(), module._buffers.values()):
                    if tensor is not None and tensor.is_floating_point():
                        before.append((tensor, tensor.data))
                        tensor.data = tensor.data.double()

    def narrow(*_: Any) -> None:
        with unseen():
            while before:
                tensor, data = before.pop()
                tensor.data = data

    return widen, narrow
