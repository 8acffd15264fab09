"""From a path or URL to the location that it names."""

from __future__ import annotations

from pathlib import Path

from remap.tensors.location import LocalPath, Location, is_url


def locate(path: Path | str) -> Location:
    """The place that a path or the URL of a checkpoint names.

    Raises:
        MissingPackageError: It is a URL, and fsspec or its package for such URLs is not installed.
    """
    if isinstance(path, str) and is_url(path):
        from remap.tensors.remote import RemoteLocation

        return RemoteLocation(path)
    return LocalPath(Path(path))
