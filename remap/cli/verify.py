"""``remap verify``."""

from __future__ import annotations

import json
from typing import Any

import click

from remap.cli import options
from remap.cli.ahead import look_ahead
from remap.errors import CheckError
from remap.report.console import console


def _explain(context: click.Context, parameter: click.Parameter, code: str | None) -> None:
    """Tell what a code stands for, and do nothing else."""
    if code is not None:
        from remap.report.cause import cause_lines

        for line in cause_lines(code):
            click.echo(line)
        context.exit()


@click.command("verify")
@click.argument("rules")
@click.argument("checkpoint")
@click.option(
    "--model", metavar="MODEL", required=True, help="Keras model: package.module:callable, file.py:callable, .keras."
)
@options.model_arg
@click.option(
    "--torch", metavar="TORCH", required=True, help="PyTorch model: likewise, TorchScript, .pt2, or a recording."
)
@options.torch_arg
@options.inputs
@click.option("--samples", metavar="N", default=1, show_default=True, help="Size of the batch, where it is inferred.")
@click.option("--seed", metavar="S", default=0, show_default=True, help="For drawing inputs.")
@click.option("--atol", metavar="X", type=float, help="Absolute tolerance, instead of the measured one.")
@click.option("--rtol", metavar="X", type=float, help="Tolerance relative to the largest value, likewise.")
@click.option("--float64", is_flag=True, help="Both sides in double precision: exact conversions give 1e-12.")
@click.option("--calibrate", is_flag=True, help="BatchNorm statistics of real activations first, in a copy.")
@click.option("--odd-size", is_flag=True, help="Images of an odd size, which tells padding from weights.")
@click.option("--weights", metavar="FILE", help="A Keras weights file to load, instead of converting.")
@click.option(
    "--ignore-output",
    "ignore_outputs",
    metavar="NAME",
    multiple=True,
    help="An output that is not looked at; its number where it has no name. torch:NAME or keras:NAME: of one side.",
)
@click.option("--static", is_flag=True, help="Compare settings only; run nothing.")
@click.option("--all", "all_rows", is_flag=True, help="Show every layer, not only those around a divergence.")
@click.option(
    "--explain",
    metavar="CODE",
    is_eager=True,
    expose_value=False,
    callback=_explain,
    help="Tell what the code of a cause stands for, as V101; run nothing.",
)
@options.report
@options.settings
@options.dequantize
@options.allow_code
@options.as_json
def command(
    rules: str,
    checkpoint: str,
    model: str,
    model_args: tuple[str, ...],
    torch: str,
    torch_args: tuple[str, ...],
    all_rows: bool,
    report: str | None,
    settings: tuple[str, ...],
    dequantize: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Hold the converted Keras model beside the PyTorch model: weights, outputs, and every layer that RULES map.

    Both get the same input. The first layer where they part is named, with a cause that is tried on the recorded
    input where it can be. The exit code is 0 only where weights and outputs are equal and the outputs depend
    on the input.
    """
    from remap.proof import verify
    from remap.proving.options import VerifyOptions
    from remap.report.verify_data import verified_data
    from remap.report.verify_terminal import print_verified
    from remap.report.verify_words import failure, headline
    from remap.sides.keras.spec import parse_model_args

    file = look_ahead(
        rules=rules,
        checkpoints=[checkpoint],
        model=model,
        torch=torch,
        weights=asked["weights"],
        inputs=asked["inputs"],
    )
    page = options.page_path(report)
    source = options.model_source(model, model_args)
    weights_from = options.checkpoint_source(checkpoint, dequantize)
    params = options.parsed_settings(settings)
    wanted = VerifyOptions(params=params, torch_args=parse_model_args(torch_args), **asked)
    verified = verify(file or rules, weights_from, source, torch, wanted)
    if page is not None:
        from remap.report.html import verified_page

        options.write_page(page, verified_page(verified))
    if as_json:
        click.echo(json.dumps(verified_data(verified)))
    else:
        debug = bool(click.get_current_context().find_root().params.get("debug"))
        print_verified(verified, console(), all_rows, failures=debug, wrote=str(page or ""))
    if not verified.proved:
        raise CheckError(headline(verified), where=f"{model} against {torch}", found=failure(verified))
