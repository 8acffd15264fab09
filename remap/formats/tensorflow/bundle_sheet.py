"""A TensorFlow checkpoint laid out: its data file, the index with their checksums, and TensorFlow's list of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from remap.errors import Problem, UsageError
from remap.formats.sheet import FixedBytes, ReadBytes, Region, Sheet, SheetFile, fixed_file
from remap.formats.tensorflow.bundle import DTYPES, STRING, BundleEntry, crc32c, index_table, string_tensor

if TYPE_CHECKING:
    from remap.planning.plan import Assignment, Plan

CHUNK = 1 << 20
DATA = 0
"""Number of the data file in the sheet."""


@dataclass(frozen=True, slots=True)
class BundleValue:
    """A single value that is no variable.

    Args:
        dtype: Number of its element type.
        content: Its bytes in the data file.
        checksum: CRC-32C of the value; of the bytes if None.
    """

    dtype: int
    content: bytes
    checksum: int | None = None

    @classmethod
    def of_text(cls, text: bytes) -> BundleValue:
        """A string."""
        return cls(STRING, *string_tensor(text))


@dataclass(frozen=True, slots=True)
class BundleIndex:
    """The index, which holds checksums of what lies in the data file.

    Args:
        entries: By key; the checksums of variables are still to be computed.
        variables: The keys of variables.
    """

    entries: Mapping[str, BundleEntry]
    variables: tuple[str, ...]

    def pieces(self, read: ReadBytes) -> Iterator[FixedBytes]:
        """The whole file."""
        yield FixedBytes(0, index_table({**self.entries, **self._checked(read)}))

    def _checked(self, read: ReadBytes) -> dict[str, BundleEntry]:
        """The entries of variables; copies of one have their bytes in common."""
        extend = crc32c()
        checksums: dict[tuple[int, int], int] = {}
        checked = {}
        for key in self.variables:
            entry = self.entries[key]
            span = (entry.offset, entry.nbytes)
            if span not in checksums:
                checksums[span] = 0
                for done in range(0, entry.nbytes, CHUNK):
                    chunk = read(DATA, entry.offset + done, min(CHUNK, entry.nbytes - done))
                    checksums[span] = extend(checksums[span], chunk)
            checked[key] = replace(entry, checksum=checksums[span])
        return checked


def bundle_sheet(
    plan: Plan, out: Path, variables: Mapping[str, Assignment], values: Mapping[str, BundleValue] | None = None
) -> Sheet:
    """The files of a checkpoint.

    Args:
        plan: What is written.
        out: What the files' names start with.
        variables: By key; a variable can have several.
        values: What else is in it, by key.

    Raises:
        UsageError: TensorFlow has no such element type.
        MissingPackageError: google-crc32c is not installed.
    """
    extend = crc32c()
    problems = [
        Problem("TensorFlow has no such element type", where=each.name, found=each.dtype.name)
        for each in plan.assignments
        if each.dtype.name not in DTYPES
    ]
    if problems:
        raise UsageError(problems)
    regions: dict[int, Region] = {}
    entries: dict[str, BundleEntry] = {}
    offset = 0
    for key in sorted(variables):
        assignment = variables[key]
        if id(assignment) not in regions:
            regions[id(assignment)] = Region(assignment, offset, assignment.dtype)
            offset += assignment.nbytes
        region = regions[id(assignment)]
        number = DTYPES[region.dtype.name]
        entries[key] = BundleEntry(number, assignment.shape, region.offset, region.nbytes, 0)
    fixed = []
    for key, value in (values or {}).items():
        checksum = extend(0, value.content) if value.checksum is None else value.checksum
        entries[key] = BundleEntry(value.dtype, (), offset, len(value.content), checksum)
        fixed.append(FixedBytes(offset, value.content))
        offset += len(value.content)
    data = SheetFile(Path(f"{out}.data-00000-of-00001"), offset, tuple(regions.values()), tuple(fixed))
    closing = BundleIndex(entries, tuple(sorted(variables)))
    index = SheetFile(Path(f"{out}.index"), len(index_table(entries)), closing=closing)
    listing = f'model_checkpoint_path: "{out.name}"\nall_model_checkpoint_paths: "{out.name}"\n'
    return Sheet((data, index, fixed_file(out.with_name("checkpoint"), listing, shared=True)))
