"""``remap apply``."""

from __future__ import annotations

import json

import click

from remap.api import apply
from remap.cli import options
from remap.report.data import result_data
from remap.report.terminal import console, print_result, progress_bars


@click.command("apply")
@click.argument("rules")
@click.argument("checkpoint")
@click.option("-o", "--out", metavar="OUT", help="Output; its name tells the format.")
@options.model
@options.model_arg
@click.option("--target", metavar="FILE", help="Inventory from 'remap target', instead of a model.")
@options.settings
@options.dtype
@click.option("--format", "output_format", metavar="FORMAT", help="Output format, where the name does not tell.")
@click.option("--max-shard-size", type=float, metavar="GB", help="Of .weights.json: gigabytes of one shard at most.")
@click.option("--dry-run", is_flag=True, help="Plan only; write nothing.")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@click.option("--check/--no-check", default=True, help="Whether the result is proved in the model.")
@options.allow_code
@options.as_json
def command(
    rules: str,
    checkpoint: str,
    out: str | None,
    model: str | None,
    model_args: tuple[str, ...],
    target: str | None,
    settings: tuple[str, ...],
    dtype: str | None,
    output_format: str | None,
    max_shard_size: float | None,
    dry_run: bool,
    force: bool,
    check: bool,
    allow_code: bool,
    as_json: bool,
) -> None:
    """Convert CHECKPOINT by RULES (a TOML file, the name of a shipped one, or 'auto') into Keras weights.

    OUT's name tells the format: .weights.h5, .h5, .weights.json (shards), .keras (with --model MODEL.keras),
    .ckpt (TensorFlow; --format tf-name or tf-object), .safetensors, .npz.

    The account must close on both sides, or nothing is written. With --model the file is then loaded into
    the model and every variable is compared, bit for bit.
    """
    with progress_bars() as progress:
        result = apply(
            rules,
            checkpoint,
            out,
            model=options.model_source(model, model_args),
            target=target,
            params=options.parsed_settings(settings),
            dtype=dtype,
            format=output_format,
            allow_code=allow_code,
            force=force,
            check=check,
            dry_run=dry_run,
            progress=progress,
            **({"max_shard_size": max_shard_size} if max_shard_size is not None else {}),
        )
    if as_json:
        click.echo(json.dumps(result_data(result)))
    else:
        print_result(result, console())
