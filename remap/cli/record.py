"""``remap record``."""

from __future__ import annotations

from pathlib import Path

import click

from remap.cli import options
from remap.report.console import console, styled
from remap.report.sizes import human_bytes


@click.command("record")
@click.argument("torch")
@click.argument("checkpoint")
@options.torch_arg
@options.inputs
@options.dequantize
@click.option("-o", "--out", metavar="FILE", required=True, help="Where to write it: .safetensors.")
@click.option("--seed", metavar="S", default=0, show_default=True, help="For drawing inputs.")
@click.option("--float64", is_flag=True, help="In double precision.")
@click.option("--calibrate", is_flag=True, help="BatchNorm statistics of real activations first, in a copy.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(
    torch: str,
    checkpoint: str,
    torch_args: tuple[str, ...],
    inputs: tuple[str, ...],
    dequantize: bool,
    out: str,
    seed: int,
    float64: bool,
    calibrate: bool,
    force: bool,
) -> None:
    """Run the PyTorch model TORCH with the weights of CHECKPOINT and keep what went in, what came out, and what
    every module and function made of it. 'remap verify --torch FILE' then needs no PyTorch."""
    from remap.proof import record
    from remap.sides.keras.spec import parse_model_args

    reference = record(
        torch,
        options.checkpoint_source(checkpoint, dequantize),
        out,
        inputs,
        seed=seed,
        float64=float64,
        calibrate=calibrate,
        torch_args=parse_model_args(torch_args),
        force=force,
    )
    told = (
        f" {out}  {human_bytes(Path(out).stat().st_size)}: {len(reference.trace.calls)} calls, "
        f"{len(reference.trace.values)} arrays, {len(reference.trace.outputs)} outputs"
    )
    console().print(styled("wrote", "bold green", told))
