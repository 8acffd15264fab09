"""What can be told at once: paths, formats and packages, before a framework is imported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from remap.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from remap.rules.rulefile import RuleFile


def look_ahead(
    *,
    rules: str | None = None,
    checkpoints: Iterable[str | None] = (),
    model: str | None = None,
    torch: str | None = None,
    target: str | None = None,
    out: str | None = None,
    named: bool = False,
    output_format: str | None = None,
    force: bool = False,
    writes: bool = True,
    written: str | None = None,
    weights: str | None = None,
    inputs: Iterable[str] = (),
) -> RuleFile | None:
    """Raise where an argument of a command names what is not there, or an output that is.

    Args:
        rules: A rule file, which is read; ``auto`` is not looked for.
        checkpoints: Files, folders or URLs of checkpoints.
        model: The Keras model.
        torch: The PyTorch model, or a recording.
        target: An inventory.
        out: An output.
        named: Whether its name tells its format.
        output_format: Its format, where it has one to choose.
        force: Whether an existing output is replaced.
        writes: Whether it is to be written at all.
        written: A file that was written earlier.
        weights: A Keras weights file.
        inputs: ``--input`` arguments.

    Returns:
        The rule file, which need not be read again; None where none is named.

    Raises:
        RemapError: The error that the command itself would end in later.
    """
    file: RuleFile | None = None
    if out is not None and writes:
        from remap.writing.staging import check_free

        check_free(Path(out), force)
    if out is not None and named:
        from remap.formats.output import output_format as form_of

        form_of(Path(out), output_format)
    if rules is not None and rules != "auto":
        from remap.rules.load import load_rules

        file = load_rules(rules)
    for checkpoint in filter(None, checkpoints):
        _check_checkpoint(checkpoint)
    if target is not None and not Path(target).is_file():
        from remap.inventory.inventory import Inventory

        Inventory.load(Path(target))
    for path in filter(None, (weights, written)):
        if not _exists(path):
            raise UsageError("no such file", where=path)
    if inputs:
        from remap.proving.inputs import check_input

        for text in inputs:
            check_input(text)
    if model is not None:
        from remap.sides.named import check_model

        check_model(model)
    if torch is not None:
        _check_torch(torch)
    return file


def _check_checkpoint(path: str) -> None:
    if not _exists(path):
        raise CheckpointError("no such checkpoint", where=path, fix="check the path")


def _exists(path: str) -> bool:
    """Whether there is a file or folder, or a TensorFlow checkpoint of that prefix; a URL is not looked at."""
    from remap.formats.tensorflow.tf_bundle import index_of
    from remap.tensors.location import LocalPath, is_url

    return is_url(path) or Path(path).exists() or index_of(LocalPath(Path(path))) is not None


def _check_torch(torch: str) -> None:
    from remap.proving.recording import is_recording

    if is_recording(torch):
        if not Path(torch).is_file():
            raise CheckpointError("cannot read the recording", where=torch, found="no such file")
        return
    from remap.sides.named import check_network

    check_network(torch)
