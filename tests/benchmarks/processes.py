"""Running a command and measuring it."""

from __future__ import annotations

import os
import subprocess
import time


def run(command: list[str]) -> tuple[float, float, float]:
    """Seconds, processor seconds and largest resident megabytes of a child process.

    Python may keep the bytecode of what it imports, as it does for an installed package.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {command}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
