"""``remap target``."""

from __future__ import annotations

from pathlib import Path

import click

from remap.cli import options
from remap.cli.ahead import look_ahead
from remap.report.console import console, styled
from remap.writing.staging import check_free, replacing


@click.command("target")
@click.argument("model")
@options.model_arg
@click.option("-o", "--out", metavar="FILE", required=True, help="Where to save it: .json, or .json.gz for compressed.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(model: str, model_args: tuple[str, ...], out: str, force: bool) -> None:
    """Save the inventory of MODEL: its variables, layers and settings, and where each variable lives in each
    output format. 'remap apply --target FILE' then needs neither the model nor TensorFlow."""
    from remap.sides.keras.keras_model import inventory_of

    path = Path(out)
    check_free(path, force)
    look_ahead(model=model)
    inventory = inventory_of(options.model_source(model, model_args))
    with replacing(path) as file:
        file.write_bytes(inventory.encode(compressed=path.suffix == ".gz"))
    told = (
        f" {out}  {inventory.kind} model, {len(inventory.variables)} variables in "
        f"{len(inventory.layers)} layers, Keras {inventory.keras_version}"
    )
    console().print(styled("wrote", "bold green", told))
    for note in inventory.notes:
        console().print(f"note: {note}")
