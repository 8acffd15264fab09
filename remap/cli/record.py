"""``remap record``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from remap.cli import options
from remap.cli.ahead import look_ahead
from remap.errors import UsageError
from remap.report.console import console, styled
from remap.report.sizes import human_bytes


@click.command("record")
@click.argument("torch")
@click.argument("checkpoint")
@options.torch_arg
@options.inputs
@click.option("--rules", metavar="RULES", help="The rule file, which tells the prefixes of the checkpoint's names.")
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
    rules: str | None,
    dequantize: bool,
    out: str,
    force: bool,
    **asked: Any,
) -> None:
    """Run the PyTorch model TORCH with the weights of CHECKPOINT and keep what went in, what came out, and what
    every module and function made of it. 'remap verify --torch FILE' then needs no PyTorch."""
    from remap.proof import record
    from remap.proving.options import RunOptions
    from remap.proving.recording import is_recording
    from remap.sides.keras.spec import parse_model_args

    if not is_recording(out):
        raise UsageError("a recording is a .safetensors file", found=out)
    look_ahead(rules=rules, checkpoints=[checkpoint], torch=torch, out=out, force=force, inputs=asked["inputs"])
    wanted = RunOptions(torch_args=parse_model_args(torch_args), **asked)
    source = options.checkpoint_source(checkpoint, dequantize)
    reference = record(torch, source, out, options=wanted, rules=rules, force=force)
    told = (
        f" {out}  {human_bytes(Path(out).stat().st_size)}: {len(reference.trace.calls)} calls, "
        f"{len(reference.trace.values)} arrays, {len(reference.trace.outputs)} outputs"
    )
    console().print(styled("wrote", "bold green", told))
