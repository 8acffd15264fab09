"""Faults seeded into real networks: weights in a wrong order throughout, attention of one layer, several at once."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from test_verify_real import TOKENS, bert, minilm
from verify_networks import randomise

from remap.proving.inputs import InputSpec

BLOCKS = (3, 4, 6, 3)
CONV = "'layer<stage>\\.<block>\\.conv<n>' = { to = 'conv{stage+1}_block{block+1}_{n}_conv', fill = [\"bias\"] }\n"
NORM = "'layer<stage>\\.<block>\\.bn<n>' = 'conv{stage+1}_block{block+1}_{n}_bn'\n"
WEIGHTS = {
    "height and width exchanged": (
        CONV,
        '[layouts.mine]\nkernel = { from = "weight", axes = "o i h w -> w h i o" }\n'
        'bias = { from = "bias", fill = "zeros", like = "weight: o" }\n',
        "transposition",
        "conv",
        (2,),
    ),
    "statistics exchanged": (
        NORM,
        '[layouts.mine]\ngamma = "weight"\nbeta = "bias"\nmoving_mean = "running_var"\n'
        'moving_variance = "running_mean"\n',
        "statistics exchanged",
        "bn",
        (1, 2, 3),
    ),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_rule_that_is_wrong_for_every_block_of_a_resnet(name, hold, load_file, fixtures):
    rule, layout, cause, ending, numbers = WEIGHTS[name]
    text = (fixtures.parent / "rules/resnet.toml").read_text().replace('"fold"', '"accept"')
    assert rule in text
    wrong = f"{text.replace(rule, '')}\n[move.mine]\n{rule}\n{layout}"
    network = randomise(load_file("resnet/torch_model.py").build(), 3)
    found = hold(network, load_file("resnet/keras_model.py").build, wrong)
    expected = [
        f"conv{stage + 2}_block{block + 1}_{number}_{ending}"
        for stage, blocks in enumerate(BLOCKS)
        for block in range(blocks)
        for number in numbers
    ]
    told = [found.finding, *found.further]
    assert [entry.layer for entry in told] == expected
    assert {(entry.cause, entry.blame, entry.proved) for entry in told} == {(cause, "weights", True)}


def altered(alter):
    model = bert(True)
    alter(model.get_layer("transformer_layer_2")._self_attention_layer)
    return model


def unscaled(attention):
    attention._inverse_sqrt_key_dim = 1.0


def unmasked(attention):
    call = attention.call
    attention.call = lambda *args, **kwargs: call(*args, **{**kwargs, "attention_mask": None})


@pytest.mark.parametrize(("alter", "cause"), [(unscaled, "attention scale"), (unmasked, "attention mask")])
def test_the_attention_of_one_layer_of_minilm(alter, cause, hold):
    network, path = minilm()
    mask = (np.arange(12) < np.array([[12], [7]])).astype(np.int64)
    inputs = [*TOKENS[:2], InputSpec("padding_mask", (2, 12), "int64", "attention_mask", values=mask)]
    found = hold(network, partial(altered, alter), "keras_hub/bert", path, inputs=inputs)
    assert found.finding.layer == "transformer_layer_2/self_attention_layer/attention_output"
    assert (found.finding.cause, found.finding.proved, found.finding.blame) == (cause, True, "model")
    assert found.further == ()


def test_every_layer_of_minilm_has_the_other_gelu(hold):
    network, path = minilm()
    found = hold(network, partial(bert, False), "keras_hub/bert", path, inputs=TOKENS)
    told = [found.finding, *found.further]
    assert [entry.layer for entry in told] == [
        f"transformer_layer_{layer}/feedforward_intermediate_dense" for layer in range(6)
    ]
    assert {entry.cause for entry in told} == {"gelu tanh against erf"}
