"""The inputs of both networks: specified, or inferred from the Keras model; drawn with a seed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from remap.errors import UsageError
from remap.proving.kinds import array_of, demand_numbers, named_kind
from remap.proving.placed import odd, to_keras
from remap.sides.feed import Feed, InputKind, KerasInput

IMAGE_SIZE = 64
"""Height and width where a model leaves them open."""
SEQUENCE_LENGTH = 16
"""Length of a sequence where a model leaves it open."""
_FLOATS = (InputKind.NUMBERS, InputKind.PIXELS)
_SPEC = re.compile(
    r"(?:(?P<name>[\w./]+)(?::(?P<torch>\w+))?=)?(?P<dtype>\w+)(?::(?P<stored>\w+))?\[(?P<shape>[\d,\s]*)\](?:<(?P<bound>\w+))?"
)
FORMS = (
    "[NAME[:TORCH_NAME]=]float32[1,3,224,224], ids[1,16]<30522, mask[1,16], mask:bool[1,16], positions[1,16], "
    "types[1,16]<2, lengths[2]<17, pixels[1,3,224,224], or a .npz or .safetensors file"
)


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
        kind: What it is; None where that is to be told from names, and from what the models do with it.
        guessed: Whether its kind is a guess.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    torch_name: str = ""
    bound: int | str | None = None
    values: np.ndarray | None = None
    avoid: tuple[int, ...] = ()
    kind: InputKind | None = None
    guessed: bool = False


def parse_input(text: str) -> list[InputSpec]:
    """Input specs from ``--input``: one, or all that a file holds.

    Raises:
        UsageError: It is none of the known forms.

    >>> parse_input("ids:input_ids=int64[1,16]<30522")[0].bound
    30522
    >>> parse_input("float32[1,3,224,224]")[0].shape
    (1, 3, 224, 224)
    >>> parse_input("attention_mask=mask[1,16]")[0].kind
    <InputKind.MASK: 'mask'>
    """
    path = Path(text)
    if path.suffix in (".npz", ".safetensors"):
        return [
            InputSpec(name, array.shape, array.dtype.name, values=array) for name, array in _read_arrays(path).items()
        ]
    match = _SPEC.fullmatch(text.replace(" ", ""))
    if match is None:
        raise UsageError("cannot read an input", where="--input", found=text, expected=FORMS)
    kind, dtype = _kind_and_dtype(match["dtype"], match["stored"])
    bound = match["bound"]
    return [
        InputSpec(
            match["name"] or "",
            tuple(int(size) for size in match["shape"].split(",") if size),
            dtype,
            match["torch"] or "",
            int(bound) if bound is not None and bound.isdigit() else bound,
            kind=kind,
        )
    ]


def spelled(spec: InputSpec) -> str:
    """What ``--input`` takes for an input of a kind.

    >>> spelled(parse_input("ids:input_ids=ids[1,16]<30522")[0])
    'ids:input_ids=ids[1,16]<30522'
    """
    called = f"{spec.name}:{spec.torch_name}" if spec.torch_name else spec.name
    bound = f"<{spec.bound}" if spec.bound is not None else ""
    return f"{called}{'=' if called else ''}{spec.kind or spec.dtype}[{','.join(map(str, spec.shape))}]{bound}"


def check_input(text: str) -> None:
    """Raise where :func:`parse_input` would, without reading a file.

    Raises:
        UsageError: It is none of the known forms, or there is no such file.
    """
    path = Path(text)
    if path.suffix not in (".npz", ".safetensors"):
        parse_input(text)
    elif not path.is_file():
        raise UsageError("no such file", where=f"--input {path}")


def _kind_and_dtype(word: str, stored: str | None) -> tuple[InputKind | None, str]:
    """A kind with its element type, or an element type alone, which leaves the kind open."""
    kind = InputKind(word) if word in list(InputKind) else None
    dtype = stored or (word if kind is None else "float32" if kind in _FLOATS else "int64")
    try:
        np.dtype(dtype)
    except TypeError as error:
        raise UsageError("unknown dtype of an input", where="--input", found=dtype, expected=FORMS) from error
    return kind, dtype


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
    signature: Sequence[str] = (),
) -> list[InputSpec]:
    """The inputs of a run: those given, and for the rest what the Keras model says.

    Args:
        given: From ``--input``.
        model: The Keras model's inputs in order; None where there is no model or it does not tell.
        samples: Size of the batch, where a shape is inferred.
        odd_size: Whether spatial sizes become odd at every stride of two (:func:`odd`).
        params: Values that a bound can name.
        signature: The names of PyTorch's arguments, in order.

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
        demand_numbers(model)
        named = {spec.name: spec for spec in specs}
        specs = [named.get(entry.name) or _inferred(entry, samples) for entry in model]
    specs = [_bounded(spec, known.get(spec.name), params or {}) for spec in specs]
    names = [*signature, *[""] * len(specs)]
    specs = [_told(spec, known.get(spec.name), name) for spec, name in zip(specs, names, strict=False)]
    longest = max((spec.shape[1] for spec in specs if len(spec.shape) > 1), default=1)
    specs = [
        replace(spec, bound=longest + 1) if spec.kind is InputKind.LENGTHS and spec.bound is None else spec
        for spec in specs
    ]
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
    kind = entry.kind or (named_kind(entry.name) if entry.invented else None)
    integer |= entry.invented and kind is not None and kind not in _FLOATS
    return InputSpec(entry.name, (samples, *shape), "int64" if integer else "float32", kind=entry.kind)


def _told(spec: InputSpec, entry: KerasInput | None, argument: str) -> InputSpec:
    """An input with its kind: as it was given, as the Keras model uses it, as it is called; else as its dtype has it.

    ``argument`` is what PyTorch calls it, where it goes by place.
    """
    if spec.values is not None or spec.kind is not None:
        return spec
    names, kind = (spec.name, spec.torch_name or argument), np.dtype(spec.dtype).kind
    told = named_kind(*names)
    if kind == "b" or told is InputKind.MASK:
        return replace(spec, kind=InputKind.MASK)
    if kind == "f":
        known = entry.kind if entry is not None else None
        return replace(spec, kind=known or InputKind.NUMBERS)
    if spec.dtype == "uint8" and len(spec.shape) >= 4:
        return replace(spec, kind=InputKind.PIXELS)
    if spec.bound is not None:
        return replace(spec, kind=told if told in (InputKind.TYPES, InputKind.POSITIONS) else InputKind.IDS)
    if entry is not None and entry.kind is not None:
        return replace(spec, kind=entry.kind)
    return replace(spec, kind=told or InputKind.IDS, guessed=told is None)


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
    """The arrays of all inputs, each drawn as what it is (:func:`remap.proving.kinds.array_of`).

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
        array, drawn = _array(spec, random)
        if other and spec.values is not None and "mask" not in spec.name:
            array = random.permutation(array.reshape(-1)).reshape(array.shape)
        feeds.append(Feed(spec.name, spec.torch_name, array, to_keras(array, entries.get(spec.name)), drawn))
    return feeds


def _array(spec: InputSpec, random: np.random.Generator) -> tuple[np.ndarray, str]:
    if spec.values is not None:
        return spec.values, ""
    dtype = np.dtype(spec.dtype)
    kind = spec.kind or (InputKind.IDS if dtype.kind in "biu" else InputKind.NUMBERS)
    bound = spec.bound if isinstance(spec.bound, int) else None
    array, drawn = array_of(kind, spec.shape, dtype, random, bound=bound, avoid=spec.avoid)
    return array, f"{drawn}, a guess" if spec.guessed else drawn
