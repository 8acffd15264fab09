"""``remap apply``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from remap.api import Result, apply
from remap.cli import options
from remap.errors import UsageError
from remap.report.console import console
from remap.report.data import result_data
from remap.report.terminal import print_result, progress_bars

if TYPE_CHECKING:
    from remap.proving.disagreement import Disagreement


@click.command("apply")
@click.argument("rules")
@click.argument("checkpoint")
@click.option("-o", "--out", metavar="OUT", help="Output; its name tells the format.")
@options.model
@options.model_arg
@click.option("--target", metavar="FILE", help="Inventory from 'remap target', instead of a model.")
@options.settings
@options.dtype
@options.dequantize
@click.option("--format", "output_format", metavar="FORMAT", help="Output format, where the name does not tell.")
@click.option("--max-shard-size", type=float, metavar="GB", help="Of .weights.json: gigabytes of one shard at most.")
@click.option("--torch", metavar="TORCH", help="PyTorch model: audit its layers' settings against those of --model.")
@options.torch_arg
@options.report
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
    dequantize: bool,
    output_format: str | None,
    max_shard_size: float | None,
    torch: str | None,
    torch_args: tuple[str, ...],
    report: str | None,
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
    source = options.model_source(model, model_args)
    if torch is not None and source is None:
        raise UsageError("--torch is audited against a Keras model", fix="give --model too")
    page = options.page_path(report)
    with progress_bars() as progress:
        result = apply(
            rules,
            options.checkpoint_source(checkpoint, dequantize),
            out,
            model=source,
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
    audit = _audit(result, source, torch, torch_args, allow_code) if torch is not None else ()
    if as_json:
        click.echo(json.dumps({**result_data(result), "audit": [asdict(entry) for entry in audit]}))
    else:
        print_result(result, console())
        if torch is not None:
            from remap.report.verify_terminal import print_audit

            print_audit(audit, console())
    if page is not None:
        from remap.report.html import result_page

        text = result_page(
            result.plan, written=result.written, checked=result.checked, audit=audit, seconds=result.seconds
        )
        options.write_page(page, text)


def _audit(
    result: Result, source: Any, torch: str, torch_args: tuple[str, ...], allow_code: bool
) -> Sequence[Disagreement]:
    """Settings in which mapped layers disagree, without running either network."""
    from remap.proving.options import VerifyOptions
    from remap.proving.static import static_audit
    from remap.sides.keras.spec import parse_model_args

    plan = result.plan
    wanted = VerifyOptions(torch_args=parse_model_args(torch_args), allow_code=allow_code)
    return static_audit(plan, plan.checkpoint, source, torch, wanted).audit
