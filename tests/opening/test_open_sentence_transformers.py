"""Folders of sentence-transformers: one checkpoint of all modules where more than the first has weights."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from remap.errors import CheckpointError
from remap.opening.open import open_checkpoint


class Transformer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.auto_model = torch.nn.Sequential(
            OrderedDict(embeddings=torch.nn.Embedding(7, 4), norm=torch.nn.LayerNorm(4))
        )


class Dense(torch.nn.Module):
    def __init__(self, *sizes):
        super().__init__()
        self.linear = torch.nn.Linear(*sizes)


class Pooling(torch.nn.Module):
    pass


class Normalize(torch.nn.Module):
    pass


@pytest.fixture
def equal(same):
    """The same tensors in any order: safetensors has them sorted."""

    def check(found, expected):
        assert set(found) == set(expected)
        same(found, {name: expected[name] for name in found})

    return check


MODULES = "sentence_transformers.models"


@pytest.fixture
def model() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(Transformer(), Pooling(), Dense(4, 6), Dense(6, 4), Normalize())


def entry(number: int, module: torch.nn.Module, path: str) -> dict[str, object]:
    return {"idx": number, "name": str(number), "path": path, "type": f"{MODULES}.{type(module).__name__}"}


def save(model: torch.nn.Sequential, folder: Path, first: str = "", file: str = "model.safetensors") -> Path:
    """As the library does, each module apart; modules without settings have no folder where a hub is in between.

    Args:
        model: The modules.
        folder: Where to.
        first: The first module's folder inside of it, if any.
        file: What each module's weights are called.
    """
    entries = []
    for number, module in enumerate(model):
        path = f"{number}_{type(module).__name__}" if number else first
        entries.append(entry(number, module, path))
        state = (module.auto_model if isinstance(module, Transformer) else module).state_dict()
        if isinstance(module, Normalize):
            continue
        (folder / path).mkdir(parents=True, exist_ok=True)
        (folder / path / "config.json").write_text("{}")
        if state and file.endswith(".safetensors"):
            save_file(state, folder / path / file)
        elif state:
            torch.save(state, folder / path / file)
    (folder / "modules.json").write_text(json.dumps(entries, indent=2))
    return folder


def change(folder: Path, number: int, **others: object) -> None:
    entries = json.loads((folder / "modules.json").read_text())
    entries[number] |= others
    (folder / "modules.json").write_text(json.dumps(entries))


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("first", ["", "0_Transformer"])
def test_all_modules_are_one_checkpoint(tmp_path, model, equal, first, file):
    found = open_checkpoint(save(model, tmp_path, first, file))
    equal(found, model.state_dict())
    assert found.format.startswith("sentence-transformers ")
    start = f"{first}/" if first else ""
    assert found.peeled == (
        f"modules of sentence-transformers: 0.auto_model. from {start}{file}, none of 1 (Pooling), "
        f"2. from 2_Dense/{file}, 3. from 3_Dense/{file}, none of 4 (Normalize)",
    )


def test_names_are_those_of_the_list(tmp_path, model):
    save(model, tmp_path)
    change(tmp_path, 2, name="wider")
    assert {"wider.linear.weight", "3.linear.weight"} <= set(open_checkpoint(tmp_path))


def test_a_module_of_ones_own_is_joined_under_its_name(tmp_path, model):
    save(model, tmp_path)
    change(tmp_path, 3, type="my_package.Head")
    assert "3.linear.weight" in open_checkpoint(tmp_path)
    (tmp_path / "3_Dense" / "model.safetensors").unlink()
    found = open_checkpoint(tmp_path)
    assert "3.linear.weight" not in found
    assert "none of 3 (Head)" in found.peeled[0]


def test_wrappers_and_what_lies_beside_the_weights_are_told(tmp_path, model, equal):
    save(model, tmp_path)
    (tmp_path / "3_Dense" / "model.safetensors").unlink()
    saved = {"state_dict": model[3].state_dict(), "epoch": 3}
    torch.save(saved, tmp_path / "3_Dense" / "pytorch_model.bin")
    found = open_checkpoint(tmp_path)
    equal(found, model.state_dict())
    assert found.peeled[1:] == ("['state_dict'] of module 3",)
    assert [skipped.name for skipped in found.skipped] == ["3.epoch"]


def test_of_two_kinds_of_file_the_librarys_first_is_read_and_named(tmp_path, model, equal):
    save(model, tmp_path)
    for path in (tmp_path, tmp_path / "2_Dense"):
        torch.save({"other": torch.ones(1)}, path / "pytorch_model.bin")
    found = open_checkpoint(tmp_path)
    equal(found, model.state_dict())
    assert "2. from 2_Dense/model.safetensors" in found.peeled[0]


def test_a_module_may_lie_in_shards(tmp_path, model, equal):
    save(model, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    state = model[0].auto_model.state_dict()
    files = {name: f"model-0000{number}-of-00003.safetensors" for number, name in enumerate(state, 1)}
    for name, file in files.items():
        save_file({name: state[name]}, tmp_path / file)
    equal(open_checkpoint(tmp_path), model.state_dict())
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    equal(open_checkpoint(tmp_path), model.state_dict())


def test_where_only_the_first_module_has_weights_they_keep_their_names(tmp_path, model, equal):
    alone = torch.nn.Sequential(model[0], Pooling(), Normalize())
    found = open_checkpoint(save(alone, tmp_path))
    equal(found, model[0].auto_model.state_dict())
    assert (found.format, found.peeled) == ("safetensors", ())


def test_the_file_of_one_module_can_be_given(tmp_path, model, equal):
    save(model, tmp_path)
    equal(open_checkpoint(tmp_path / "model.safetensors"), model[0].auto_model.state_dict())
    equal(open_checkpoint(tmp_path / "2_Dense"), model[2].state_dict())


@pytest.mark.parametrize("path", ["", "2_Dense", "3_Dense"])
def test_missing_weights_are_an_error_that_names_the_module(tmp_path, model, path, remap_command):
    save(model, tmp_path)
    (tmp_path / path / "model.safetensors").unlink()
    ran = remap_command("inspect", tmp_path)
    number = path[:1] or "0"
    kind = "Dense" if path else "Transformer"
    assert ran.code == 3
    assert "module without its weights" in ran.err
    assert f"{number} ({kind})" in ran.err
    assert "fetch the missing file" in ran.err


def test_missing_weights_of_the_only_module_that_has_some_are_an_error_too(tmp_path, model):
    save(torch.nn.Sequential(model[0], Pooling(), model[2]), tmp_path)
    (tmp_path / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"module without its weights(.|\n)*2 \(Dense\)"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("path", ["../2_Dense", "/tmp", "a/../../b", "C:\\x", "2_Dense\0", "..", "\\\\host\\share"])
def test_a_path_outside_of_the_folder_is_refused(tmp_path, model, path):
    folder = save(model, tmp_path / "folder")
    (folder / "2_Dense").rename(tmp_path / "2_Dense")
    change(folder, 2, path=path)
    with pytest.raises(CheckpointError, match=r"outside of its folder|cannot read the list"):
        open_checkpoint(folder)


def test_a_link_out_of_the_folder_is_refused(tmp_path, model):
    folder = save(model, tmp_path / "folder")
    (folder / "2_Dense").rename(tmp_path / "2_Dense")
    (folder / "2_Dense").symlink_to(tmp_path / "2_Dense")
    with pytest.raises(CheckpointError, match=r"outside of its folder(.|\n)*it is a link"):
        open_checkpoint(folder)


def test_the_links_of_a_hubs_cache_are_followed(tmp_path, model, equal):
    folder = save(model, tmp_path / "snapshots" / "abc")
    (tmp_path / "blobs").mkdir()
    for number, path in enumerate(("", "2_Dense", "3_Dense")):
        (folder / path / "model.safetensors").rename(tmp_path / "blobs" / str(number))
        (folder / path / "model.safetensors").symlink_to(tmp_path / "blobs" / str(number))
    equal(open_checkpoint(folder), model.state_dict())


@pytest.mark.parametrize(("key", "value"), [("name", "3"), ("path", "3_Dense"), ("path", "./3_Dense/")])
def test_what_is_listed_twice_is_refused(tmp_path, model, key, value):
    save(model, tmp_path)
    change(tmp_path, 2, **{key: value})
    what = {"name": "name", "path": "folder"}[key]
    with pytest.raises(CheckpointError, match=f"several modules have one {what}(.|\n)*'3"):
        open_checkpoint(tmp_path)


ENTRY = entry(0, Transformer(), "")
WRONG = {
    "empty": b"",
    "cut": b'[{"idx": 0',
    "bytes": b"\xff\xfe\0",
    "deep": b"[" * 100_000,
    "twice": b'[{"name": "0", "name": "1", "path": "", "type": "T"}]',
    "dict": json.dumps({"0": ENTRY}).encode(),
    "nothing": b"[]",
    "number": b"[1]",
    "pathless": json.dumps([{"name": "0", "type": "T"}]).encode(),
    "path": json.dumps([{**ENTRY, "path": 3}]).encode(),
    "nameless": json.dumps([{**ENTRY, "name": ""}]).encode(),
    "dotted": json.dumps([{**ENTRY, "name": "0.auto_model"}]).encode(),
    "terminal": json.dumps([{**ENTRY, "type": "\x1b[2J"}]).encode(),
    "large": b" " * (2 << 20) + json.dumps([ENTRY]).encode(),
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_a_damaged_list_is_refused_by_a_message(tmp_path, model, text, remap_command):
    save(model, tmp_path)
    (tmp_path / "modules.json").write_bytes(text)
    ran = remap_command("inspect", tmp_path)
    assert ran.code == 3
    assert "cannot read the list of modules" in ran.err
    assert "give the path of the one file of weights" in ran.err
    assert "Traceback" not in ran.err
    assert remap_command("inspect", tmp_path / "model.safetensors").code == 0


def test_a_folder_behind_a_url(tmp_path, model, equal):
    save(model, tmp_path)
    equal(open_checkpoint(f"file://{tmp_path}"), model.state_dict())
