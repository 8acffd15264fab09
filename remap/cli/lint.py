"""``remap lint``."""

from __future__ import annotations

import json
import sys

import click

from remap.cli import options
from remap.cli.ahead import look_ahead
from remap.errors import UsageError
from remap.lint.finding import CODES, LintFinding
from remap.lint.lint import lint
from remap.report.console import console, styled

_CODES = "\b\nCodes:\n" + "\n".join(f"  {code}  {kind}" for code, kind in CODES.items())


@click.command("lint", epilog=_CODES)
@click.argument("rules")
@click.argument("checkpoint", required=False)
@options.model
@options.model_arg
@click.option("--target", metavar="FILE", help="Inventory from 'remap target', instead of a model.")
@options.settings
@click.option("--torch", metavar="TORCH", help="PyTorch model: its epsilons are held against the rules'.")
@options.torch_arg
@options.dequantize
@options.allow_code
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text", help="How to print.")
def command(
    rules: str,
    checkpoint: str | None,
    model: str | None,
    model_args: tuple[str, ...],
    target: str | None,
    settings: tuple[str, ...],
    torch: str | None,
    torch_args: tuple[str, ...],
    dequantize: bool,
    allow_code: bool,
    form: str,
) -> None:
    """Say what could go wrong with RULES, without converting.

    Without CHECKPOINT the rules are held against each other; with one also against its tensors, with --model against
    the model's variables, and with --torch against the network's epsilons. Exits with 1 where there is any finding.
    """
    look_ahead(rules=rules, checkpoints=[checkpoint], model=model, target=target)
    source = None if checkpoint is None else options.checkpoint_source(checkpoint, dequantize)
    if torch is not None and source is None:
        raise UsageError("--torch tells of the modules whose tensors a checkpoint has", fix="give CHECKPOINT too")
    findings = lint(
        rules,
        source,
        model=options.model_source(model, model_args),
        target=target,
        params=options.parsed_settings(settings),
        torch=options.torch_source(torch, torch_args),
        allow_code=allow_code,
    )
    if form == "json":
        click.echo(json.dumps([_data(finding) for finding in findings], indent=2))
    elif form == "github":
        for finding in findings:
            click.echo(_annotation(finding))
    else:
        _print(findings)
    sys.exit(1 if findings else 0)


def _print(findings: list[LintFinding]) -> None:
    out = console()
    for finding in findings:
        style = "bold red" if finding.level == "error" else "bold yellow"
        out.print(styled(finding.code, style, f" {finding.level}: {finding.message}"))
        out.print(f"  at {finding.place}")
        for line in finding.excerpt().splitlines() if finding.place.text else ():
            out.print(f"  {line}", soft_wrap=True)
        out.print(f"  fix: {finding.fix}")
    errors = sum(finding.level == "error" for finding in findings)
    if findings:
        out.print(f"findings: {len(findings)}, errors: {errors}")
    else:
        out.print("nothing to say: the rules look right")


def _data(finding: LintFinding) -> dict[str, object]:
    place = finding.place.part(finding.text)
    return {
        "code": finding.code,
        "kind": CODES[finding.code],
        "level": finding.level,
        "message": finding.message,
        "file": str(place.path),
        "line": place.line,
        "column": place.start + 1,
        "fix": finding.fix,
    }


def _annotation(finding: LintFinding) -> str:
    """A finding as a workflow command that GitHub shows beside the line."""
    place = finding.place
    text = _escaped(f"{finding.message}. Fix: {finding.fix}")
    file = _escaped(str(place.path)).replace(":", "%3A").replace(",", "%2C")
    return f"::{finding.level} file={file},line={place.line},col={place.start + 1},title={finding.code}::{text}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
