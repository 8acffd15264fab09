"""TorchScript archives: parameters and buffers by module path; the code in them is read for their names, never run.

Layout: https://github.com/pytorch/pytorch/blob/main/torch/csrc/jit/docs/serialization.md
"""

from __future__ import annotations

import re

from remap.errors import CheckpointError
from remap.formats.containers.zipdir import ZipEntry, only_root, read_entry
from remap.formats.contents import Contents
from remap.formats.format import Format
from remap.formats.pickles.module import MAX_DEPTH, MAX_MODULES
from remap.formats.pytorch.torch_zip import check_byte_order, read_pickle
from remap.formats.tree import Foreign, Tree, describe, is_leaf
from remap.formats.unread import Unread
from remap.tensors.blob import Blob
from remap.tensors.tensor import Skipped

MAX_CODE = 1 << 26

_CLASS = re.compile(
    r"^class (\w+)\(.*?\):\n  __parameters__ = \[([^\]\n]*)\]\n  __buffers__ = \[([^\]\n]*)\]", re.MULTILINE
)
_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')


class TorchScript(Format):
    """What ``torch.jit.save`` writes."""

    name = "torchscript"
    title = "TorchScript"

    def recognise(self, file: Unread) -> bool:
        return any(name.endswith("/constants.pkl") or name == "constants.pkl" for name in file.entries)

    def read(self, file: Unread) -> Contents:
        return read(file.blob, file.entries)


TORCHSCRIPT = TorchScript()


def read(blob: Blob, entries: dict[str, ZipEntry]) -> Contents:
    """The contents of a TorchScript archive.

    Raises:
        CheckpointError: It is damaged or hostile.
    """
    root = only_root(blob, entries, "data.pkl")
    check_byte_order(blob, entries, root)
    tree = read_pickle(blob, entries, f"{root}data.pkl", f"{root}data/")
    if not isinstance(tree, Foreign):
        raise CheckpointError("TorchScript archive without a module", where=blob.name, found=describe(tree))
    state, skipped = _state_dict(tree, _attributes(blob, entries, f"{root}code/"))
    return Contents(TORCHSCRIPT.title, state, tuple(skipped))


def _attributes(blob: Blob, entries: dict[str, ZipEntry], folder: str) -> dict[str, list[str]]:
    """From every module class to the names of its parameters and buffers."""
    classes: dict[str, list[str]] = {}
    for name, entry in entries.items():
        if name.startswith(folder) and name.endswith(".py"):
            code = read_entry(blob, name, entry, MAX_CODE).decode("utf-8", "replace")
            package = name[len(folder) : -len(".py")].replace("/", ".")
            for match in _CLASS.finditer(code):
                classes[f"{package}.{match[1]}"] = _NAME.findall(match[2]) + _NAME.findall(match[3])
    return classes


def _state_dict(module: Foreign, classes: dict[str, list[str]]) -> tuple[dict[str, Tree], list[Skipped]]:
    state_dict: dict[str, Tree] = {}
    skipped: list[Skipped] = []
    waiting: list[tuple[str, Foreign, int]] = [("", module, 0)]
    visits = 0
    while waiting:
        prefix, node, depth = waiting.pop()
        visits += 1
        if depth > MAX_DEPTH or visits > MAX_MODULES:
            raise CheckpointError("modules are nested without end", where=f"module {module.name}")
        state = node.state if type(node.state) is dict else {}
        named = classes.get(node.name, [])
        state_dict |= {prefix + name: state[name] for name in named if is_leaf(state.get(name))}
        below = []
        for name, value in state.items():
            if isinstance(value, Foreign) and value.name in classes:
                below.append((f"{prefix}{name}.", value, depth + 1))
            elif name not in named and (is_leaf(value) or isinstance(value, Foreign)):
                reason = "tensor that is neither parameter nor buffer" if is_leaf(value) else describe(value)
                skipped.append(Skipped(f"{prefix}{name}", reason))
        waiting += reversed(below)
    return state_dict, skipped
