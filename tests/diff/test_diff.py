"""Two files held against each other: what differs is found, named and counted."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file


@pytest.fixture
def files(tmp_path):
    """Writes the two sides, gives their paths."""

    def write(a: dict[str, np.ndarray], b: dict[str, np.ndarray]):
        save_file(a, tmp_path / "a.safetensors")
        save_file(b, tmp_path / "b.safetensors")
        return tmp_path / "a.safetensors", tmp_path / "b.safetensors"

    return write


def arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    return {f"layer{i}.weight": generator.standard_normal((300, 41)).astype("f4") for i in range(3)}


def test_equal_files_exit_with_zero(files, remap_command):
    ran = remap_command("diff", *files(arrays(), arrays()))
    assert (ran.code, ran.err) == (0, "")
    assert "equal: 3 of 3 shared tensors equal bit for bit" in ran.out


def test_a_changed_element_is_found_and_measured(files, remap_command):
    changed = arrays()
    changed["layer1.weight"][7, 5] += 0.5
    ran = remap_command("diff", *files(arrays(), changed), "--json")
    assert ran.code == 1
    entries = {entry["name"]: entry["compared"] for entry in json.loads(ran.out)["entries"]}
    assert entries["layer0.weight"]["equal"] == 300 * 41
    assert entries["layer1.weight"]["equal"] == 300 * 41 - 1
    assert entries["layer1.weight"]["absolute"] == pytest.approx(0.5, rel=1e-5)
    x, y = arrays()["layer1.weight"][7, 5], changed["layer1.weight"][7, 5]
    assert entries["layer1.weight"]["relative"] == pytest.approx(abs(x - y) / max(abs(x), abs(y)), rel=1e-5)


def test_minus_zero_and_nan_are_told_by_their_bits(files, remap_command):
    a = {"zero": np.array([0.0, 1.0], "f4"), "nan": np.array([np.nan, 1.0], "f4"), "same": np.array([np.nan], "f4")}
    b = {"zero": np.array([-0.0, 1.0], "f4"), "nan": np.array([2.0, 1.0], "f4"), "same": np.array([np.nan], "f4")}
    found = json.loads(remap_command("diff", *files(a, b), "--json").out)
    entries = {entry["name"]: entry["compared"] for entry in found["entries"]}
    assert (entries["zero"]["equal"], entries["zero"]["absolute"]) == (1, 0.0)
    assert (entries["nan"]["equal"], entries["nan"]["absolute"]) == (1, float("inf"))
    assert entries["same"]["equal"] == 1


def test_shapes_dtypes_and_names_of_one_side_are_differences(files, remap_command):
    a = {"shape": np.ones((2, 3), "f4"), "dtype": np.ones(2, "f4"), "gone": np.ones(1, "f4")}
    b = {
        "shape": np.ones((3, 2), "f4"),
        "dtype": np.ones(2, "f8"),
        "new.0": np.ones(1, "f4"),
        "new.1": np.ones(1, "f4"),
    }
    paths = files(a, b)
    ran = remap_command("diff", *paths)
    assert ran.code == 1
    assert f"only in {paths[0]}: gone (1)" in ran.out
    assert f"only in {paths[1]}: new.{{0..1}} (2)" in ran.out
    data = json.loads(remap_command("diff", *paths, "--json").out)
    verdicts = {entry["name"]: (entry["compared"] or {}).get("equal") for entry in data["entries"]}
    assert verdicts == {"shape": None, "dtype": 2}


def test_rules_align_a_checkpoint_with_the_file_made_from_it(fixtures, tmp_path, remap_command):
    checkpoint = fixtures / "resnet/thin_resnet50.pt"
    target = fixtures / "resnet/thin_resnet50.target.json.gz"
    for out, options in (("out.h5", ()), ("out.weights.h5", ("--target", target))):
        assert remap_command("apply", "resnet", checkpoint, "-o", tmp_path / out, *options).code == 0
        ran = remap_command("diff", checkpoint, tmp_path / out, "--rules", "resnet", *options)
        assert ran.code == 0, ran.out + ran.err
        assert "320 of 320 shared tensors equal" in ran.out


def test_two_formats_of_one_model_agree_by_its_inventory(fixtures, tmp_path, remap_command):
    checkpoint = fixtures / "resnet/thin_resnet50.pt"
    target = fixtures / "resnet/thin_resnet50.target.json.gz"
    paths = [tmp_path / "out.h5", tmp_path / "out.weights.h5"]
    for path in paths:
        assert remap_command("apply", "resnet", checkpoint, "-o", path, "--target", target).code == 0
    assert remap_command("diff", *paths, "--target", target).code == 0
    strangers = remap_command("diff", *paths)
    assert strangers.code == 2
    assert "no name in common" in strangers.err


MEASURED = """
import sys
from pathlib import Path
from remap.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    lines = Path("/proc/self/status").read_text().splitlines()
    print("PEAK", next(line for line in lines if line.startswith("VmHWM:")).split()[1], stop.code)
"""


def test_memory_does_not_grow_with_the_files(tmp_path):
    """Two files of half a gigabyte, which are holes but for one number."""
    nbytes = 1 << 29
    header = b'{"w":{"dtype":"F32","shape":[8192,16384],"data_offsets":[0,%d]}}' % nbytes
    for name in "ab":
        with (tmp_path / name).open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(8 + len(header) + nbytes)
    with (tmp_path / "b").open("r+b") as file:
        file.seek(-4, 2)
        file.write(np.float32(3).tobytes())
    command = [sys.executable, "-c", MEASURED, "diff", str(tmp_path / "a"), str(tmp_path / "b"), "--json"]
    ran = subprocess.run(command, capture_output=True, text=True)
    result, _, measured = ran.stdout.partition("PEAK")
    assert json.loads(result)["entries"][0]["compared"] == {
        "elements": nbytes // 4,
        "equal": nbytes // 4 - 1,
        "absolute": 3.0,
        "relative": 1.0,
    }
    peak, code = measured.split()
    assert code == "1"
    assert int(peak) < 300_000
