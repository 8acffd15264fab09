"""A network that holds its checkpoint's weights already, under names of its own: its builder loaded them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from typing import Any

import numpy as np

from remap.sides.torch.names import Spelling
from remap.tensors.tensor import Checkpoint
from remap.tensors.to_numpy import to_numpy

Digest = tuple[tuple[int, ...], bytes]
"""Shape and numbers of a tensor."""


def held_spelling(network: Any, checkpoint: Checkpoint, free: Container[str]) -> Spelling | None:
    """The spelling by which every tensor of a checkpoint is one that the network holds; None where one is not.

    Tensors are paired by what they hold. Where several hold the same, as biases of zeros do, those of modules that
    belong together by their other tensors are paired, and the rest in order.

    Args:
        network: The module.
        checkpoint: The tensors.
        free: Keys that the network need not hold, and names that the checkpoint need not have.
    """
    state = dict(network.state_dict())
    theirs = _by_digest((name, tensor.detach().cpu()) for name, tensor in state.items())
    ours = _by_digest(_arrays(checkpoint))
    pairs = {names[0]: ours[held][0] for held, names in theirs.items() if len(names) == len(ours.get(held, ())) == 1}
    modules = _modules(pairs)
    for held, keys in ours.items():
        names = [name for name in theirs.get(held, ()) if name not in pairs]
        left = [key for key in keys if key not in pairs.values()]
        names.sort(key=lambda name: modules.get(_module(name)) is None)
        for name in names:
            best = next((key for key in left if _module(key) == modules.get(_module(name))), left[0] if left else None)
            if best is not None:
                pairs[name] = best
                left.remove(best)
    missing = [key for key in checkpoint if key not in set(pairs.values()) and key not in free]
    parameters = {name for name, _ in network.named_parameters()}
    unfilled = [name for name in state if name in parameters and name not in pairs and name not in free]
    if missing or unfilled or not pairs:
        return None
    return Spelling({key: state[name] for name, key in pairs.items()}, {name: (key,) for name, key in pairs.items()})


def _arrays(checkpoint: Checkpoint) -> Iterator[tuple[str, Any]]:
    for key, tensor in checkpoint.items():
        yield key, tensor.array()
        tensor.storage.release()


def _by_digest(tensors: Any) -> Mapping[Digest, list[str]]:
    digests: dict[Digest, list[str]] = {}
    for name, tensor in tensors:
        array = np.asarray(tensor if isinstance(tensor, np.ndarray) else to_numpy(tensor))
        numbers = np.ascontiguousarray(array if array.dtype.kind in "biu" else array.astype(np.float32))
        digests.setdefault((array.shape, hashlib.blake2b(numbers.tobytes()).digest()), []).append(name)
    return digests


def _modules(pairs: Mapping[str, str]) -> dict[str, str]:
    """Modules of the network with those of the checkpoint that hold the same, by most of their tensors."""
    votes = Counter((_module(name), _module(key)) for name, key in pairs.items())
    return {module: key for (module, key), _ in reversed(votes.most_common())}


def _module(name: str) -> str:
    return name.rpartition(".")[0]
