"""Silent mistakes: each is caught, by the plan or by the check of outputs, and told of where no shape can show it."""

from dataclasses import dataclass

import keras
import pytest
from keras import layers
from layer_parity import TOLERANCE, Case, convert, planned, randomise, relative_difference, sequential, write_rules
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from remap.errors import PlanError


@dataclass(frozen=True)
class Mistake:
    """A right conversion, and the same rules with one mistake.

    Args:
        case: The right one.
        right: Text of its rules that the mistake replaces.
        wrong: What stands there instead.
        caught: What the plan says of it; empty where only the outputs show it.
        told: Entries of a layout that the report counts among those that no shape verifies.
        warned: What the plan warns of.
    """

    case: Case
    right: str
    wrong: str
    caught: str = ""
    told: tuple[str, ...] = ()
    warned: str = ""


def rule(layout, match="0", to="layer", more=""):
    return f"[[rename]]\nmatch = '{match}'\nto = '{to}'\nlayout = '{layout}'\n{more}\n"


def own(text, **names):
    """A layout written out, so that one word of it can be wrong."""
    return f"[layouts.own]\n{text}\n" + rule("own", **names)


def chain(module, layer, rules, input, channels=False, run=None):
    shape = (*input[1:], input[0]) if channels else input
    more = {} if run is None else {"run": run}
    return Case("", lambda: nn.Sequential(module()), lambda: sequential(shape, layer()), rules, input, channels, **more)


def first(module, x):
    return module[0](x)[0]


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(9, 3, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


def keras_attention():
    x = keras.Input((5, 9))
    return keras.Model(x, layers.MultiHeadAttention(3, 3, name="layer")(x, x))


ATTENTION = """
[layouts.own]
"query/kernel" = { from = "in_proj_weight", axes = "(qkv h d) e -> qkv e h d", sizes = { qkv = 3 }, take = { qkv = 0 } }
"query/bias" = { from = "in_proj_bias", axes = "(qkv h d) -> qkv h d", sizes = { qkv = 3 }, take = { qkv = 0 } }
"key/kernel" = { from = "in_proj_weight", axes = "(qkv h d) e -> qkv e h d", sizes = { qkv = 3 }, take = { qkv = 1 } }
"key/bias" = { from = "in_proj_bias", axes = "(qkv h d) -> qkv h d", sizes = { qkv = 3 }, take = { qkv = 1 } }
"value/kernel" = { from = "in_proj_weight", axes = "(qkv h d) e -> qkv e h d", sizes = { qkv = 3 }, take = { qkv = 2 } }
"value/bias" = { from = "in_proj_bias", axes = "(qkv h d) -> qkv h d", sizes = { qkv = 3 }, take = { qkv = 2 } }
"attention_output/kernel" = { from = 'out_proj\\.weight', axes = "e (h d) -> h d e" }
"attention_output/bias" = 'out_proj\\.bias'
""" + rule("own", match="attention")

LSTM = """
"lstm_cell/kernel" = { from = 'weight_ih_l<layer>', axes = "(gate u) i -> i (gate u)", order = { gate = [0, 1, 2, 3] } }
"lstm_cell/recurrent_kernel" = { from = 'weight_hh_l<layer>', axes = "g h -> h g" }
"lstm_cell/bias" = { from = ['bias_ih_l<layer>', 'bias_hh_l<layer>'], reduce = "sum" }
"""
GRU = """
"gru_cell/kernel" = { from = 'weight_ih_l<n>', axes = "(gate u) i -> i (gate u)", order.gate = [1, 0, 2] }
"gru_cell/recurrent_kernel" = { from = 'weight_hh_l<n>', axes = "(gate u) h -> h (gate u)", order.gate = [1, 0, 2] }
"gru_cell/bias" = { from = ['bias_ih_l<n>', 'bias_hh_l<n>'], axes = "s (g u) -> s (g u)", order.g = [1, 0, 2] }
"""
BOTH_WAYS = """
[tables.side]
"" = "forward"
_reverse = "backward"
""" + rule("lstm", to="{side[reverse]}_layer")
NORM = """
gamma = "weight"
beta = "bias"
moving_mean = "running_mean"
moving_variance = "running_var"
"""
COUNTER = "[[ignore]]\nmatch = '.*num_batches_tracked'\nreason = 'no such counter'\n"
FLATTENED = rule("conv2d", to="conv") + rule("dense_after_flatten", match="2")
WEIGHT_NORM = r"""
[[derive]]
op = "weight_norm"
from.g = '(?P<m>.*)\.parametrizations\.weight\.original0'
from.v = '(?P<m>.*)\.parametrizations\.weight\.original1'
to = '{m}.weight'
""" + rule("dense")
WEIGHT_NORM_IGNORED = r"""
[layouts.own]
kernel = { from = 'parametrizations\.weight\.original1', axes = "o i -> i o" }
bias = "bias"
[[ignore]]
match = '.*original0'
reason = "a mistake"
""" + rule("own")
SPECTRAL_NORM = r"""
[[derive]]
op = "spectral_norm"
from.weight = '(?P<m>.*)\.parametrizations\.weight\.original'
from.u = '(?P<m>.*)\.parametrizations\.weight\.0\._u'
from.v = '(?P<m>.*)\.parametrizations\.weight\.0\._v'
to = '{m}.weight'
""" + rule("dense")
SPECTRAL_NORM_IGNORED = r"""
[layouts.own]
kernel = { from = 'parametrizations\.weight\.original', axes = "o i -> i o" }
bias = "bias"
[[ignore]]
match = '.*\._[uv]'
reason = "a mistake"
""" + rule("own")


class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(2 + 6, 4)

    def forward(self, x):
        return x * self.table.weight[2:]


class KerasPositions(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight(shape=(6, 4), name="table")

    def call(self, x):
        return x * self.table


def lstm(depth=1, both=False):
    return nn.LSTM(4, 2 if both else 4, depth, bidirectional=both, batch_first=True)


def keras_lstm(name="layer"):
    return layers.LSTM(4, return_sequences=True, name=name)


def two_lstms():
    return sequential((6, 4), keras_lstm("lstm0"), keras_lstm("lstm1"))


def swapped(text, one, other):
    """The text with two words exchanged."""
    return other.join(part.replace(other, one) for part in text.split(one))


SQUARE = chain(
    lambda: nn.Conv2d(4, 4, 3, bias=False),
    lambda: layers.Conv2D(4, 3, use_bias=False, name="layer"),
    own('kernel = { from = "weight", axes = "o i h w -> h w i o" }'),
    (4, 7, 7),
    True,
)
TRANSPOSED = chain(
    lambda: nn.ConvTranspose2d(4, 4, 3, bias=False),
    lambda: layers.Conv2DTranspose(4, 3, use_bias=False, name="layer"),
    own('kernel = { from = "weight", axes = "i o h w -> h w o i", flip = [] }'),
    (4, 7, 7),
    True,
)
ATTENDED = Case("", SelfAttention, keras_attention, ATTENTION, (5, 9))
LINEAR = chain(lambda: nn.Linear(6, 6), lambda: layers.Dense(6, name="layer"), rule("dense"), (6,))
BATCHNORM = chain(
    lambda: nn.BatchNorm2d(5),
    lambda: layers.BatchNormalization(epsilon=1e-5, name="layer"),
    own(NORM) + COUNTER,
    (5, 4, 4),
    True,
)
ONE_LSTM = chain(lstm, keras_lstm, own(LSTM), (6, 4), run=first)
ONE_GRU = chain(
    lambda: nn.GRU(4, 4, batch_first=True),
    lambda: layers.GRU(4, return_sequences=True, name="layer"),
    own(GRU),
    (6, 4),
    run=first,
)
HEADS = chain(
    lambda: nn.Linear(6, 9),
    lambda: layers.EinsumDense("abc,cde->abde", (None, 3, 3), bias_axes="de", name="layer"),
    own('kernel = { from = "weight", axes = "(h d) i -> i h d" }\nbias = { from = "bias", axes = "(h d) -> h d" }'),
    (5, 6),
    run=lambda module, x: module(x).unflatten(-1, (3, 3)),
)
SEPARABLE = Case(
    "",
    lambda: nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 7, 1))),
    lambda: sequential((7, 7, 4), layers.SeparableConv2D(7, 3, name="layer")),
    own(
        r"""
depthwise_kernel = { from = '0\.weight', axes = "(c m) 1 h w -> h w c m" }
pointwise_kernel = { from = '1\.weight', axes = "o i h w -> h w i o" }
bias = { from = ['1\.weight', '0\.bias', '1\.bias'], op = "separable_bias" }
"""
    ),
    (4, 7, 7),
    True,
)
DIRECTIONS = Case(
    "",
    lambda: nn.Sequential(lstm(both=True)),
    lambda: sequential((6, 4), layers.Bidirectional(layers.LSTM(2, return_sequences=True, name="layer"))),
    BOTH_WAYS,
    (6, 4),
    run=first,
)

MISTAKES = {
    "gates of an LSTM in TensorFlow 1's order": Mistake(
        ONE_LSTM, "[0, 1, 2, 3]", "[0, 2, 1, 3]", told=("lstm_cell/kernel",)
    ),
    "gates of a GRU not reordered": Mistake(
        ONE_GRU, "[1, 0, 2]", "[0, 1, 2]", told=("gru_cell/kernel", "gru_cell/recurrent_kernel", "gru_cell/bias")
    ),
    "second bias forgotten": Mistake(
        ONE_LSTM,
        "['bias_ih_l<layer>', 'bias_hh_l<layer>'], reduce = \"sum\"",
        "'bias_ih_l<layer>'",
        caught="no rule claims a source tensor",
    ),
    "second bias ignored": Mistake(
        ONE_LSTM,
        "['bias_ih_l<layer>', 'bias_hh_l<layer>'], reduce = \"sum\" }",
        "'bias_ih_l<layer>' }\n[[ignore]]\nmatch = '.*bias_hh.*'\nreason = 'a mistake'",
    ),
    "biases of a GRU summed": Mistake(
        ONE_GRU, 'axes = "s (g u) -> s (g u)"', 'reduce = "sum", axes = "(g u) -> (g u)"', caught="shapes differ"
    ),
    "input and recurrent kernel exchanged": Mistake(
        ONE_LSTM, LSTM, swapped(LSTM, "weight_ih", "weight_hh"), told=("lstm_cell/kernel", "lstm_cell/recurrent_kernel")
    ),
    "directions exchanged": Mistake(
        DIRECTIONS, '"" = "forward"\n_reverse = "backward"', '"" = "backward"\n_reverse = "forward"'
    ),
    "backward direction forgotten": Mistake(
        DIRECTIONS,
        rule("lstm", to="{side[reverse]}_layer"),
        own(LSTM, to="forward_layer"),
        caught="no rule claims a source tensor",
    ),
    "layers of a stack exchanged": Mistake(
        Case("", lambda: nn.Sequential(lstm(2)), two_lstms, rule("lstm", to="lstm{layer}"), (6, 4), run=first),
        "lstm{layer}",
        "lstm{1-layer}",
    ),
    "gamma and moving variance exchanged": Mistake(
        BATCHNORM, NORM, swapped(NORM, '"weight"', '"running_var"'), told=("gamma", "moving_variance")
    ),
    "beta and moving mean exchanged": Mistake(
        BATCHNORM, NORM, swapped(NORM, '"bias"', '"running_mean"'), told=("beta", "moving_mean")
    ),
    "epsilon not folded": Mistake(
        chain(
            lambda: nn.BatchNorm2d(5),
            lambda: layers.BatchNormalization(name="layer"),
            '[batchnorm]\nsource_epsilon = 1e-5\non_mismatch = "fold"\n' + rule("batch_normalization") + COUNTER,
            (5, 4, 4),
            True,
        ),
        '"fold"',
        '"error"',
        caught="BatchNorm epsilons differ",
    ),
    "gamma and beta of a LayerNorm exchanged": Mistake(
        chain(
            lambda: nn.LayerNorm(6),
            lambda: layers.LayerNormalization(epsilon=1e-5, name="layer"),
            own('gamma = "weight"\nbeta = "bias"'),
            (4, 6),
        ),
        'gamma = "weight"\nbeta = "bias"',
        'gamma = "bias"\nbeta = "weight"',
        told=("gamma", "beta"),
    ),
    "1 added to a weight that has it": Mistake(
        chain(
            lambda: nn.RMSNorm(6, eps=1e-6),
            lambda: layers.RMSNormalization(epsilon=1e-6, name="layer"),
            own('scale = { from = "weight", scale = 1.0, add = 0.0 }'),
            (4, 6),
        ),
        "add = 0.0",
        "add = 1.0",
        told=("scale",),
    ),
    "square dense kernel not transposed": Mistake(LINEAR, "'dense'", "'dense_as_stored'", told=("kernel",)),
    "dense kernel not transposed": Mistake(
        chain(lambda: nn.Linear(5, 6), lambda: layers.Dense(6, name="layer"), rule("dense"), (5,)),
        "'dense'",
        "'dense_as_stored'",
        caught="layout 'dense' .*would give that shape",
    ),
    "height and width exchanged": Mistake(SQUARE, "-> h w i o", "-> w h i o", told=("kernel",)),
    "input and output channels exchanged": Mistake(SQUARE, "-> h w i o", "-> h w o i", told=("kernel",)),
    "kernel of a transposed convolution flipped": Mistake(
        TRANSPOSED, "flip = []", 'flip = ["h", "w"]', told=("kernel",)
    ),
    "channels of a transposed convolution exchanged": Mistake(TRANSPOSED, "-> h w o i", "-> h w i o", told=("kernel",)),
    "depthwise kernel taken for a plain one": Mistake(
        chain(
            lambda: nn.Conv2d(4, 4, 3, groups=4),
            lambda: layers.DepthwiseConv2D(3, name="layer"),
            rule("depthwise_conv2d"),
            (4, 7, 7),
            True,
        ),
        "'depthwise_conv2d'",
        "'conv2d'",
        caught="layout 'depthwise_conv2d' would give that shape",
    ),
    "channels and multiplier of a depthwise kernel exchanged": Mistake(
        chain(
            lambda: nn.Conv2d(3, 9, 3, groups=3, bias=False),
            lambda: layers.DepthwiseConv2D(3, depth_multiplier=3, use_bias=False, name="layer"),
            own('kernel = { from = "weight", axes = "(c m) 1 h w -> h w c m" }'),
            (3, 7, 7),
            True,
        ),
        '"(c m)',
        '"(m c)',
        told=("kernel",),
    ),
    "bias of a depthwise convolution forgotten": Mistake(
        SEPARABLE,
        r"['1\.weight', '0\.bias', '1\.bias'], op = " + '"separable_bias"',
        r"'1\.bias'",
        caught="no rule claims a source tensor",
    ),
    "order of a flatten": Mistake(
        Case(
            "",
            lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(60, 7)),
            lambda: sequential(
                (7, 5, 3), layers.Conv2D(4, 3, name="conv"), layers.Flatten(), layers.Dense(7, name="layer")
            ),
            FLATTENED,
            (3, 7, 5),
            True,
        ),
        "'dense_after_flatten'",
        "'dense'",
        warned="is fed by a Flatten",
    ),
    "square q not transposed": Mistake(
        ATTENDED,
        '"query/kernel" = { from = "in_proj_weight", axes = "(qkv h d) e -> qkv e h d"',
        '"query/kernel" = { from = "in_proj_weight", axes = "(qkv e) (h d) -> qkv e h d"',
        told=("query/kernel",),
    ),
    "q and k exchanged": Mistake(
        ATTENDED,
        ATTENTION,
        swapped(ATTENTION, "take = { qkv = 0 }", "take = { qkv = 1 }"),
        told=("query/kernel", "key/kernel"),
    ),
    "heads and their size exchanged": Mistake(HEADS, '"(h d) i', '"(d h) i', told=("kernel",)),
    "gain of a weight norm forgotten": Mistake(
        chain(lambda: weight_norm(nn.Linear(5, 6)), lambda: layers.Dense(6, name="layer"), WEIGHT_NORM, (5,)),
        WEIGHT_NORM,
        WEIGHT_NORM_IGNORED,
    ),
    "spectral norm not divided by": Mistake(
        chain(lambda: spectral_norm(nn.Linear(5, 6)), lambda: layers.Dense(6, name="layer"), SPECTRAL_NORM, (5,)),
        SPECTRAL_NORM,
        SPECTRAL_NORM_IGNORED,
    ),
    "position table cut at the wrong end": Mistake(
        Case(
            "",
            Positions,
            lambda: sequential((6, 4), KerasPositions(name="layer")),
            own("table = { from = 'weight', axes = 'row e -> row e', take = { row = '2:' } }", match="table"),
            (6, 4),
        ),
        "'2:'",
        "':6'",
        told=("table",),
    ),
    "a bias that Keras has not": Mistake(
        chain(
            lambda: nn.Conv2d(3, 4, 3, bias=False),
            lambda: layers.Conv2D(4, 3, use_bias=False, name="layer"),
            rule("conv2d"),
            (3, 7, 7),
            True,
        ),
        "layout = 'conv2d'",
        "layout = 'conv2d'\nfill = ['bias']",
        caught="the model has no such variable",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_silent_mistake_is_caught(name, tmp_path):
    mistake = MISTAKES[name]
    case = mistake.case
    assert mistake.right in case.rules
    module, model = randomise(case.torch()), case.keras()
    convert(module, model, write_rules(tmp_path, case.rules))
    assert relative_difference(case, module, model) <= TOLERANCE
    rules = write_rules(tmp_path, case.rules.replace(mistake.right, mistake.wrong))
    if mistake.caught:
        with pytest.raises(PlanError, match=mistake.caught):
            planned(module, model, rules)
        return
    plan = convert(module, model, rules)
    assert relative_difference(case, module, model) > 1e-2
    blind = {assignment.entry for assignment in plan.assignments if assignment.blind}
    assert set(mistake.told) <= blind
    assert mistake.warned in " ".join(plan.warnings) if mistake.warned else not plan.warnings


def test_there_are_nineteen_mistakes_and_more():
    caught_by_outputs = [name for name, mistake in MISTAKES.items() if not mistake.caught]
    assert len(MISTAKES) >= 19
    assert len(caught_by_outputs) >= 15
