"""The rule files that come with remap, addressed by bare name."""

from __future__ import annotations

from pathlib import Path

_IN_WHEEL = Path(__file__).parents[1] / "shipped"
_IN_CHECKOUT = Path(__file__).parents[2] / "rules"


def shipped_folder() -> Path:
    """The folder of the shipped rule files, in a wheel or in a checkout."""
    return _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT


def shipped_names() -> list[str]:
    """Bare names of the shipped rule files: ``resnet``, ``keras_hub/bert`` ... Fragments that others
    include (``common/``) are not among them."""
    folder = shipped_folder()
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.toml")]
    return sorted(name for name in names if not name.startswith("common/"))


def shipped_path(name: str) -> Path | None:
    """Path of the shipped file of that bare name, with or without ``.toml``; None if there is none."""
    relative = Path(name if name.endswith(".toml") else f"{name}.toml")
    if relative.is_absolute() or ".." in relative.parts:
        return None
    path = shipped_folder() / relative
    return path if path.is_file() else None
