"""Networks on sequences: attention in its several spellings, recurrent layers, embeddings."""

import keras
import torch
from keras import layers, ops
from torch import nn
from torch.nn import functional as F


class TorchEncoder(nn.Module):
    """Embedding, then one block of attention written out and an MLP."""

    def __init__(self, scale=None, causal=False, embedding_scale=1.0):
        super().__init__()
        self.scale, self.causal, self.embedding_scale = scale, causal, embedding_scale
        self.tokens = nn.Embedding(50, 12)
        self.q, self.k, self.v, self.out = (nn.Linear(12, 12) for _ in range(4))
        self.norm = nn.LayerNorm(12)
        self.up, self.down = nn.Linear(12, 24), nn.Linear(24, 12)

    def forward(self, ids):
        x = self.tokens(ids) * self.embedding_scale
        q, k, v = (layer(x).unflatten(-1, (3, 4)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, scale=self.scale)
        x = self.norm(x + self.out(mixed.transpose(1, 2).flatten(2)))
        return x + self.down(F.gelu(self.up(x)))


class Encoder(keras.Model):
    """The same as a subclassed model, with operations between its layers that are no layers."""

    def __init__(self, scale=0.5, causal=False, gelu=None):
        super().__init__()
        self.scale, self.causal = scale, causal
        self.gelu = gelu or (lambda x: ops.gelu(x, approximate=False))
        self.tokens = layers.Embedding(50, 12, name="tokens")
        self.q, self.k, self.v, self.out = (layers.Dense(12, name=name) for name in ("q", "k", "v", "out"))
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.up, self.down = layers.Dense(24, name="up"), layers.Dense(12, name="down")

    def call(self, ids):
        x = self.tokens(ids)
        q, k, v = (ops.transpose(ops.reshape(f(x), (-1, 7, 3, 4)), (0, 2, 1, 3)) for f in (self.q, self.k, self.v))
        scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) * self.scale
        if self.causal:
            scores = scores + (1 - ops.tril(ops.ones((7, 7)))) * -1e9
        mixed = ops.reshape(ops.transpose(ops.matmul(ops.softmax(scores), v), (0, 2, 1, 3)), (-1, 7, 12))
        x = self.norm(x + self.out(mixed))
        return x + self.down(self.gelu(self.up(x)))


def subclassed(**options):
    model = Encoder(**options)
    model(keras.Input((7,), dtype="int32"))
    return model


ENCODER_RULES = {
    "tokens": ("tokens", "embedding"),
    **{name: (name, "dense") for name in ("q", "k", "v", "out", "up", "down")},
    "norm": ("norm", "layer_normalization"),
}


class TorchMHA(nn.Module):
    def __init__(self, causal=False):
        super().__init__()
        self.causal = causal
        self.attn = nn.MultiheadAttention(12, 3, batch_first=True)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if self.causal else None
        return self.head(self.attn(x, x, x, need_weights=False, attn_mask=mask)[0])


class Unscaled(layers.MultiHeadAttention):
    def build(self, query_shape, value_shape, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self._inverse_sqrt_key_dim = 1.0


def keras_mha(causal=False, kind=layers.MultiHeadAttention, heads=3):
    x = keras.Input((7, 12))
    y = kind(heads, 12 // heads, name="attn")(x, x, use_causal_mask=causal)
    return keras.Model(x, layers.Dense(4, name="head")(y))


class TorchRNN(nn.Module):
    def __init__(self, kind=nn.LSTM, bidirectional=False, **settings):
        super().__init__()
        self.rnn = kind(5, 6, batch_first=True, bidirectional=bidirectional, **settings)
        self.head = nn.Linear(12 if bidirectional else 6, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def keras_rnn(kind=layers.LSTM, bidirectional=False, **settings):
    x = keras.Input((7, 5))
    rnn = kind(6, return_sequences=True, name="rnn" if not bidirectional else "inner", **settings)
    y = layers.Bidirectional(rnn, name="rnn")(x) if bidirectional else rnn(x)
    return keras.Model(x, layers.Dense(3, name="head")(y))


class TorchShared(nn.Module):
    """One layer that is called twice."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(torch.relu(self.fc(torch.relu(self.fc(x)))))


def keras_shared(second="relu"):
    x = keras.Input((8,))
    fc = layers.Dense(8, name="fc")
    y = layers.Activation(second, name="again")(fc(layers.ReLU(name="first")(fc(x))))
    return keras.Model(x, layers.Dense(3, name="head")(y))


class TorchDeep(nn.Module):
    """Two layers of an LSTM in one module; the last step of the second goes on."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(5, 6, 2, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def keras_deep():
    x = keras.Input((7, 5))
    y = layers.LSTM(6, name="rnn1")(layers.LSTM(6, return_sequences=True, name="rnn0")(x))
    return keras.Model(x, layers.Dense(3, name="head")(y))


class TorchFlat(nn.Module):
    """A BatchNorm after a flatten: its outputs are in another order on the two sides."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm1d(4 * 36), nn.Linear(4 * 36, 5)

    def forward(self, x):
        return self.head(self.bn(torch.flatten(self.conv(x), 1)))


def keras_flat():
    x = keras.Input((8, 8, 3))
    y = layers.Flatten()(layers.Conv2D(4, 3, name="conv")(x))
    return keras.Model(x, layers.Dense(5, name="head")(layers.BatchNormalization(epsilon=1e-5, name="bn")(y)))


class TorchShuffle(nn.Module):
    """Channels that become pixels: the convolution before gives them in another order on the two sides."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(2, 5, 3)

    def forward(self, x):
        return self.head(F.pixel_shuffle(self.conv(x), 2))


class DepthToSpace(layers.Layer):
    def call(self, x):
        y = ops.reshape(x, (-1, 6, 6, 2, 2, 2))
        return ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, 12, 12, 2))


def keras_shuffle():
    x = keras.Input((8, 8, 3))
    y = DepthToSpace(name="shuffle")(layers.Conv2D(8, 3, name="conv")(x))
    return keras.Model(x, layers.Conv2D(5, 3, name="head")(y))
