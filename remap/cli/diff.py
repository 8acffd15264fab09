"""``remap diff``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from remap.api import plan
from remap.cli import options
from remap.cli.ahead import look_ahead
from remap.diff.files import difference
from remap.diff.names import plain_names, planned_names
from remap.errors import UsageError
from remap.inventory.inventory import Inventory
from remap.opening.anything import open_weights
from remap.report.console import console
from remap.report.difference import print_difference
from remap.report.skipped import print_skipped
from remap.report.terminal import progress_bars
from remap.tensors.tensor import Tensor


@click.command("diff")
@click.argument("a")
@click.argument("b")
@click.option("--rules", metavar="RULES", help="A is a PyTorch checkpoint: hold what these rules make of it against B.")
@click.option("--target", metavar="FILE", help="Inventory that names the datasets of a .weights.h5.")
@options.model
@options.model_arg
@options.settings
@options.dequantize
@options.as_json
def command(
    a: str,
    b: str,
    rules: str | None,
    target: str | None,
    model: str | None,
    model_args: tuple[str, ...],
    settings: tuple[str, ...],
    dequantize: bool,
    as_json: bool,
) -> None:
    """Hold two weight files of any format against each other: names, shapes, dtypes, numbers.

    Exits with 1 when they differ. Nothing is loaded whole.
    """
    file = look_ahead(rules=rules, checkpoints=[a, b], model=model, target=target)
    first, second = (options.checkpoint_source(file, dequantize) for file in (a, b))
    right_file = open_weights(second)
    inventory = _inventory(target, model, model_args)
    if rules is None:
        left_file = open_weights(first)
        left = plain_names(left_file, inventory)
    else:
        planned = plan(file or rules, first, target=inventory, params=options.parsed_settings(settings))
        inventory, left_file = planned.target, planned.checkpoint
        left = planned_names(planned)
    right = plain_names(right_file, inventory)
    _check_overlap(left, right, a, b)
    with progress_bars() as progress:
        total = sum(tensor.nbytes for tensor in left.values())
        compared = difference(left, right, None if progress is None else lambda done: progress("compare", done, total))
    if as_json:
        skipped = {"skipped_a": left_file.skipped, "skipped_b": right_file.skipped}
        told = {side: {each.name: each.reason for each in entries} for side, entries in skipped.items()}
        click.echo(json.dumps({**asdict(compared), **told, "equal": compared.equal}))
    else:
        for path, opened in ((a, left_file), (b, right_file)):
            print_skipped(opened.skipped, console(), f"left alone in {path}: ")
        print_difference(compared, a, b, console())
    sys.exit(0 if compared.equal else 1)


def _inventory(target: str | None, model: str | None, model_args: tuple[str, ...]) -> Inventory | None:
    source = options.model_source(model, model_args)
    if target is not None and source is not None:
        raise UsageError("a model and a target are given", expected="one of them")
    if target is not None:
        return Inventory.load(Path(target))
    if source is None:
        return None
    from remap.sides.keras.keras_model import inventory_of

    return inventory_of(source)


def _check_overlap(left: dict[str, Tensor], right: dict[str, Tensor], a: str, b: str) -> None:
    if left and right and not left.keys() & right.keys():
        raise UsageError(
            "the files have no name in common",
            found=f"{next(iter(left))} in {a}, {next(iter(right))} in {b}",
            fix="--rules aligns a PyTorch checkpoint with a Keras file; --target or --model names the datasets of a "
            ".weights.h5",
        )
