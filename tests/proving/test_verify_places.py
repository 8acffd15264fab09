"""A layer that ends at another place than PyTorch's module is no divergence, where what is made from it is equal."""

from __future__ import annotations

import keras
import pytest
import torch
from torch import nn

SCALE = 4.0
RULES = r"""format = 1
[[rename]]
match = 'embedding'
to = 'embedding'
layout = "embedding"
[[rename]]
match = 'head'
to = 'head'
layout = "dense"
"""


class Scaled(nn.Embedding):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return super().forward(ids) * SCALE


class TorchWords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = Scaled(11, 8), nn.Linear(8, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(ids))


def keras_words(*factors: float) -> keras.Model:
    ids = keras.Input((6,), dtype="int32", name="ids")
    words = keras.layers.Embedding(11, 8, name="embedding")(ids)
    for factor in factors:
        words = keras.layers.Rescaling(factor)(words)
    return keras.Model(ids, keras.layers.Dense(5, name="head")(words))


def test_scale_made_outside_of_the_layer_in_two_steps_is_no_divergence(hold):
    torch.manual_seed(0)
    found = hold(TorchWords(), lambda: keras_words(2.0, 2.0), RULES, inputs=["ids=int64[1,6]<11"])
    assert found.verdict == "equal"
    assert found.finding is None
    assert {row.layer: row.outcome for row in found.rows} == {"embedding": "not compared", "head": "equal"}


@pytest.mark.parametrize("factors", [(2.0,), (2.0, 2.5)])
def test_another_scale_is_one(hold, factors):
    torch.manual_seed(0)
    found = hold(TorchWords(), lambda: keras_words(*factors), RULES, inputs=["ids=int64[1,6]<11"])
    assert found.verdict == "differ"
    assert found.finding.layer in ("embedding", "head")
