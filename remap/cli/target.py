"""``remap target``."""

from __future__ import annotations

from pathlib import Path

import click

from remap.cli import options
from remap.errors import UsageError
from remap.report.terminal import console


@click.command("target")
@click.argument("model")
@options.model_arg
@click.option("-o", "--out", metavar="FILE", required=True, help="Where to save it: .json, or .json.gz for compressed.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(model: str, model_args: tuple[str, ...], out: str, force: bool) -> None:
    """Save the inventory of MODEL: its variables, layers and settings, and where each variable lives in each
    output format. 'remap apply --target FILE' then needs neither the model nor TensorFlow."""
    from remap.target.keras_model import inventory_of

    path = Path(out)
    if path.exists() and not force:
        raise UsageError("the output exists already", where=out, fix="choose another name, or add --force")
    if not path.parent.is_dir():
        raise UsageError("no such folder", where=str(path.parent))
    inventory = inventory_of(options.model_source(model, model_args))
    inventory.save(path)
    console().print(
        f"[bold green]wrote[/] {out}  {inventory.kind} model, {len(inventory.variables)} variables in "
        f"{len(inventory.layers)} layers, Keras {inventory.keras_version}"
    )
    for note in inventory.notes:
        console().print(f"note: {note}", markup=False)
