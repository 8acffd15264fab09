"""Rule files as text against arrays in memory: what each variable becomes."""

from pathlib import Path

import numpy as np

import remap
from remap.planning.plan import Plan


def arrays(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Arrays of these shapes, all numbers different; '__' in a name stands for a dot."""
    found, start = {}, 1
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        found[name.replace("__", ".")] = np.arange(start, start + size, dtype=np.float32).reshape(shape)
        start += size
    return found


def plan_of(folder: Path, rules: str, source, **options) -> Plan:
    path = folder / "rules.toml"
    path.write_text(f"format = 1\n{rules}", "utf-8")
    return remap.plan(path, source, **options)


def values_of(folder: Path, rules: str, source, **options) -> dict[str, np.ndarray]:
    """Variable to what is written."""
    return {a.name: a.value.array() for a in plan_of(folder, rules, source, **options).assignments}


def expect(found: dict[str, np.ndarray], **expected: np.ndarray) -> None:
    """Exactly these variables, bit for bit; '__' in a name stands for a slash."""
    expected = {name.replace("__", "/"): array for name, array in expected.items()}
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
