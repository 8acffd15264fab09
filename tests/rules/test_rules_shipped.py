"""``remap rules``: what is shipped, and one file as it stands."""

import json

from remap.cli.main import main
from remap.rules.load import load_rules
from remap.rules.shipped import shipped_folder, shipped_names


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
