"""Parts of one tensor, each split and ordered by sizes of its own, joined again."""

from __future__ import annotations

import numpy as np
import pytest

import remap

RULES = """format = 1
[move.own]
'fc' = 'fc'
[layouts.own]
kernel = { from = [%s], concat = "i", axes = "o i -> i o" }
"""
IMAGE = '{ tensor = "weight", axes = "o (c s) -> o (s c)", take = { "(c s)" = ":12" }, sizes = { c = 3 } }'
OTHER = '{ tensor = "weight", axes = "o (c s) -> o (s c)", take = { "(c s)" = "12:22" }, sizes = { c = 5 } }'
REST = '{ tensor = "weight", axes = "o i -> o i", take = { i = "22:" } }'


def moved(tmp_path, parts, weight):
    (tmp_path / "rules.toml").write_text(RULES % ", ".join(parts))
    out = tmp_path / "out.npz"
    remap.apply(tmp_path / "rules.toml", {"fc.weight": weight}, out)
    return next(iter(np.load(out).values()))


def test_each_stretch_has_its_own_order(tmp_path):
    weight = np.random.default_rng(0).standard_normal((4, 25)).astype("float32")
    image = weight[:, :12].reshape(4, 3, 4).transpose(0, 2, 1).reshape(4, 12)
    other = weight[:, 12:22].reshape(4, 5, 2).transpose(0, 2, 1).reshape(4, 10)
    wanted = np.concatenate([image, other, weight[:, 22:]], 1).T
    assert np.array_equal(moved(tmp_path, (IMAGE, OTHER, REST), weight), wanted)


def test_three_axes_in_another_order(tmp_path):
    part = (
        '{ tensor = "weight", axes = "o (c h w) -> o (w h c)", take = { "(c h w)" = "1:" }, sizes = { c = 2, h = 3 } }'
    )
    first = '{ tensor = "weight", axes = "o i -> o i", take = { i = "0:1" } }'
    weight = np.random.default_rng(1).standard_normal((4, 25)).astype("float32")
    turned = weight[:, 1:].reshape(4, 2, 3, 4).transpose(0, 3, 2, 1).reshape(4, 24)
    assert np.array_equal(moved(tmp_path, (first, part), weight), np.concatenate([weight[:, :1], turned], 1).T)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (IMAGE.replace('"(c s)" =', '"(s c)" ='), "has no group '(s c)' on its left"),
        (IMAGE.replace("sizes = { c = 3 }", "sizes = { x = 3 }"), "has no axis 'x'"),
        (IMAGE.replace("sizes = { c = 3 }", 'sizes = { c = "many" }'), "no parameter is called 'many'"),
        (IMAGE.replace("sizes = { c = 3 }", "sizes = { c = 5 }"), "12"),
    ],
)
def test_words_that_do_not_fit_are_told(part, says, tmp_path):
    with pytest.raises(remap.RemapError) as caught:
        moved(tmp_path, (part, OTHER, REST), np.zeros((4, 25), "float32"))
    assert any(says in str(problem) for problem in caught.value.problems)
