"""``remap lint`` for several rule files, as hooks of version control hand them over.

>>> run([])
0
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from remap.cli.main import main


def run(paths: Iterable[str]) -> int:
    """Lint every file by itself.

    Returns:
        The largest of the exit codes.
    """
    worst = 0
    for path in paths:
        try:
            main(["lint", path])
        except SystemExit as end:
            worst = max(worst, int(end.code or 0))
    return worst


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
