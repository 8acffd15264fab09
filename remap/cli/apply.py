"""``remap apply``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from remap.api import Result, apply, output_beside
from remap.cli import options
from remap.cli.ahead import look_ahead
from remap.errors import UsageError
from remap.report.console import console
from remap.report.data import result_data
from remap.report.terminal import print_result, progress_bars

if TYPE_CHECKING:
    from remap.proving.disagreement import Disagreement
    from remap.proving.prepare import TorchSource
    from remap.sides.keras.spec import ModelSource


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
@click.option("--torch", metavar="TORCH", help="PyTorch model: its epsilons are read, its settings audited.")
@options.torch_arg
@options.report
@click.option("--dry-run", is_flag=True, help="Plan only; write nothing.")
@click.option("--pairs", is_flag=True, help="List every module with its layer, one a line.")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@click.option("--check/--no-check", default=True, help="Whether the result is checked in the model.")
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
    pairs: bool,
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
    if torch is not None and model is None:
        raise UsageError("--torch is audited against a Keras model", fix="give --model too")
    if model is not None and target is not None:
        raise UsageError("a model and a target are given", expected="one of them", fix="leave out --target")
    known = model is not None or target is not None
    out_ahead = out if out is not None or not known else str(output_beside(checkpoint, target=True))
    file = look_ahead(
        rules=rules,
        checkpoints=[checkpoint],
        model=model,
        torch=torch,
        target=target,
        out=out_ahead,
        named=True,
        output_format=output_format,
        force=force,
        writes=not dry_run,
    )
    page = options.page_path(report)
    source = options.model_source(model, model_args)
    sizes: dict[str, Any] = {} if max_shard_size is None else {"max_shard_size": max_shard_size}
    network = options.torch_source(torch, torch_args)
    with progress_bars() as progress:
        result = apply(
            file or rules,
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
            torch=network,
            progress=progress,
            **sizes,
        )
    audit = _audit(result, source, network, allow_code) if network is not None else ()
    if as_json:
        click.echo(json.dumps({**result_data(result), "audit": [asdict(entry) for entry in audit]}))
    else:
        print_result(result, console(), pairs)
        if torch is not None:
            from remap.report.verify_terminal import print_audit

            print_audit(audit, console())
    if page is not None:
        from remap.report.html import result_page

        text = result_page(
            result.plan, written=result.written, checked=result.checked, audit=audit, seconds=result.seconds
        )
        options.write_page(page, text)


def _audit(result: Result, source: ModelSource | None, torch: TorchSource, allow_code: bool) -> Sequence[Disagreement]:
    """Settings in which mapped layers disagree, without running either network."""
    from remap.proving.options import VerifyOptions
    from remap.proving.static import static_audit

    assert source is not None
    plan = result.plan
    return static_audit(plan, plan.checkpoint, source, torch, VerifyOptions(allow_code=allow_code)).audit
