"""From the user's TORCH (``package.module:callable``, ``file.py:callable``, TorchScript, ``.pt2``) to a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from remap.errors import CheckpointError, Problem, RemapError, TargetError
from remap.sides.framework import import_module, prepare_process
from remap.sides.torch.held import held_spelling
from remap.sides.torch.names import Spelling, spelling_of
from remap.sides.usercode import fitting_arguments, object_named
from remap.tensors.tensor import Checkpoint

FORMS = "package.module:callable, path/to/file.py:callable, a TorchScript file, a .pt2 file, or a recording"
OPTIONAL = ("num_batches_tracked", "inv_freq", "position_ids")
"""A counter that no output depends on, and what a network computes when it is built: a checkpoint may lack them."""


def load_network(spec: str, args: dict[str, object] | None = None) -> Any:
    """The ``torch.nn.Module`` that a spec names, in inference mode, on the CPU.

    Args:
        spec: One of :data:`FORMS`, recordings apart.
        args: Arguments of the callable.

    Raises:
        TargetError: It cannot be built, or is no module.
        MissingPackageError: PyTorch is not installed.
    """
    prepare_process()
    torch = import_module("torch")
    path = Path(spec)
    if path.suffix == ".pt2":
        network = _read(spec, lambda: torch.export.load(spec)).module()
        network.remap_exported = True
        return network
    if path.suffix in (".pt", ".pth", ".ts", ".jit", ".torchscript") and ":" not in spec:
        return _read(spec, lambda: torch.jit.load(spec, map_location="cpu")).eval()
    if ":" not in spec:
        raise TargetError("cannot tell which PyTorch model is meant", where=spec, expected=FORMS)
    build = object_named(spec, FORMS)
    if not callable(build):
        raise TargetError(
            "this is neither a model nor a callable", where=spec, found=type(build).__name__, expected="a function"
        )
    args = fitting_arguments(spec, build, args or {}, "--torch-arg")
    try:
        network = build(**args)
    except RemapError:
        raise
    except Exception as error:
        raise TargetError(
            "the PyTorch model could not be built", where=spec, found=f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(network, torch.nn.Module):
        raise TargetError(
            "the callable does not return a torch.nn.Module",
            where=spec,
            found=f"{type(network).__module__}.{type(network).__qualname__}",
            expected="a torch.nn.Module",
        )
    return network.to("cpu").eval()


def _read(spec: str, load: Any) -> Any:
    if not Path(spec).is_file():
        raise TargetError("the PyTorch model's file is not found", where=spec)
    try:
        return load()
    except Exception as error:
        raise TargetError(
            "the file holds no PyTorch program",
            where=spec,
            found=f"{type(error).__name__}: {str(error)[:300]}",
            expected=FORMS,
            fix="a checkpoint holds weights only: name the function that builds the module",
        ) from error


def load_weights(
    network: Any, checkpoint: Checkpoint, ignored: Iterable[str] = (), lenient: bool = False, strip: Sequence[str] = ()
) -> Spelling:
    """Put a checkpoint into a network, strictly: every tensor on both sides, every shape.

    Args:
        network: The module.
        checkpoint: The tensors.
        ignored: Keys that rules leave behind: the network need not know them.
        lenient: Whether it may know none of the keys that it lacks, as where no rules are at hand.
        strip: Prefixes that were taken off the checkpoint's keys, as regular expressions.

    Returns:
        How the checkpoint spells the network's names.

    Raises:
        CheckpointError: Keys or shapes differ.

    A network that holds the checkpoint's tensors already, under names of its own, is left as it is
    (:func:`~remap.sides.torch.held.held_spelling`). A key that the checkpoint lacks is forgiven where the network ties
    it to one that is there, and for :data:`OPTIONAL` ones.
    """
    spelling = spelling_of(network, checkpoint, strip)
    state = spelling.tensors
    problems = list(_problems(state, checkpoint, set(checkpoint) if lenient else set(ignored)))
    if problems:
        held = held_spelling(network, checkpoint, set(checkpoint) if lenient else set(ignored))
        if held is None:
            raise CheckpointError(problems)
        return held
    torch = import_module("torch")
    with torch.no_grad():
        for name, tensor in state.items():
            if name in checkpoint:
                tensor.copy_(tensor_of(checkpoint[name].array()))
                checkpoint[name].storage.release()
        spelling.put_back(network)
    return spelling


def _problems(state: Mapping[str, Any], checkpoint: Checkpoint, ignored: set[str]) -> Iterable[Problem]:
    loaded = {tensor.data_ptr() for name, tensor in state.items() if name in checkpoint and tensor.numel()}
    for name, tensor in state.items():
        if name not in checkpoint:
            if not name.endswith(OPTIONAL) and tensor.data_ptr() not in loaded:
                yield Problem(
                    "the checkpoint lacks a tensor of the PyTorch model",
                    name,
                    expected=f"{tuple(tensor.shape)}",
                    fix="build the module that the checkpoint was saved from",
                )
        elif tuple(tensor.shape) != checkpoint[name].shape:
            yield Problem(
                "checkpoint and PyTorch model differ in a shape",
                name,
                f"{checkpoint[name].shape}",
                f"{tuple(tensor.shape)}",
                "build the module that the checkpoint was saved from",
            )
    for name in checkpoint:
        if name not in state and name not in ignored:
            yield Problem(
                "the PyTorch model lacks a tensor of the checkpoint",
                name,
                fix="build the module that the checkpoint was saved from",
            )


def tensor_of(array: np.ndarray) -> Any:
    """A tensor with an array's values; what numpy has no name for (bfloat16) goes by way of float32."""
    if array.dtype.kind == "V" or array.dtype.name.startswith(("bfloat16", "float8")):
        array = array.astype(np.float32)
    return import_module("torch").from_numpy(np.array(array))
