"""The names of a network's tensors and modules as its checkpoint spells them.

A checkpoint's keys are not always those of ``state_dict()``: the rule file takes prefixes off, a module may stand
around the network, and transformers has renamed modules since files were published, and joins the experts of a layer
that lie apart in them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from remap.sides.framework import import_module
from remap.sides.reference import Reference, TracedModule


@dataclass(frozen=True)
class TensorPlace:
    """Where the elements of a copy are in the network.

    Args:
        index: Their numbers, counted through all of the network's tensors.
        parts: The tensors that they lie in, each with the number of its first element.
    """

    index: Any
    parts: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Spelling:
    """A network's tensors under a checkpoint's names.

    Args:
        tensors: The tensors, or parts of them, by the checkpoint's key.
        keys: The checkpoint's keys of each tensor by its own name; several where it is cut.
        copies: Those of ``tensors`` that are no views, and where what they hold belongs.
    """

    tensors: Mapping[str, Any]
    keys: Mapping[str, tuple[str, ...]]
    copies: Mapping[str, TensorPlace] = field(default_factory=dict)

    def put_back(self, network: Any) -> None:
        """Write what the copies hold into the network."""
        state = network.state_dict() if self.copies else {}
        for key, place in self.copies.items():
            index, values = place.index.reshape(-1), self.tensors[key].reshape(-1)
            for name, start in place.parts:
                inside = (index >= start) & (index < start + state[name].numel())
                state[name].view(-1)[index[inside] - start] = values[inside]


def spelling_of(network: Any, checkpoint: Iterable[str], strip: Sequence[str] = ()) -> Spelling:
    """The spelling that shares most keys with a checkpoint; the network's own where several do.

    Args:
        network: The module.
        checkpoint: The checkpoint's keys.
        strip: Prefixes that were taken off them, as regular expressions.
    """
    wanted = set(checkpoint)
    state = dict(network.state_dict())
    spellings = [(state, dict[str, TensorPlace]()), *_published(network, state)]
    spellings += [
        tuple({stripped(name, strip): entry for name, entry in part.items()} for part in each)  # type: ignore[misc]
        for each in spellings
    ]
    around = _around(state, wanted)
    spellings.append(({name.removeprefix(around): tensor for name, tensor in state.items()}, {}))
    best, copies = max(spellings, key=lambda each: len(wanted & set(each[0])))
    return Spelling(best, _keys(state, best, copies), copies)


def _around(names: Iterable[str], wanted: Container[str]) -> str:
    """What most names have before a wanted key: the attribute of a module that stands around the network.

    >>> _around(["net.a.weight", "net.b.weight", "scale"], {"a.weight", "b.weight"})
    'net.'
    """
    dots = ((name, at + 1) for name in names for at, character in enumerate(name) if character == ".")
    counts = Counter(name[:start] for name, start in dots if name[start:] in wanted)
    return counts.most_common(1)[0][0] if counts else ""


def stripped(name: str, strip: Sequence[str]) -> str:
    r"""A key, or the path of a module, without the prefixes that patterns match, in turn.

    >>> stripped("bert.encoder.layer", [r"bert\.", r"encoder\."]), stripped("bert", [r"bert\."])
    ('layer', 'bert')
    """
    rest = f"{name}."
    for pattern in strip:
        match = re.match(pattern, rest)
        rest = rest[match.end() :] if match else rest
    return rest[:-1] or name


def _published(network: Any, state: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, TensorPlace]]]:
    """A transformers model's tensors as its published files name and cut them; the places of those that are copies."""
    if not hasattr(network, "base_model_prefix"):
        return
    try:
        loading = import_module("transformers.core_model_loading")
    except ModuleNotFoundError:  # before transformers 5 the names are those of the files
        return
    storages = {_storage(tensor) for tensor in state.values()}
    for _ in _levels(network):
        published = loading.revert_weight_conversion(network, dict(state))
        copied = [key for key, tensor in published.items() if _storage(tensor) not in storages]
        places = _places(network, state, loading) if copied else {}
        if all(key in places for key in copied):
            yield published, {key: places[key] for key in copied}


def _levels(network: Any) -> Iterator[None]:
    """The network as it is; then, for one that was not made from files, with the levels that its files may have more.

    Without files transformers does not know whether they have those, and leaves them out.
    """
    yield
    if getattr(network, "_weight_conversions", None) is None:
        mapping = import_module("transformers.conversion_mapping")
        network._weight_conversions = mapping.get_model_conversion_mapping(network, add_legacy=False)
        try:
            yield
        finally:
            del network._weight_conversions


def _places(network: Any, state: Mapping[str, Any], loading: Any) -> dict[str, TensorPlace]:
    """Where the elements of each published tensor come from: told by numbers in the place of the weights."""
    torch = import_module("torch")
    starts, numbers, end = [], {}, 0
    for name, tensor in state.items():
        starts.append(end)
        numbers[name] = torch.arange(end, end + tensor.numel()).reshape(tensor.shape)
        end += tensor.numel()
    names = list(state)
    places = {}
    for key, number in loading.revert_weight_conversion(network, numbers).items():
        first, last = (bisect_right(starts, int(number.flatten()[at])) - 1 for at in (number.argmin(), number.argmax()))
        places[key] = TensorPlace(number, tuple(zip(names[first : last + 1], starts[first : last + 1], strict=True)))
    return places


def _storage(tensor: Any) -> int:
    return int(tensor.untyped_storage().data_ptr())


def _keys(
    state: Mapping[str, Any], spelled: Mapping[str, Any], copies: Mapping[str, TensorPlace]
) -> dict[str, tuple[str, ...]]:
    """Each tensor's keys: by its storage, and by name where tied tensors share one."""
    by_storage: dict[int, list[str]] = {}
    by_name: dict[str, list[str]] = {}
    for key, tensor in spelled.items():
        if key in copies:
            for part, _ in copies[key].parts:
                by_name.setdefault(part, []).append(key)
        else:
            by_storage.setdefault(_storage(tensor), []).append(key)
    keys_of = {}
    for name, tensor in state.items():
        keys = by_name.get(name) or by_storage.get(_storage(tensor), [])
        shared = {key: len(_common_tail(name, key)) for key in keys}
        keys_of[name] = tuple(key for key in keys if shared[key] == max(shared.values()))
    return keys_of


def _common_tail(name: str, other: str) -> list[str]:
    """The parts that both dotted names end with.

    >>> _common_tail("model.embed.weight", "language_model.embed.weight")
    ['weight', 'embed']
    """
    pairs = zip(reversed(name.split(".")), reversed(other.split(".")), strict=False)
    return [part for part, theirs in takewhile(lambda pair: pair[0] == pair[1], pairs)]


def paths_as_spelled(modules: Mapping[str, TracedModule], spelling: Spelling, strip: Sequence[str]) -> dict[str, str]:
    """What to call each module by the checkpoint's names; a module that they do not tell keeps its own path.

    A module's path is what its tensors' keys have before their names in it; for one whose tensors were renamed inside
    of it, what all of them begin with, where no other module has that path.
    """
    spelled: dict[str, str] = {}
    for path, module in modules.items():
        prefix = f"{path}." if path else ""
        heads = {
            key.removesuffix(name).removesuffix(".") if key.endswith(name) else None
            for name in module.tensors
            for key in spelling.keys.get(prefix + name, ())
        }
        if len(heads) == 1 and None not in heads:
            spelled[path] = str(heads.pop())
    counts = Counter(spelled.values())
    spelled = {path: name for path, name in spelled.items() if counts[name] == 1}  # one tensor may be made of several
    taken = set(spelled.values())
    for path, module in modules.items():
        if path in spelled:
            continue
        prefix = f"{path}." if path else ""
        keys = [key for name in module.tensors for key in spelling.keys.get(prefix + name, ())]
        head = _common(keys) if len(keys) > 1 else ""
        name = head if head and head not in taken else stripped(path, strip)
        spelled[path] = name if name not in taken else path
        taken.add(spelled[path])
    return spelled


def _common(keys: Sequence[str]) -> str:
    """The dotted path that all keys begin with.

    >>> _common(["layer.0.query.weight", "layer.0.key.weight"])
    'layer.0'
    """
    shared: list[str] = []
    for level in zip(*(key.split(".") for key in keys), strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return ".".join(shared)


def as_spelled(reference: Reference, spelling: Spelling, strip: Sequence[str]) -> Reference:
    """A reference whose modules, tensors and statistics have the checkpoint's names."""
    paths = paths_as_spelled(reference.modules, spelling, strip)
    modules = {paths[path]: _module(path, paths[path], module, spelling) for path, module in reference.modules.items()}
    for call in reference.trace.calls:
        call.name = paths.get(call.name, call.name)
    untraced = {paths.get(path, path): reason for path, reason in reference.trace.untraced.items()}
    reference.trace.untraced = untraced
    calibrated = {spelling.keys.get(name, (name,))[0]: array for name, array in reference.calibrated.items()}
    return replace(reference, modules=modules, calibrated=calibrated)


def spelled_by(modules: Mapping[str, TracedModule], strip: Sequence[str]) -> Spelling:
    """The spelling of a network that is not at hand, whose tensors have a checkpoint's names but for their prefixes."""
    names = modules[""].tensors if "" in modules else ()
    return Spelling({}, {name: (stripped(name, strip),) for name in names})


def _module(path: str, spelled: str, module: TracedModule, spelling: Spelling) -> TracedModule:
    prefix, head = f"{path}." if path else "", f"{spelled}." if spelled else ""
    keys = [key for name in module.tensors for key in spelling.keys.get(prefix + name, (prefix + name,))]
    return replace(module, tensors=tuple(key.removeprefix(head) for key in keys))
