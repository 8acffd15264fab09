"""What the project's own files promise: one version, fragments, a hook, warnings that are errors, a floor."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import warnings

import pytest
from repository import ROOT

import remap

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FRAGMENTS = sorted(path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md")


def test_the_version_is_told_once(remap_command):
    assert "version" not in PROJECT["project"]
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert (ROOT / PROJECT["tool"]["hatch"]["version"]["path"]).samefile(remap.__file__)
    told = re.compile(rf"(?<![\w.]){re.escape(remap.__version__)}(?![\w.])")
    files = [ROOT / "pyproject.toml", *(ROOT / "remap").rglob("*.py")]
    assert [path.name for path in files if told.search(path.read_text("utf-8"))] == ["__init__.py"]
    assert importlib.metadata.version("remap") == remap.__version__
    assert remap_command("--version").out == f"remap, version {remap.__version__}\n"


@pytest.mark.parametrize("module", ["remap", "remap.api", "remap.tensors.tensor"])
@pytest.mark.parametrize("kind", [DeprecationWarning, RuntimeWarning, UserWarning, ResourceWarning])
def test_a_warning_of_the_projects_own_is_an_error(module, kind):
    with pytest.raises(kind, match="old"):
        warnings.warn_explicit("old", kind, "a.py", 1, module=module)


@pytest.mark.parametrize("module", ["keras.layers", "remapper", "torch.remap", "__main__"])
def test_a_warning_of_others_is_none(module):
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn_explicit("old", UserWarning, "a.py", 1, module=module, registry={})
    assert len(caught) == 1


def test_branches_are_measured_and_have_a_floor():
    coverage = PROJECT["tool"]["coverage"]
    assert coverage["run"]["branch"]
    assert coverage["run"]["source"] == ["remap"]
    assert coverage["report"]["fail_under"] >= 80
    assert "--cov" in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_of_the_changelog_has_a_name_a_kind_and_a_sentence(path):
    kinds = [kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]]
    assert re.fullmatch(rf"\+[a-z0-9-]+\.({'|'.join(kinds)})\.md", path.name)
    text = path.read_text("utf-8")
    assert text[0].isupper() or text[0] in "`."
    assert text.endswith(".\n")


def test_every_kind_of_fragment_is_explained():
    explained = re.findall(r"^\| `(\w+)`", (ROOT / "changelog.d/README.md").read_text("utf-8"), re.MULTILINE)
    assert explained == [kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]]


def hook() -> dict[str, str]:
    lines = (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8").removeprefix("- ").splitlines()
    return dict(line.strip().split(": ", 1) for line in lines)


def run_hook(*paths: object) -> subprocess.CompletedProcess[str]:
    python, *rest = hook()["entry"].split()
    assert python == "python"
    return subprocess.run([sys.executable, *rest, *map(str, paths)], capture_output=True, text=True)


def test_the_hook_takes_rule_files():
    pattern = re.compile(hook()["files"])
    names = ["rules/a.toml", "src/rules/keras_hub/a.toml", "net.rules.toml"]
    others = ["pyproject.toml", "rules/a.json", "unruly/a.toml"]
    assert hook()["id"] == "remap-lint"
    assert hook()["language"] == "python"
    assert [name for name in [*names, *others] if pattern.search(name)] == names


def test_the_hook_lints_every_file(tmp_path, fixtures):
    right, doubtful = fixtures / "linear/linear.toml", tmp_path / "doubtful.toml"
    text = right.read_text("utf-8")
    doubtful.write_text(text + "\n[[ignore]]\nmatch = '.*'\nreason = \"the rest\"\n", "utf-8")
    (tmp_path / "wrong.toml").write_text("format = 1\nwrong = 2\n")
    assert run_hook(right, right).returncode == 0
    said = run_hook(right, doubtful, right)
    assert (said.returncode, "doubtful.toml" in said.stdout) == (1, True)
    said = run_hook(tmp_path / "wrong.toml", doubtful)
    assert (said.returncode, "wrong.toml" in said.stderr, "doubtful.toml" in said.stdout) == (4, True, True)


def test_readme_has_the_commands_that_ci_runs():
    readme, script = (ROOT / "README.md").read_text("utf-8"), (ROOT / ".ci/run").read_text()
    assert "pip install -e '.[all,test]'" in readme
    assert "-e '.[all,test]'" in script
    assert "pip install -e '.[test-fast]' && .venv-fast/bin/pytest --fast" in readme
    assert "-e '.[test-fast]'" in script
    assert 'pytest" --fast' in script
    assert re.search(r"^(PYTEST_ADDOPTS=\S+ )?.*pytest$", script.rstrip().splitlines()[-1])
