from __future__ import annotations

import re

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


def tensors(count):
    return [torch.full((2,), float(number)) for number in range(count)]


WALKED = {
    "a list of tensors": (tensors(2), {"0": 0.0, "1": 1.0}),
    "a tuple with a state_dict": ((dict(zip("ab", tensors(2), strict=True)), {"epoch": 3}), {"a": 0.0, "b": 1.0}),
    "two state_dicts": ([{"a": tensors(1)[0]}, {"b": tensors(2)[1]}], {"0.a": 0.0, "1.b": 1.0}),
    "a list under a key": ({"model": tensors(2), "epoch": 3}, {"0": 0.0, "1": 1.0}),
    "an average's list": ({"ema": {"shadow_params": tensors(4)}, "step": 3}, {str(n): float(n) for n in range(4)}),
    "two lists": ({"a": tensors(1), "b": tensors(2)[1:]}, {"a.0": 0.0, "b.0": 1.0}),
}


@pytest.mark.parametrize("kind", WALKED)
def test_lists_and_tuples_are_walked(kind, opened):
    saved, expected = WALKED[kind]
    assert {name: tensor.array()[0] for name, tensor in opened(saved).items()} == expected


def test_a_list_beside_weights_is_no_part_of_them(opened, same):
    checkpoint = opened({**state(), "anchors": tensors(2)})
    same(checkpoint, state())
    assert [each.reason for each in checkpoint.skipped] == [
        "list of 2 entries with 2 tensors; root = 'anchors' reads it"
    ]


OFFERING = {
    "state_dict": {"deep": {"model": {"w": torch.ones(1)}, "more": tensors(3)}, "odd.key": {"again": tensors(2)}},
    "": {"w": torch.ones(1)},
    "average": {"x.y": {"w": torch.ones(1)}},
    3: {"w": torch.ones(1)},
    "pair": (torch.ones(1), {"w": torch.ones(1)}),
    ("a", "b"): {"w": torch.ones(1)},
    ".": {"w": torch.ones(1)},
    "sparse": {"w": torch.eye(2).to_sparse()},
    "a.b": {"w": torch.ones(1)},
    "a": {"b": {"v": torch.ones(1)}},
    "one": {"w": torch.ones(1)},
}


def test_every_root_that_is_offered_reads_what_it_is_offered_for(opened):
    roots = offered(opened(OFFERING))
    assert roots.keys() == {
        "average",
        "3",
        "pair",
        "a.b",
        "a",
        "one",
        "state_dict.odd.key.again",
        "state_dict.deep.more",
    }
    for root, count in roots.items():
        assert len(opened(OFFERING, root=root)) == count, root


def test_a_root_below_a_root_is_offered_whole(opened):
    saved = {"x": {"y": {"w": torch.ones(1), "list": tensors(2)}}}
    assert offered(opened(saved, root="x.y")) == {"x.y.list": 2}
    assert len(opened(saved, root="x.y.list")) == 2


def offered(checkpoint):
    """Roots in the reasons, with the number of tensors that each is said to reach."""
    matches = [re.search(r"with (\d+) tensors?; root = '(.*)' reads it", each.reason) for each in checkpoint.skipped]
    return {match[2]: int(match[1]) for match in matches if match}


def test_no_tensors_is_not_said_of_what_holds_some(tmp_path, remap_command):
    torch.save({"state_dict": {"w": torch.ones(1)}, "ema": {"w": torch.ones(1), "v": torch.ones(2)}}, tmp_path / "a.pt")
    (tmp_path / "a.toml").write_text("format = 1\n[move.tensor]\n'w' = 'w'\n")
    ran = remap_command("apply", tmp_path / "a.toml", tmp_path / "a.pt", "--dry-run")
    assert "left alone: ema: dict of 2 entries with 2 tensors; root = 'ema' reads it" in ran.out
    assert "no tensors" not in ran.out
