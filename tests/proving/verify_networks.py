"""Small networks on both sides; what they are built with decides whether the two agree."""

import keras
import torch
from keras import layers
from torch import nn
from torch.nn import functional as F


def randomise(module, seed=0):
    """Fill every parameter and buffer with values of its own, of a size that keeps signals alive."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(7)
        elif name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.9 + 0.1)
        elif tensor.ndim > 1:
            fan_in = max(tensor[0].numel(), 1)
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * (1.5 / fan_in) ** 0.5)
        else:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.5 + (0.75 if "weight" in name else -0.25))
    return module.eval()


class TorchCNN(nn.Module):
    """Most kinds of layers in one network on images of 32x32."""

    def __init__(
        self,
        align_corners=False,
        upsample="bilinear",
        padding_mode="zeros",
        normalise=False,
        functional_dropout=False,
        act=None,
    ):
        super().__init__()
        self.normalise, self.functional_dropout = normalise, functional_dropout
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, padding_mode=padding_mode)
        self.bn2 = nn.BatchNorm2d(8)
        self.act2 = nn.Hardswish()
        self.avg = nn.AvgPool2d(3, 1, 1)
        self.conv3 = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.act3 = act or nn.GELU()
        self.up = nn.Upsample(scale_factor=2, mode=upsample, align_corners=align_corners)
        self.conv4 = nn.Conv2d(8, 8, 1)
        self.fc1 = nn.Linear(8 * 16 * 16, 16)
        self.norm = nn.LayerNorm(16)
        self.fc2 = nn.Linear(16, 16)
        self.fc3 = nn.Linear(16, 5)

    def forward(self, x):
        if self.normalise:
            x = (x - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / 0.225
        x = self.pool(F.relu(self.bn1(self.stem(x)), inplace=True))
        x = self.avg(self.act2(self.bn2(self.conv2(x))))
        x = self.conv4(self.up(self.act3(self.conv3(x))))
        x = self.norm(self.fc1(torch.flatten(x, 1)))
        if self.functional_dropout:
            x = F.dropout(x, 0.5)
        return self.fc3(torch.tanh(self.fc2(x)))


class OldHardSwish(layers.Layer):
    def call(self, x):
        return x * keras.ops.clip(0.2 * x + 0.5, 0, 1)


class Always(layers.Dropout):
    """Dropout that never stops."""

    def call(self, inputs):
        return super().call(inputs, training=True)


def keras_cnn(
    preprocess=(),
    stem="pad",
    stem_stride=2,
    conv2_stride=1,
    bn_epsilon=1e-5,
    act1="relu",
    pool="pad",
    act2="hard_swish",
    avg="pad",
    dilation=2,
    groups=2,
    act3="gelu",
    interpolation="bilinear",
    norm_epsilon=1e-5,
    dropout=None,
    act4="tanh",
    last=None,
):
    inputs = x = keras.Input((32, 32, 3), name="image")
    for layer in preprocess:
        x = layer(x)
    if stem == "pad":
        x = layers.ZeroPadding2D(1, name="stem_pad")(x)
    x = layers.Conv2D(8, 3, stem_stride, padding="valid" if stem == "pad" else stem, name="stem")(x)
    x = layers.BatchNormalization(epsilon=bn_epsilon, name="bn1")(x)
    x = layers.Activation(act1, name="act1")(x)
    if pool == "pad":
        x = layers.ZeroPadding2D(1, name="pool_pad")(x)
    x = layers.MaxPooling2D(3, 2, padding="valid" if pool == "pad" else pool, name="pool")(x)
    x = layers.Conv2D(8, 3, conv2_stride, padding="same", name="conv2")(x)
    x = layers.BatchNormalization(epsilon=bn_epsilon, name="bn2")(x)
    x = OldHardSwish(name="act2")(x) if act2 == "old" else layers.Activation(act2, name="act2")(x)
    if avg == "pad":
        x = layers.ZeroPadding2D(1, name="avg_pad")(x)
    x = layers.AveragePooling2D(3, 1, padding="valid" if avg == "pad" else avg, name="avg")(x)
    x = layers.Conv2D(8, 3, padding="same", dilation_rate=dilation, groups=groups, activation=act3, name="conv3")(x)
    x = layers.UpSampling2D(2, interpolation=interpolation, name="up")(x)
    x = layers.Conv2D(8, 1, name="conv4")(x)
    x = layers.Dense(16, name="fc1")(layers.Flatten(name="flatten")(x))
    x = layers.LayerNormalization(epsilon=norm_epsilon, name="norm")(x)
    if dropout is not None:
        x = dropout(0.5, name="drop")(x)
    x = layers.Dense(16, activation=act4, name="fc2")(x)
    return keras.Model(inputs, layers.Dense(5, activation=last, name="fc3")(x))


CNN_RULES = {
    "stem": ("stem", "conv2d"),
    "bn1": ("bn1", "batch_normalization"),
    "conv2": ("conv2", "conv2d"),
    "bn2": ("bn2", "batch_normalization"),
    "conv3": ("conv3", "conv2d"),
    "conv4": ("conv4", "conv2d"),
    "fc1": ("fc1", "dense_after_flatten"),
    "norm": ("norm", "layer_normalization"),
    "fc2": ("fc2", "dense"),
    "fc3": ("fc3", "dense"),
}


def rules_text(rules, extra="", batchnorm="accept", ignore=True):
    """A rule file from module to (layer, layout)."""
    text = f'format = 1\n[batchnorm]\non_mismatch = "{batchnorm}"\n'
    for module, (layer, layout) in rules.items():
        text += f"[[rename]]\nmatch = '{module}'\nto = '{layer}'\nlayout = \"{layout}\"\n"
    if ignore:
        text += "[[ignore]]\nmatch = '.*num_batches_tracked'\nreason = 'a counter'\noptional = true\n"
    return text + extra


def pooled(kind, **settings):
    """Convolution, pooling, mean over what is left, and a linear layer."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.pool = kind(**settings)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.pool(self.conv(x)).mean((2, 3)))

    return Net()


def keras_pooled(kind, pad=0, **settings):
    x = keras.Input((17, 17, 3))
    y = layers.Conv2D(4, 3, name="conv")(x)
    y = layers.ZeroPadding2D(pad, name="pad")(y) if pad else y
    y = layers.GlobalAveragePooling2D(name="mean")(kind(name="pool", **settings)(y))
    return keras.Model(x, layers.Dense(3, name="head")(y))


def grouped():
    """A grouped convolution and a linear layer."""
    return nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.Linear(6 * 36, 3))


def keras_grouped():
    """The same with a dense kernel, which has room for more than the groups."""
    x = keras.Input((8, 8, 4))
    y = layers.Flatten(name="flatten")(layers.Conv2D(6, 3, name="conv")(x))
    return keras.Model(x, layers.Dense(3, name="fc")(y))
