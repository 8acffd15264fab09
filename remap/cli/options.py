"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from remap.errors import UsageError

Command = Callable[..., Any]

model = click.option(
    "--model",
    metavar="MODEL",
    help="Keras model: package.module:callable, file.py:callable, .keras, .json, SavedModel.",
)
model_arg = click.option(
    "--model-arg", "model_args", metavar="NAME=VALUE", multiple=True, help="Argument of the model's callable."
)
torch_arg = click.option(
    "--torch-arg", "torch_args", metavar="NAME=VALUE", multiple=True, help="Argument of the PyTorch model's callable."
)
inputs = click.option(
    "--input",
    "inputs",
    metavar="SPEC",
    multiple=True,
    help="In PyTorch's layout: [NAME[:TORCH_NAME]=]float32[1,3,224,224], ids[1,16]<30522, mask[1,16], mask:bool[1,16], "
    "positions[1,16], types[1,16]<2, lengths[2]<17, pixels[1,3,224,224], int64[1,16]<9, .npz, .safetensors.",
)
settings = click.option(
    "--set", "settings", metavar="NAME=VALUE", multiple=True, help="Value of a parameter of the rule file."
)
dtype = click.option("--dtype", metavar="DTYPE", help="Element type to write: float16, bfloat16, float32 ...")
allow_code = click.option("--allow-code", is_flag=True, help="Let the rule file call functions of your own.")
dequantize = click.option("--dequantize", is_flag=True, help="Read quantised tensors of the checkpoint as float32.")
report = click.option("--report", metavar="FILE", help="Write a page (.html) with all of it.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print data for machines.")


def checkpoint_source(path: str, dequantize: bool) -> Any:
    """The checkpoint that a command is given, to be read as ``--dequantize`` says."""
    if not dequantize:
        return path
    from remap.opening.open import Dequantized

    return Dequantized(path)


def page_path(report: str | None) -> Path | None:
    """Where ``--report`` is to be, looked at before any work is done; a page that exists is replaced.

    Raises:
        UsageError: Its folder is missing, or it is a folder.
    """
    if report is None:
        return None
    from remap.writing.staging import check_free

    check_free(Path(report), force=True)
    return Path(report)


def write_page(path: Path, text: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        WriteError: The disk is full or fails.
    """
    from remap.writing.staging import replacing

    with replacing(path) as file:
        file.write_text(text, "utf-8")


def parsed_settings(pairs: tuple[str, ...]) -> dict[str, int | float | str]:
    """``NAME=VALUE`` pairs as numbers where they are numbers.

    Raises:
        UsageError: A pair has no ``=``.

    >>> parsed_settings(("heads=12", "scale=0.5", "name=x"))
    {'heads': 12, 'scale': 0.5, 'name': 'x'}
    """
    values: dict[str, int | float | str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise UsageError("--set takes NAME=VALUE", found=pair)
        values[name.strip()] = _number(text.strip())
    return values


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def model_source(spec: str | None, arguments: tuple[str, ...]) -> Any:
    """The model that ``--model`` and ``--model-arg`` name; None without ``--model``."""
    if spec is None:
        if arguments:
            raise UsageError("--model-arg belongs to --model", found=" ".join(arguments))
        return None
    from remap.sides.keras.spec import load_model_builder, parse_model_args

    return load_model_builder(spec, parse_model_args(arguments))


def torch_source(spec: str | None, arguments: tuple[str, ...]) -> Any:
    """The network that ``--torch`` and ``--torch-arg`` name, built when it is first looked at; None without one."""
    if spec is None:
        if arguments:
            raise UsageError("--torch-arg belongs to --torch", found=" ".join(arguments))
        return None
    from remap.proving.prepare import TorchSource
    from remap.sides.keras.spec import parse_model_args

    return TorchSource(spec, parse_model_args(arguments))
