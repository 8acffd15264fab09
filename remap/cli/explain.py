"""``remap explain``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from remap.cli import options
from remap.cli.ahead import look_ahead
from remap.errors import UsageError
from remap.explain.explain import explain, explanation_data
from remap.explain.print import print_explanation
from remap.inventory.inventory import Inventory
from remap.report.console import console


@click.command("explain")
@click.argument("rules")
@click.argument("checkpoint")
@click.argument("name")
@options.model
@options.model_arg
@click.option("--target", metavar="FILE", help="Inventory from 'remap target', instead of a model.")
@options.settings
@options.dequantize
@options.allow_code
@options.as_json
def command(
    rules: str,
    checkpoint: str,
    name: str,
    model: str | None,
    model_args: tuple[str, ...],
    target: str | None,
    settings: tuple[str, ...],
    dequantize: bool,
    allow_code: bool,
    as_json: bool,
) -> None:
    """Tell what happens to NAME, a tensor of CHECKPOINT or a Keras variable: the rule and its line, the captures, the
    layout, each step with the shape after it, and where it lies in the output file.

    Where nothing covers NAME: the closest rules and why each failed; the exit code is then 6.
    """
    look_ahead(rules=rules, checkpoints=[checkpoint], model=model, target=target)
    explanation = explain(
        rules,
        options.checkpoint_source(checkpoint, dequantize),
        name,
        target=_inventory(model, model_args, target),
        params=options.parsed_settings(settings),
        allow_code=allow_code,
    )
    if as_json:
        click.echo(json.dumps(explanation_data(explanation), indent=2))
    else:
        print_explanation(explanation, console())
    sys.exit(0 if explanation.covered else 6)


def _inventory(model: str | None, model_args: tuple[str, ...], target: str | None) -> Inventory | None:
    if model is not None and target is not None:
        raise UsageError("a model and a target are given", expected="one of them", fix="leave out --target")
    source = options.model_source(model, model_args)
    if source is None:
        return Inventory.load(Path(target)) if target is not None else None
    from remap.sides.keras.keras_model import inventory_of

    return inventory_of(source)
