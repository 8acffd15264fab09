"""The table of a plan shows which module became which layer; ``--pairs`` lists each of them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

import remap


@pytest.fixture
def planned(tmp_path):
    """Moves ``count`` biases of modules ``name`` by one row of rules; gives both columns of the table."""

    def make(names: list[str], match: str, to: str, tables: str = "") -> tuple[str, str]:
        rules = tmp_path / "rules.toml"
        rules.write_text(f"format = 1\n[move.dense]\n'{match}' = '{to}'\n{tables}")
        state = {f"{name}.weight": np.ones((2, 3), "f4") for name in names}
        from remap.report.account import rows

        (row,) = rows(remap.plan(rules, state))
        return row.source, row.target

    return make


def series(name: str, numbers: range) -> list[str]:
    return [name.format(number) for number in numbers]


def test_numbers_in_order_are_ranges_that_run_up(planned):
    assert planned(series("bn{}", range(1, 4)), "bn<n>", "norm{n+4}") == ("bn{1..3}", "norm{5..7}")
    blocks = series("l.{}", range(12))
    assert planned(blocks, r"l\.<n>", "s{n//4}_{n%4}") == ("l.{0..11}", "s{0..2}_{0..3}")


def test_numbers_the_other_way_round_run_down(planned):
    assert planned(series("bn{}", range(1, 4)), "bn<n>", "bn{4-n}") == ("bn{1..3}", "bn{3..1}")
    grid = [f"s{i}.{j}" for i in range(2) for j in range(3)]
    assert planned(grid, r"s<i>\.<j>", "b{i}_{2-j}") == ("s{0..1}.{0..2}", "b{0..1}_{2..0}")


def test_numbers_of_a_table_are_listed_in_pairs(planned):
    table = '[tables.t]\n"1" = "2"\n"2" = "3"\n"3" = "1"\n'
    assert planned(series("bn{}", range(1, 4)), "bn<n>", "bn{t[n]}", table) == ("bn{1,2,3}", "bn{2,3,1}")


def test_of_a_long_table_those_out_of_order_are_shown(planned):
    order = {**{n: n for n in range(24)}, 17: 18, 18: 17}
    table = "[tables.t]\n" + "".join(f'"{n}" = "{to}"\n' for n, to in order.items())
    assert planned(series("l{}", range(24)), "l<n>", "l{t[n]}", table) == ("l{17,18,...}", "l{18,17,...}")


def test_crossed_numbers_are_named_in_full(planned):
    grid = [f"l{i}.{j}" for i in range(2) for j in range(2)]
    assert planned(grid, r"l<i>\.<j>", "b{j}_{i}") == ("l0.0, l0.1, l1.0, l1.1", "b0_0, b1_0, b0_1, b1_1")


def test_exchanged_words_stand_first_and_side_by_side(planned):
    table = '[tables.t]\nx = "x"\ny = "y"\nencoder = "decoder"\ndecoder = "encoder"\n'
    names = [f"{side}.{n}" for side in ("x", "y", "encoder", "decoder") for n in range(3)]
    shown = planned(names, r"(?P<side>\w+)\.<n>", "{t[side]}_{n}", table)
    assert [text.split(", ...")[0] for text in shown] == [
        "encoder.{0..2}, decoder.{0..2}",
        "decoder_{0..2}, encoder_{0..2}",
    ]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "rules.toml").write_text("format = 1\n[move.dense]\n'block<n>' = 'layer{3-n}'\n'fc' = ['a', 'b']\n")
    names = ["block1", "block2", "fc"]
    save_file({f"{name}.weight": np.ones((2, 3), "f4") for name in names}, tmp_path / "net.safetensors")
    return tmp_path / "rules.toml", tmp_path / "net.safetensors"


PAIRS = [
    ("block1", "layer2", "dense", "rules.toml:3"),
    ("block2", "layer1", "dense", "rules.toml:3"),
    ("fc", "a", "dense", "rules.toml:4"),
    ("fc", "b", "dense", "rules.toml:4"),
]


def test_pairs_lists_every_module_with_its_layer_one_a_line(files, remap_command):
    ran = remap_command("apply", *files, "--dry-run", "--pairs")
    assert ran.code == 0, ran.err
    lines = [line for line in ran.out.splitlines() if "  ->  " in line]
    assert lines == [f"{module}  ->  {layer}  {layout}  {rule}" for module, layer, layout, rule in PAIRS]


def test_data_and_page_have_every_pair(files, remap_command, tmp_path):
    page = tmp_path / "page.html"
    ran = remap_command("apply", *files, "--dry-run", "--json", "--report", page)
    assert ran.code == 0, ran.err
    pairs = json.loads(ran.out)["pairs"]
    assert [(pair["module"], pair["layer"], pair["layout"]) for pair in pairs] == [pair[:3] for pair in PAIRS]
    assert all(pair["rule"].endswith(rule) for pair, (*_, rule) in zip(pairs, PAIRS, strict=True))
    listed = page.read_text("utf-8").partition("every module with its layer")[2].partition("</details>")[0]
    rows = [tuple(re.findall(r"<td[^>]*>([^<]*)</td>", row)) for row in re.findall(r"<tr>.*?</tr>", listed)]
    assert [row for row in rows if row] == PAIRS
