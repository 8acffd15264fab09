from __future__ import annotations

import pytest
import torch

from remap.errors import CheckpointError, UsageError
from remap.opening.memory import from_state_dict
from remap.opening.open import open_checkpoint


def state(prefix="", seed=0):
    torch.manual_seed(seed)
    return {f"{prefix}{name}": torch.randn(2) for name in ("conv.weight", "conv.bias", "fc.weight")}


@pytest.fixture
def opened(tmp_path):
    def save_and_open(value, **kwargs):
        torch.save(value, tmp_path / "a.pt")
        return open_checkpoint(tmp_path / "a.pt", **kwargs)

    return save_and_open


@pytest.mark.parametrize(
    "key",
    [
        "state_dict",
        "model",
        "model_state_dict",
        "model_state",
        "network",
        "params",
        "generator",
        "net",
        "module",
        "foo",
    ],
)
def test_wrapped_under_a_key(opened, same, key):
    found = opened({"epoch": 1, key: state()})
    same(found, state())
    assert found.peeled == (f"[{key!r}]",)
    assert [skipped.name for skipped in found.skipped] == ["epoch"]


def test_wrapped_twice(opened, same):
    found = opened({"checkpoint": {"model": {"state_dict": state("module.")}, "step": torch.tensor(3)}})
    same(found, state())
    assert found.peeled == ("['checkpoint']", "['model']", "['state_dict']", "prefix 'module.'")


@pytest.mark.parametrize("average", ["state_dict_ema", "model_ema", "ema", "ema_state_dict", "params_ema"])
def test_plain_weights_before_their_average(opened, same, average):
    found = opened({average: state(seed=1), "model": state()})
    same(found, state())
    assert [(skipped.name, f"root = '{average}'" in skipped.reason) for skipped in found.skipped] == [(average, True)]
    same(opened({average: state(seed=1), "model": state()}, root=average), state(seed=1))


def test_average_of_an_unknown_name(opened, same):
    found = opened({"student": state(), "student_ema": state(seed=1)})
    same(found, state())
    assert [skipped.name for skipped in found.skipped] == ["student_ema"]


def test_average_alone_is_taken(opened, same):
    found = opened({"model_ema": state(seed=1), "epoch": 2})
    same(found, state(seed=1))
    assert found.peeled == ("['model_ema']",)


def test_optimizer_is_listed(opened, same):
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter])
    parameter.sum().backward()
    optimizer.step()
    found = opened({"weights_of_net": state(), "thing": optimizer.state_dict()})
    same(found, state())
    assert [(skipped.name, skipped.reason) for skipped in found.skipped] == [
        ("thing", "dict of 2 entries with 3 tensors")
    ]


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module."]
)
def test_prefixes(opened, same, prefix):
    found = opened(state(prefix))
    same(found, state())
    assert "".join(peeled.split("'")[1] for peeled in found.peeled) == prefix


def test_compiled_submodule(opened, same):
    found = opened({"a._orig_mod.w": torch.ones(1), "b.w": torch.zeros(1)})
    same(found, {"a.w": torch.ones(1), "b.w": torch.zeros(1)})
    assert "_orig_mod" in found.peeled[0]


def test_mixture_is_an_error(opened, same):
    mixed = {**state("module."), "head.weight": torch.ones(1)}
    with pytest.raises(
        CheckpointError, match=r"only some keys have the prefix 'module.'(.|\n)*3 with it, 1 without: head"
    ):
        opened(mixed)
    same(opened(mixed, strip=[r"module\."]), {**state(), "head.weight": torch.ones(1)})


def test_averaged_model(opened, same):
    net = torch.nn.Linear(2, 3)
    found = opened(torch.optim.swa_utils.AveragedModel(net).state_dict())
    same(found, net.state_dict())
    assert [skipped.name for skipped in found.skipped] == ["n_averaged"]


def test_model_prefix_stays_unless_lightning(opened, same):
    same(opened(state("model.")), state("model."))
    lightning = {"pytorch-lightning_version": "2.4.0", "state_dict": state("model."), "callbacks": {}}
    same(opened(lightning), state())
    partly = {**state("model."), "loss.weight": torch.ones(1)}
    same(opened({"pytorch-lightning_version": "2.4.0", "state_dict": partly}), partly)


def test_wrappers_go_before_what_strip_says_of_the_rest(opened, same):
    wrapped = {**state("module.bert."), "module.head.weight": torch.ones(1)}
    wanted = {**state(), "head.weight": torch.ones(1)}
    same(opened(wrapped, strip=[r"bert\."]), wanted)
    as_told = {**state(), "module.head.weight": torch.ones(1)}
    same(opened(wrapped, strip=[r"module\.bert\."]), as_told)


def test_a_state_dict_in_memory_is_stripped_as_a_file_is():
    found = from_state_dict({**state("module.bert."), "module.head.weight": torch.ones(1)}, strip=[r"bert\."])
    assert list(found) == [*state(), "head.weight"]
    assert found["conv.bias"].array().tolist() == state()["conv.bias"].tolist()
    with pytest.raises(CheckpointError, match="only some keys have the prefix"):
        from_state_dict({**state("module."), "head.weight": torch.ones(1)})


def test_strip_that_joins_names_is_an_error(opened):
    with pytest.raises(CheckpointError, match=r"one name(.|\n)*w"):
        opened({"a.w": torch.ones(1), "b.w": torch.ones(1)}, strip=[r"[ab]\."])


def test_strip_must_be_a_pattern(opened):
    with pytest.raises(UsageError, match="no regular expression"):
        opened(state(), strip=["("])


def test_two_state_dicts_need_a_root(opened, same):
    both = {"model": state(), "generator": state(seed=1)}
    with pytest.raises(CheckpointError, match="model, generator"):
        opened(both)
    same(opened(both, root="generator"), state(seed=1))
    joined = {f"model.{name}": tensor for name, tensor in state().items()}
    joined |= {f"generator.{name}": tensor for name, tensor in state(seed=1).items()}
    same(opened(both, root="."), joined)


def test_unknown_parts_are_kept_apart_by_name(opened, same):
    found = opened({"G": state(), "D": state(seed=1), "step": 4})
    same(found, {**{f"G.{k}": v for k, v in state().items()}, **{f"D.{k}": v for k, v in state(seed=1).items()}})
    assert [skipped.name for skipped in found.skipped] == ["step"]


def test_root_with_dots(opened, same):
    same(opened({"a": {"b.c": {"d": state()}}}, root="a.b.c.d"), state())
    with pytest.raises(UsageError, match=r"no root 'a.x'(.|\n)*b.c"):
        opened({"a": {"b.c": {"d": state()}}}, root="a.x")


def test_nothing_inside(opened):
    with pytest.raises(CheckpointError, match=r"no tensors(.|\n)*epoch"):
        opened({"epoch": 1})


def test_bare_tensor_has_an_empty_name(opened, same):
    same(opened(torch.ones(3)), {"": torch.ones(3)})


def test_duplicate_mention_of_one_dict(opened):
    shared = state()
    found = opened({"state_dict": {"a": shared, "b": shared}})
    assert set(found) in ({f"a.{name}" for name in shared}, {f"b.{name}" for name in shared})
    assert any("same dict again" in skipped.reason for skipped in found.skipped)
