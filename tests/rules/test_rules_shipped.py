"""``remap rules``: what is shipped, and one file as it stands."""

import json
import tomllib

import pytest

from remap.cli.main import main
from remap.rules.layouts import BUILTIN_PATH
from remap.rules.load import load_rules
from remap.rules.shipped import shipped_folder, shipped_names

WIDTH = 120
"""Columns of a line that is read without scrolling; the package's own code keeps to the same."""


def run(capsys, *arguments):
    code = 0
    try:
        main(list(arguments))
    except SystemExit as exited:
        code = exited.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_has_every_shipped_file_with_both_sides_and_its_size(capsys):
    code, out, _ = run(capsys, "rules")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()[1:] if not line.startswith(" ")}
    assert list(lines) == shipped_names()
    resnet = lines["resnet"]
    assert "torchvision ResNet-50/101/152" in resnet
    assert "keras.applications.ResNet50/101/152" in resnet
    assert resnet.split()[-1] == "3"


def test_list_as_data(capsys):
    code, out, _ = run(capsys, "rules", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["resnet"]["models"] == load_rules("resnet").about.models
    assert rows["resnet"]["sizes"] == ["50", "101", "152"]
    assert all(row["source"] and row["target"] and row["sizes"] and row["models"] for row in rows.values())


def test_show_prints_the_file_itself(capsys):
    code, out, _ = run(capsys, "rules", "show", "resnet")
    assert (code, out) == (0, (shipped_folder() / "resnet.toml").read_text("utf-8"))


def test_show_of_an_unknown_name_suggests_another(capsys):
    code, out, err = run(capsys, "rules", "show", "resnett")
    assert (code, out) == (2, "")
    assert "did you mean" in err and "resnet" in err


def test_lines_are_read_without_scrolling(fixtures):
    files = [*shipped_folder().rglob("*.toml"), *fixtures.rglob("*.toml"), BUILTIN_PATH]
    assert len(files) > 80
    lines = [(path, number, line) for path in files for number, line in enumerate(path.open(encoding="utf-8"), 1)]
    assert [f"{path}:{number}" for path, number, line in lines if len(line.rstrip("\n")) > WIDTH] == []


@pytest.mark.parametrize(
    "path", [path.relative_to(shipped_folder()) for path in shipped_folder().rglob("*.toml")], ids=str
)
def test_shipped_files_have_the_usual_form(path):
    document = tomllib.loads((shipped_folder() / path).read_text("utf-8"))
    assert "rename" not in document
    assert all(isinstance(document.get(name, {}), dict) for name in ("move", "ignore", "keep", "fill"))
