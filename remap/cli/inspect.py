"""``remap inspect``."""

from __future__ import annotations

import json

import click

from remap.cli import options
from remap.errors import UsageError
from remap.report.console import console
from remap.report.listing import Listing, listing, listing_data, model_listing, print_flat, print_listing


@click.command("inspect")
@click.argument("file", required=False)
@click.argument("pattern", required=False)
@options.model
@options.model_arg
@options.dequantize
@click.option("--flat", is_flag=True, help="A line for each name, nothing put together and nothing left out.")
@options.as_json
def command(
    file: str | None,
    pattern: str | None,
    model: str | None,
    model_args: tuple[str, ...],
    dequantize: bool,
    flat: bool,
    as_json: bool,
) -> None:
    """Show the tensors of a checkpoint or of a Keras file as a tree, repeated blocks together; or, of a file that
    'remap target' saved or of a --model, the variables with the classes of their layers.

    PATTERN is a regular expression, '<name>' standing for an index; only tensors whose whole name it matches
    are shown, and variables whose path or address by ranks it matches. With --model it is the only argument.
    """
    if model is not None and pattern is not None:
        raise UsageError("a file and a model are given", expected="one of them", fix="leave out --model")
    shown = _of_model(model, model_args, file) if model is not None else _of_file(file, pattern, dequantize)
    if as_json:
        click.echo(json.dumps(listing_data(shown)))
    elif flat:
        print_flat(shown, console())
    else:
        print_listing(shown, console())


def _of_file(file: str | None, pattern: str | None, dequantize: bool) -> Listing:
    if file is None:
        raise UsageError("nothing to look at", expected="a file, or --model", fix="remap inspect FILE")
    return listing(options.checkpoint_source(file, dequantize), pattern)


def _of_model(model: str, model_args: tuple[str, ...], pattern: str | None) -> Listing:
    from remap.sides.keras.keras_model import inventory_of

    return model_listing(inventory_of(options.model_source(model, model_args)), pattern)
