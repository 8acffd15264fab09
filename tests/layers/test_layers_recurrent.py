"""Recurrent layers: gate orders, the two biases, directions and stacks of any depth, by one rule."""

import keras
import numpy as np
import pytest
import torch
from keras import layers
from layer_parity import Case, check_equal, convert, planned, randomise, relative_difference, sequential, write_rules
from torch import nn

from remap.errors import PlanError

ONE = """
[[rename]]
match = '0'
to = 'layer'
layout = "{layout}"
{more}
"""
KINDS = {"lstm": (nn.LSTM, layers.LSTM), "gru": (nn.GRU, layers.GRU), "simple_rnn": (nn.RNN, layers.SimpleRNN)}


def states(module, x):
    return module[0](x)[0]


def last_state(module, x):
    """The last state of the last layer, both directions side by side."""
    found = module[0](x)[1]
    found = found[0] if isinstance(found, tuple) else found
    directions = 2 if module[0].bidirectional else 1
    return torch.cat(list(found[-directions:]), dim=-1)


def one(name, module, layer, layout, more="", run=states):
    return Case(
        name,
        lambda: nn.Sequential(module()),
        lambda: sequential((6, 5), layer()),
        ONE.format(layout=layout, more=more),
        (6, 5),
        run=run,
    )


CASES = [
    *(
        one(
            f"{kind}, all states",
            lambda module=module: module(5, 4, batch_first=True),
            lambda layer=layer: layer(4, return_sequences=True, name="layer"),
            kind,
        )
        for kind, (module, layer) in KINDS.items()
    ),
    *(
        one(
            f"{kind}, last state",
            lambda module=module: module(5, 4, batch_first=True),
            lambda layer=layer: layer(4, name="layer"),
            kind,
            run=last_state,
        )
        for kind, (module, layer) in KINDS.items()
    ),
    *(
        one(
            f"{kind}, bias=False",
            lambda module=module: module(5, 4, batch_first=True, bias=False),
            lambda layer=layer: layer(4, return_sequences=True, use_bias=False, name="layer"),
            kind,
        )
        for kind, (module, layer) in KINDS.items()
    ),
    *(
        one(
            f"{kind}, bias=False into a layer with one",
            lambda kind=kind: KINDS[kind][0](5, 4, batch_first=True, bias=False),
            lambda kind=kind: KINDS[kind][1](4, return_sequences=True, bias_initializer="ones", name="layer"),
            kind,
            f"fill = ['{kind}_cell/bias']",
        )
        for kind in ("lstm", "simple_rnn")
    ),
    one(
        "square lstm",
        lambda: nn.LSTM(5, 5, batch_first=True),
        lambda: layers.LSTM(5, return_sequences=True, name="layer"),
        "lstm",
    ),
    one(
        "rnn of relu",
        lambda: nn.RNN(5, 4, batch_first=True, nonlinearity="relu"),
        lambda: layers.SimpleRNN(4, activation="relu", return_sequences=True, name="layer"),
        "simple_rnn",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_layer_gives_equal_outputs(case, tmp_path):
    check_equal(case, tmp_path)


STACK = """
[tables.direction]
"" = "forward"
_reverse = "backward"

[[rename]]
match = '0'
to = '{{direction[reverse]}}_layer{{layer}}'
layout = "{layout}"
"""


def stack(kind, depth, directions):
    """The same rule for any depth and one or two directions."""
    module, layer = KINDS[kind]

    def model():
        x = start = keras.Input((6, 5))
        for number in range(depth):
            if directions == 2:
                x = layers.Bidirectional(layer(4, return_sequences=True, name=f"layer{number}"), name=f"bi{number}")(x)
            else:
                x = layer(4, return_sequences=True, name=f"forward_layer{number}")(x)
        return keras.Model(start, x)

    return Case(
        f"{kind}, {depth} deep, {directions} directions",
        lambda: nn.Sequential(module(5, 4, depth, batch_first=True, bidirectional=directions == 2)),
        model,
        STACK.format(layout=kind),
        (6, 5),
        run=states,
    )


@pytest.mark.parametrize(
    "case", [stack(kind, depth, n) for kind in KINDS for depth, n in ((1, 2), (2, 1), (2, 2), (3, 2))], ids=str
)
def test_one_rule_covers_a_stack_of_any_depth_and_both_directions(case, tmp_path):
    check_equal(case, tmp_path)


def test_a_stack_of_twelve_is_in_numeric_order(tmp_path):
    """Ten sorts before two as text; so deep a network hardly depends on its input, so its weights are compared."""
    case = stack("simple_rnn", 12, 1)
    module, model = randomise(case.torch()), case.keras()
    convert(module, model, write_rules(tmp_path, case.rules))
    for number in range(12):
        kernel = model.get_layer(f"forward_layer{number}").cell.recurrent_kernel
        expected = getattr(module[0], f"weight_hh_l{number}").detach().numpy().T
        np.testing.assert_array_equal(np.asarray(kernel), expected)


def test_both_last_states_of_a_bidirectional_lstm(tmp_path):
    case = stack("lstm", 1, 2)
    check_equal(
        Case(
            case.name,
            case.torch,
            lambda: sequential((6, 5), layers.Bidirectional(layers.LSTM(4, name="layer0"))),
            case.rules,
            case.input,
            run=last_state,
        ),
        tmp_path,
    )


class Steps(nn.Module):
    """A cell, run step by step."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        state, found = None, []
        for step in x.unbind(1):
            state = self.cell(step, state)
            found.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(found, 1)


@pytest.mark.parametrize(
    ("layout", "module", "cell"),
    [
        ("lstm_cell", nn.LSTMCell, layers.LSTMCell),
        ("gru_cell", nn.GRUCell, layers.GRUCell),
        ("simple_rnn_cell", nn.RNNCell, layers.SimpleRNNCell),
    ],
)
def test_cells(layout, module, cell, tmp_path):
    rules = f"[[rename]]\nmatch = 'cell'\nto = 'rnn/step'\nlayout = '{layout}'\n"
    check_equal(
        Case(
            layout,
            lambda: Steps(module(5, 4)),
            lambda: sequential((6, 5), layers.RNN(cell(4, name="step"), return_sequences=True, name="rnn")),
            rules,
            (6, 5),
        ),
        tmp_path,
    )


def test_a_gru_that_resets_before_is_refused_for_its_bias(tmp_path):
    case = one(
        "", lambda: nn.GRU(5, 4, batch_first=True), lambda: layers.GRU(4, reset_after=False, name="layer"), "gru"
    )
    with pytest.raises(PlanError, match="shapes differ") as failure:
        planned(case.torch(), case.keras(), write_rules(tmp_path, case.rules))
    assert "found: (2, 12)" in str(failure.value)
    assert "expected: (12,)" in str(failure.value)


def test_a_gru_that_resets_before_is_warned_of_where_it_has_no_bias(tmp_path):
    """All shapes fit, outputs differ, no weights repair it."""
    case = one(
        "",
        lambda: nn.GRU(5, 4, batch_first=True, bias=False),
        lambda: layers.GRU(4, reset_after=False, use_bias=False, return_sequences=True, name="layer"),
        "gru",
    )
    module, model = randomise(case.torch()), case.keras()
    plan = convert(module, model, write_rules(tmp_path, case.rules))
    assert len(plan.warnings) == 1
    assert "reset_after=False" in plan.warnings[0]
    assert relative_difference(case, module, model) > 1e-2


def test_an_lstm_with_projections_has_no_counterpart(tmp_path):
    case = one("", lambda: nn.LSTM(5, 4, proj_size=3, batch_first=True), lambda: layers.LSTM(4, name="layer"), "lstm")
    with pytest.raises(PlanError, match="no rule claims a source tensor") as failure:
        planned(case.torch(), case.keras(), write_rules(tmp_path, case.rules))
    assert "0.weight_hr_l0" in str(failure.value)


def test_a_checkpoint_that_lacks_one_of_the_two_biases_is_refused(tmp_path):
    case = CASES[0]
    module = case.torch()
    del module[0].bias_hh_l0
    module[0].register_parameter("bias_hh_l0", None)
    with pytest.raises(PlanError, match="only some of a variable's tensors are there") as failure:
        planned(module, case.keras(), write_rules(tmp_path, case.rules))
    assert "0.bias_ih_l0" in str(failure.value)
    assert "bias_hh_l<layer>" in str(failure.value)


def test_gates_of_a_gru_are_counted_as_what_no_shape_verifies(tmp_path):
    case = next(case for case in CASES if case.name == "gru, all states")
    plan = planned(case.torch(), case.keras(), write_rules(tmp_path, case.rules))
    assert {assignment.entry: assignment.blind for assignment in plan.assignments} == {
        "gru_cell/kernel": "split or merged axis: (gate u)",
        "gru_cell/recurrent_kernel": "axes of one size: h, u",
        "gru_cell/bias": "split or merged axis: (gate u)",
    }
