"""The file ``checkpoint`` of a folder, which says what checkpoint is the latest one there: it belongs to its writer.

Format: tensorflow/python/training/checkpoint_state.proto, as text.
"""

from __future__ import annotations

import re
from pathlib import Path

NAME = "checkpoint"
_LATEST = re.compile(r'^\s*model_checkpoint_path\s*:\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)
_MOST = 1 << 16


def text(out: Path) -> str:
    """What points to a checkpoint.

    >>> text(Path("a/w.ckpt")).splitlines()[0]
    'model_checkpoint_path: "w.ckpt"'
    """
    name = _quoted(out.name)
    return f"model_checkpoint_path: {name}\nall_model_checkpoint_paths: {name}\n"


def note(out: Path) -> str:
    """What to say where the folder of a checkpoint points to another one, as a comment; empty where it does not."""
    try:
        with (out.parent / NAME).open(encoding="utf-8", errors="replace") as file:
            match = _LATEST.search(file.read(_MOST))
    except OSError:
        return ""
    if match and match[1] in (_quoted(out.name)[1:-1], _quoted(str(out.absolute()))[1:-1]):
        return ""
    latest = repr(match[1])[1:-1] if match else "something else"
    return f"\n# the folder's file 'checkpoint' is left as it was: tf.train.latest_checkpoint gives {latest}"


def _quoted(path: str) -> str:
    """A path as a string of a text protocol buffer."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
