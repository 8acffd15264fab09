"""``remap check``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from remap.api import check
from remap.cli import options
from remap.cli.ahead import look_ahead
from remap.report.console import console, styled
from remap.report.sizes import human_bytes
from remap.report.terminal import progress_bars


@click.command("check")
@click.argument("file")
@click.option(
    "--model",
    metavar="MODEL",
    required=True,
    help="Keras model: package.module:callable, file.py:callable, .keras, .json, SavedModel.",
)
@options.model_arg
@click.option("--rules", metavar="RULES", required=True, help="The rule file that the file was written by.")
@click.option("--checkpoint", metavar="CKPT", required=True, help="The checkpoint that it was written from.")
@options.settings
@options.dtype
@options.dequantize
@options.allow_code
@options.as_json
def command(
    file: str,
    model: str,
    model_args: tuple[str, ...],
    rules: str,
    checkpoint: str,
    settings: tuple[str, ...],
    dtype: str | None,
    dequantize: bool,
    allow_code: bool,
    as_json: bool,
) -> None:
    """Load FILE into the model by Keras's own load_weights and compare every variable with what RULES make
    of the checkpoint, bit for bit."""
    read = look_ahead(rules=rules, checkpoints=[checkpoint], model=model, written=file)
    with progress_bars() as progress:
        checked = check(
            file,
            read or rules,
            options.checkpoint_source(checkpoint, dequantize),
            options.model_source(model, model_args),
            params=options.parsed_settings(settings),
            dtype=dtype,
            allow_code=allow_code,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(asdict(checked)))
        return
    counted = f"{checked.variables} variables, {human_bytes(checked.nbytes)}, bit for bit ({checked.seconds:.1f} s)"
    console().print(styled("equal", "bold green", f" {file}: {counted}"))
