"""Which format an output has: by its name, by what the user says, or by what the file is."""

from __future__ import annotations

from pathlib import Path

from remap.errors import UsageError
from remap.formats.format import Format
from remap.formats.registry import format_named, written_formats
from remap.formats.unread import Unread
from remap.tensors.location import LocalPath


def output_format(out: Path, format: str | Format | None = None) -> Format:
    """The format of an output.

    Args:
        out: The output; its suffix tells.
        format: The format or its name (``-`` as good as ``_``), where it is given; it must suit the suffix, since
            loaders go by that.

    Raises:
        UsageError: The format is unknown or contradicts the suffix.

    >>> output_format(Path("model.weights.h5")).name
    'weights_h5'
    """
    form = format if isinstance(format, Format) or format is None else _named(format)
    fitting = _fitting(out)
    if not fitting:
        raise UsageError("the output's name does not tell its format", where=str(out), expected=_known())
    if form is not None and form not in fitting:
        raise UsageError(
            "the output's name contradicts its format: loaders go by the name",
            where=str(out),
            found=f"format {form.name}",
            expected=f"a name that ends in {' or '.join(form.suffixes)}, and in no longer suffix of another",
        )
    return form or fitting[0]


def format_of_file(path: Path) -> Format:
    """The format of an output that is there: where its name fits several, the file itself tells.

    Raises:
        UsageError: The name tells none.
        CheckpointError: The file is damaged.
    """
    form, fitting = output_format(path), _fitting(path)
    file = Unread(LocalPath(path))
    if len(fitting) > 1 and (reader := next((each for each in fitting if each.recognise(file)), None)):
        kind = reader.read(file).kind
        return next((each for each in fitting if each.name == kind), form)
    return form


def _named(name: str) -> Format:
    form = format_named(name.replace("-", "_"))
    if form is None or not form.suffixes:
        raise UsageError("unknown output format", found=name, expected=_known())
    return form


def _known() -> str:
    return "; ".join(f"{form.name}: {', '.join(form.suffixes)}" for form in written_formats())


def _fitting(out: Path) -> list[Format]:
    """The formats of the longest suffix that the name ends in."""
    suffixes = {suffix for form in written_formats() for suffix in form.suffixes if out.name.endswith(suffix)}
    longest = max(suffixes, key=len, default="")
    return [form for form in written_formats() if longest in form.suffixes]
