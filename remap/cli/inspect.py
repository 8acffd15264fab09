"""``remap inspect``."""

from __future__ import annotations

import json

import click

from remap.cli import options
from remap.report.listing import listing, listing_data, print_listing
from remap.report.terminal import console


@click.command("inspect")
@click.argument("file")
@click.argument("pattern", required=False)
@options.dequantize
@options.as_json
def command(file: str, pattern: str | None, dequantize: bool, as_json: bool) -> None:
    """Show the tensors of a checkpoint or of a Keras file as a tree, repeated blocks together.

    PATTERN is a regular expression, '<name>' standing for an index; only tensors whose whole name it matches
    are shown.
    """
    found = listing(options.checkpoint_source(file, dequantize), pattern)
    if as_json:
        click.echo(json.dumps(listing_data(found)))
    else:
        print_listing(found, console())
