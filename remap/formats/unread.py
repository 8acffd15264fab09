"""A file or folder that no format has read yet: what can be seen of it without."""

from __future__ import annotations

from functools import cached_property

from remap.formats.containers import zipdir
from remap.formats.containers.zipdir import ZipEntry
from remap.tensors.blob import Blob
from remap.tensors.location import Location

HEAD = 512
"""Bytes from a file's beginning by which formats are told."""


class Unread:
    """What formats are recognised by: the name, the first bytes, the names in an archive or a folder.

    Each is fetched once, when it is first asked for.

    Args:
        place: Where it is, or would be: a TensorFlow checkpoint is named by what its files start with.
    """

    def __init__(self, place: Location) -> None:
        self.place = place

    @property
    def name(self) -> str:
        """The last component of the path or URL."""
        return self.place.name.rpartition("/")[2]

    @cached_property
    def exists(self) -> bool:
        """Whether there is such a file or folder."""
        return self.place.exists()

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is one."""
        return self.exists and self.place.is_folder()

    @cached_property
    def names(self) -> list[str]:
        """Names of the files in a folder, sorted; none of a file."""
        return self.place.names() if self.is_folder else []

    @cached_property
    def blob(self) -> Blob:
        """The bytes of a file."""
        return self.place.blob()

    @cached_property
    def head(self) -> bytes:
        """The first bytes of a file, none of a folder or of what is not there."""
        return self.blob.read(0, min(self.blob.size, HEAD)) if self.exists and not self.is_folder else b""

    @cached_property
    def entries(self) -> dict[str, ZipEntry]:
        """The files in a zip archive by name; none where it is no archive.

        Raises:
            CheckpointError: The archive is damaged.
        """
        return zipdir.read_directory(self.blob) if self.head.startswith(zipdir.MAGIC) else {}
