"""``remap schema``."""

from __future__ import annotations

import click

from remap.rules.json_schema import schema_text


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of a rule file. An editor that reads it completes and checks a rule file whose first line
    is '#:schema PATH-OR-URL'."""
    click.echo(schema_text(), nl=False)
