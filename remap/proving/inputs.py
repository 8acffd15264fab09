"""The inputs of both networks: specified, or inferred from the Keras model; drawn with a seed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from remap.errors import UsageError
from remap.sides.feed import Feed, KerasInput

IMAGE_SIZE = 64
"""Height and width where a model leaves them open."""
SEQUENCE_LENGTH = 16
"""Length of a sequence where a model leaves it open."""
SMALL = 32
_SPEC = re.compile(
    r"(?:(?P<name>[\w./]+)(?::(?P<torch>\w+))?=)?(?P<dtype>\w+)\[(?P<shape>[\d,\s]*)\](?:<(?P<bound>\w+))?"
)
FORMS = "[NAME[:TORCH_NAME]=]float32[1,3,224,224], int64[1,16]<30522, or a .npz or .safetensors file"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input, in PyTorch's layout.

    Args:
        name: Keras's name of it, empty for the next in order.
        shape: Sizes, batch included.
        dtype: ``float32``, ``int64`` ...
        torch_name: Keyword in PyTorch's ``forward``; empty for a positional argument.
        bound: Integers are drawn below it; a number, or the name of a parameter (``vocab``: the embedding's).
        values: The array itself, where a file gave it.
        avoid: Integers that are not drawn: those that stand for padding.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    torch_name: str = ""
    bound: int | str | None = None
    values: np.ndarray | None = None
    avoid: tuple[int, ...] = ()


def parse_input(text: str) -> list[InputSpec]:
    """Input specs from ``--input``: one, or all that a file holds.

    Raises:
        UsageError: It is none of the known forms.

    >>> parse_input("ids:input_ids=int64[1,16]<30522")[0].bound
    30522
    >>> parse_input("float32[1,3,224,224]")[0].shape
    (1, 3, 224, 224)
    """
    path = Path(text)
    if path.suffix in (".npz", ".safetensors"):
        return [
            InputSpec(name, array.shape, array.dtype.name, values=array) for name, array in _read_arrays(path).items()
        ]
    match = _SPEC.fullmatch(text.replace(" ", ""))
    if match is None:
        raise UsageError("cannot read an input", where="--input", found=text, expected=FORMS)
    try:
        np.dtype(match["dtype"])
    except TypeError as error:
        raise UsageError("unknown dtype of an input", where="--input", found=match["dtype"]) from error
    bound = match["bound"]
    return [
        InputSpec(
            match["name"] or "",
            tuple(int(size) for size in match["shape"].split(",") if size),
            match["dtype"],
            match["torch"] or "",
            int(bound) if bound is not None and bound.isdigit() else bound,
        )
    ]


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UsageError("no such file", where=f"--input {path}")
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return {name: archive[name] for name in archive.files}
    from safetensors.numpy import load_file

    return dict(load_file(path))


def settle_inputs(
    given: Sequence[InputSpec],
    model: Sequence[KerasInput] | None,
    *,
    samples: int = 1,
    odd_size: bool = False,
    params: Mapping[str, Any] | None = None,
) -> list[InputSpec]:
    """The inputs of a run: those given, and for the rest what the Keras model says.

    Args:
        given: From ``--input``.
        model: The Keras model's inputs in order; None where there is no model or it does not tell.
        samples: Size of the batch, where a shape is inferred.
        odd_size: Whether spatial sizes become odd at every stride of two (:func:`odd`).
        params: Values that a bound can name.

    Raises:
        UsageError: A name is unknown, a bound is unknown, or nothing tells the shapes.
    """
    if model is None:
        if not given:
            raise UsageError("the model does not tell the shape of its inputs", fix=f"give --input {FORMS}")
        specs = [spec if spec.name else replace(spec, name=f"input_{n}") for n, spec in enumerate(given)]
        known: dict[str, KerasInput] = {}
    else:
        specs = _named(given, [entry.name for entry in model])
        known = {entry.name: entry for entry in model}
        named = {spec.name: spec for spec in specs}
        specs = [named.get(entry.name) or _inferred(entry, samples) for entry in model]
    specs = [_bounded(spec, known.get(spec.name), params or {}) for spec in specs]
    if odd_size:
        specs = [_odd(spec, known.get(spec.name)) for spec in specs]
    return specs


def _named(given: Sequence[InputSpec], names: Sequence[str]) -> list[InputSpec]:
    free = [name for name in names if name not in {spec.name for spec in given}]
    named = []
    for spec in given:
        if spec.name in names:
            named.append(spec)
        elif (not spec.name or spec.values is not None or len(given) == len(names)) and free:
            named.append(replace(spec, name=free.pop(0)))
        else:
            raise UsageError("the model has no such input", where=f"--input {spec.name}", expected=", ".join(names))
    return named


def _inferred(entry: KerasInput, samples: int) -> InputSpec:
    rank = len(entry.shape)
    spatial = rank >= 3 or entry.channels_first
    shape = tuple(
        size if size is not None else IMAGE_SIZE if spatial and rank >= 3 else SEQUENCE_LENGTH for size in entry.shape
    )
    if entry.channels_first:
        shape = (shape[-1], *shape[:-1])
    integer = entry.bound is not None or entry.dtype.startswith(("int", "uint"))
    return InputSpec(entry.name, (samples, *shape), "int64" if integer else "float32")


def _bounded(spec: InputSpec, entry: KerasInput | None, params: Mapping[str, Any]) -> InputSpec:
    if spec.bound is None:
        return replace(spec, bound=entry.bound if entry else None)
    if isinstance(spec.bound, int):
        return spec
    bound = params.get(spec.bound, entry.bound if entry else None)
    if not isinstance(bound, int):
        raise UsageError(
            "unknown bound of an input",
            where=f"--input {spec.name}",
            found=f"<{spec.bound}",
            expected="a number, or the name of a parameter of the rule file",
        )
    return replace(spec, bound=bound)


def odd(size: int) -> int:
    """The next size that stays odd through strides of two: there ``same`` and symmetric padding coincide.

    >>> [odd(size) for size in (8, 64, 65, 224, 100)]
    [9, 65, 65, 225, 129]
    """
    step = SMALL
    while step > size:
        step //= 2
    return size if size % step == 1 or step == 1 else (size + step - 2) // step * step + 1


def _odd(spec: InputSpec, entry: KerasInput | None) -> InputSpec:
    if spec.values is not None or len(spec.shape) < 4:
        return spec
    first = entry is None or entry.channels_first
    axes = range(2, len(spec.shape)) if first else range(1, len(spec.shape) - 1)
    shape = list(spec.shape)
    for axis in axes:
        shape[axis] = odd(shape[axis])
    if entry is not None:
        fixed = (entry.shape[-1], *entry.shape[:-1]) if entry.channels_first else entry.shape
        if any(known is not None and known != size for known, size in zip(fixed, shape[1:], strict=True)):
            raise UsageError(
                "the Keras model does not take an odd size",
                where=f"input {entry.name}",
                found=f"shape {entry.shape}",
                expected=f"sizes {shape[2:] if first else shape[1:-1]}, or open ones",
                fix="build it for that size: --model-arg input_shape=[...]",
            )
    return replace(spec, shape=tuple(shape))


def draw(specs: Iterable[InputSpec], model: Sequence[KerasInput] | None, seed: int, other: bool = False) -> list[Feed]:
    """The arrays of all inputs: standard normal numbers, or integers below the bound; masks are ones.

    Args:
        specs: What to draw.
        model: What the Keras model says of its inputs.
        seed: Of the draw.
        other: Whether given values are shuffled: an input of the same numbers, but another one.
    """
    entries = {entry.name: entry for entry in model or ()}
    feeds = []
    for position, spec in enumerate(specs):
        random = np.random.default_rng([seed, position])
        array = _array(spec, random)
        if other and spec.values is not None and "mask" not in spec.name:
            array = random.permutation(array.reshape(-1)).reshape(array.shape)
        feeds.append(Feed(spec.name, spec.torch_name, array, to_keras(array, entries.get(spec.name))))
    return feeds


def _array(spec: InputSpec, random: np.random.Generator) -> np.ndarray:
    if spec.values is not None:
        return spec.values
    dtype = np.dtype(spec.dtype)
    if dtype.kind in "biu":
        if "mask" in spec.name or "mask" in spec.torch_name:
            return np.ones(spec.shape, dtype)
        choice = np.setdiff1d(np.arange(spec.bound if isinstance(spec.bound, int) else 2), spec.avoid)
        return random.choice(choice, spec.shape).astype(dtype)
    return random.standard_normal(spec.shape).astype(dtype)


def to_keras(array: np.ndarray, entry: KerasInput | None) -> np.ndarray:
    """An input in Keras's layout: channels moved last where the model has them there.

    >>> to_keras(np.zeros((1, 3, 8, 9)), KerasInput("x", (8, 9, 3), "float32", channels_first=True)).shape
    (1, 8, 9, 3)
    """
    if array.ndim < 3 or (entry is None and array.ndim < 4):
        return array
    moved = np.ascontiguousarray(np.moveaxis(array, 1, -1))
    if entry is None:
        return moved
    fits = [_fits(form.shape[1:], entry.shape) for form in (array, moved)]
    if fits[1] and (entry.channels_first or not fits[0]):
        return moved
    return array


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(w is None or s == w for s, w in zip(shape, wanted, strict=True))
