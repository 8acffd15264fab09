"""The README's table of shipped rule files is the one that the rules and the measurements give."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from remap.inventory.shipped import FILES, shipped_inventory
from remap.rules.load import load_rules
from remap.rules.shipped import shipped_names

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "fixtures" / "make_table.py"))
APPLICATIONS = [name for name in shipped_names() if "/" not in name]


def test_readme_holds_the_table():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert SCRIPT["put"](readme) == readme, "run python fixtures/make_table.py"
    for name in shipped_names():
        assert f"| `{name}` |" in readme


@pytest.mark.parametrize("name", APPLICATIONS)
def test_row_of_a_file_for_keras_applications_is_complete(name):
    row = next(line for line in SCRIPT["table"]().splitlines() if line.startswith(f"| `{name}` |"))
    cells = [cell.strip() for cell in row.strip("| \n").split(" | ")]
    assert all(cells[:7])
    assert cells[5] == "yes" or len(cells[7]) > 20


@pytest.mark.parametrize("name", shipped_names())
def test_file_says_what_it_converts(name):
    about = load_rules(name).about
    assert about.source
    assert about.target
    assert about.sizes
    assert about.models


def test_readme_without_marks_is_refused():
    with pytest.raises(ValueError, match="rules table"):
        SCRIPT["put"]("# remap\n")


def test_models_of_keras_applications_have_an_inventory():
    models = [model for name in APPLICATIONS for model in load_rules(name).about.models]
    assert {model for model in models if shipped_inventory(model) is None} == set()
    assert set(FILES) - set(models) == {"keras.applications:NASNetMobile"}  # for rules of one's own
    folder = ROOT / "remap" / "inventory" / "shipped"
    assert sum(path.stat().st_size for path in folder.glob("*.json.gz")) < 1_500_000
