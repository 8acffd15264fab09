"""``remap rules``."""

from __future__ import annotations

import json

import click

from remap.cli import options
from remap.errors import UsageError
from remap.planning.suggest import Nearest
from remap.report.console import Grid, console
from remap.rules.load import load_rules
from remap.rules.shipped import shipped_names, shipped_path


@click.group("rules", invoke_without_command=True)
@options.as_json
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the shipped rule files: what they convert, and how many sizes of it.

    'remap rules show NAME' prints one.
    """
    if context.invoked_subcommand is not None:
        return
    rows = []
    for name in shipped_names():
        about = load_rules(name).about
        rows.append(
            {"name": name, "source": about.source, "target": about.target, "sizes": about.sizes, "models": about.models}
        )
    if as_json:
        click.echo(json.dumps(rows))
        return
    shown = Grid("name", "PyTorch", "Keras", "sizes", right=("sizes",))
    for row in rows:
        shown.add_row(str(row["name"]), str(row["source"]), str(row["target"]), str(len(row["sizes"])))
    console().print(shown)


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Print the shipped rule file NAME as it stands."""
    path = shipped_path(name)
    if path is None:
        near = Nearest(shipped_names()).to(name)
        raise UsageError(
            "no shipped rule file has that name",
            where=name,
            expected="a name that 'remap rules' lists",
            fix=f"did you mean {' or '.join(near)}?" if near else "",
        )
    click.echo(path.read_text("utf-8"), nl=False)
