"""The guide to writing rule files: its worked example runs as it stands there, and it knows every word."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from remap.layout.ops import OPERATIONS
from remap.lint.finding import CODES
from remap.rules import schema
from remap.rules.layouts import builtin_layouts
from remap.rules.load import load_rules
from remap.rules.shipped import shipped_folder

ROOT = Path(__file__).parents[2]
GUIDE = (shipped_folder() / "README.md").read_text("utf-8")
EXAMPLE, _, REFERENCE = GUIDE.partition("\n# The language\n")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(command, folder):
    """Runs one command line of a console block; its exit code and all that it printed."""
    words = command.split()
    words[:1] = {"remap": [sys.executable, "-m", "remap"], "python": [sys.executable]}[words[0]]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment, timeout=300)
    return done.returncode, done.stdout + done.stderr


def pattern_of(line):
    """A line of the guide as a regex: '...' in it stands for anything, columns may be padded."""
    return r"\s*" + ".*".join(re.escape(part).replace(r"\ ", r"\s+") for part in line.strip().split("...")) + r"\s*"


def check_output(expected, printed):
    """Every line of the guide is printed, in its order."""
    lines = iter(printed.splitlines())
    for line in expected:
        if line.strip() != "...":
            assert any(re.fullmatch(pattern_of(re.sub(" +", " ", line)), found) for found in lines), (
                f"{line!r} is not in:\n{printed}"
            )


@pytest.mark.full
def test_worked_example_runs_as_it_stands(tmp_path):
    ran = 0
    for language, body in BLOCK.findall(EXAMPLE):
        if language != "console":
            title = re.match(r"# (\S+\.\w+)(, at the end)?\n", body)
            assert title is not None, f"a block without the name of its file: {body[:40]}"
            with (tmp_path / title[1]).open("a" if title[2] else "x", encoding="utf-8") as file:
                file.write(body)
            continue
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            command, *expected = part.splitlines()
            code, printed = run(command, tmp_path)
            assert (code != 0) == any(line.startswith("error:") for line in expected), f"{command}\n{printed}"
            check_output(expected, printed)
            ran += 1
    assert ran == 8
    assert (tmp_path / "net.weights.h5").is_file()


def test_toml_of_the_reference_is_accepted(tmp_path):
    blocks = [body for language, body in BLOCK.findall(REFERENCE) if language == "toml"]
    assert len(blocks) >= 5
    for name in ("common", "encoder"):
        (tmp_path / f"{name}.toml").write_text("format = 1\n")
    for index, body in enumerate(blocks):
        tomllib.loads(body)
        path = tmp_path / f"block{index}.toml"
        path.write_text(f"format = 1\n{body}")
        load_rules(path)


WORDS = sorted(
    {
        field.encode_name
        for struct in vars(schema).values()
        if isinstance(struct, type) and issubclass(struct, schema.Table) and struct is not schema.Table
        for field in msgspec.structs.fields(struct)
    }
)


@pytest.mark.parametrize("word", WORDS)
def test_reference_has_every_word_with_an_example(word):
    assert re.search(
        rf"`{word}`|`\[+{word}\]+`|`{word} = |^{word} = |[{{ ]{word} = |`\[{word}\.", REFERENCE, re.MULTILINE
    ), word


def test_reference_has_every_layout_operation_and_code():
    missing = [name for name in (*builtin_layouts(), *OPERATIONS) if f"| `{name}` |" not in REFERENCE]
    missing += [code for code, kind in CODES.items() if f"| {code} | {kind} |" not in REFERENCE]
    assert missing == []
