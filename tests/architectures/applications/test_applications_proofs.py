"""The smallest member of every family: every variable bit for bit, and the outputs of both sides."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import application_tables as tables
import application_twins as twins
import numpy as np
import pytest
from application_members import member

import remap.api

pytestmark = pytest.mark.architectures

MEASURED = tomllib.loads((Path(__file__).parents[3] / "fixtures" / "measured.toml").read_text("utf-8"))
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def centred(pixels: np.ndarray) -> np.ndarray:
    return pixels / 127.5 - 1


def imagenet(pixels: np.ndarray) -> np.ndarray:
    return (pixels / 255 - MEAN) / DEVIATION


def as_pixels(pixels: np.ndarray) -> np.ndarray:
    return pixels


@dataclass(frozen=True)
class Proof:
    """How a family is proved.

    Args:
        source: Its smallest member.
        table: The member's mapping, by hand.
        size: Height and width at which outputs are equal.
        epsilons: Of torch's and of Keras's BatchNorms.
        twin: Makes the torch model compute what Keras does.
        torch_input: What torch is given for pixels from 0 to 255.
        keras_input: What Keras is given for them.
        plain_size: Height and width at which outputs differ.
        dtype: Of weights and arithmetic.
        options: Arguments of the Keras model.
    """

    source: str
    table: Callable[[tables.Table], None]
    size: int
    epsilons: tuple[float, float] = (1e-3, 1e-3)
    twin: Callable[[Any], None] = twins.as_it_is
    torch_input: Callable[[np.ndarray], np.ndarray] = centred
    keras_input: Callable[[np.ndarray], np.ndarray] = centred
    plain_size: int | None = None
    dtype: str = "float64"
    options: dict[str, Any] = field(default_factory=dict)


BARE = {"include_preprocessing": False}
PROOFS = [
    Proof("torchvision:resnet50", tables.resnet50, 64, (1e-5, 1.001e-5), twins.stride_in_first, plain_size=64),
    Proof("torchvision:vgg16", tables.vgg16, 224, dtype="float32"),
    Proof("torchvision:densenet121", tables.densenet121, 64, (1e-5, 1.001e-5)),
    Proof("timm:mobilenetv1_100", tables.mobilenet, 64, (1e-5, 1e-3), twins.pad_behind, plain_size=64),
    Proof("torchvision:mobilenet_v2", tables.mobilenet_v2, 65, (1e-5, 1e-3), plain_size=64),
    Proof("torchvision:mobilenet_v3_small", tables.mobilenet_v3_small, 65, plain_size=64, options=BARE),
    Proof("timm:mobilenetv2_100", tables.mobilenetv2_100, 65, (1e-5, 1e-3), plain_size=64),
    Proof("timm:tf_mobilenetv3_small_100", tables.tf_mobilenetv3_small_100, 64, options=BARE),
    Proof("timm:tf_mobilenetv3_small_minimal_100", tables.tf_mobilenetv3_small_minimal_100, 64, options=BARE),
    Proof("timm:tf_mobilenetv3_large_100", tables.tf_mobilenetv3_large_100, 64, options=BARE),
    Proof(
        "torchvision:efficientnet_b0",
        tables.efficientnet_b0,
        65,
        (1e-5, 1e-3),
        torch_input=imagenet,
        keras_input=as_pixels,
        plain_size=64,
    ),
    Proof("timm:tf_efficientnet_b0", tables.tf_efficientnet_b0, 64, torch_input=imagenet, keras_input=as_pixels),
    Proof("torchvision:efficientnet_v2_s", tables.efficientnet_v2_s, 65, plain_size=64, options=BARE),
    Proof("timm:tf_efficientnetv2_b0", tables.tf_efficientnetv2_b0, 64, options=BARE),
    Proof("torchvision:convnext_tiny", tables.convnext_tiny, 32, options=BARE),
    Proof("timm:convnext_tiny", tables.timm_convnext_tiny, 32, torch_input=imagenet, keras_input=as_pixels),
    Proof("timm:resnetv2_50", tables.resnetv2_50, 64, (1e-5, 1.001e-5), twins.last_block_strides, plain_size=64),
    Proof("torchvision:inception_v3", tables.inception_v3, 107, twin=twins.padding_not_counted, plain_size=107),
    Proof("timm:legacy_xception", tables.legacy_xception, 103, (1e-5, 1e-3), plain_size=107),
    Proof("timm:inception_resnet_v2", tables.inception_resnet_v2, 107),
    Proof("timm:nasnetalarge", tables.nasnetalarge, 64, twin=twins.zeros_before_pooling, plain_size=64),
]


@pytest.fixture
def floatx():
    """Sets Keras's float type; float32 again afterwards."""
    keras = import_module("keras")
    yield keras.config.set_floatx
    keras.config.set_floatx("float32")
    keras.backend.clear_session()


def randomise(model: Any) -> None:
    """Every tensor different, activations of about the same size through the whole model."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            drawn = torch.randn(value.shape, generator=generator, dtype=value.dtype)
            if value.dim() > 1 and value.shape[1:].numel() > 1:
                value.copy_(drawn * (1.6 / value.shape[1:].numel()) ** 0.5)
            elif name.endswith(".bias"):
                value.copy_(drawn * 0.2)
            else:
                value.copy_(0.7 + 0.6 * torch.rand(value.shape, generator=generator, dtype=value.dtype))


def calibrate(model: Any, images: Any) -> None:
    """BatchNorm statistics from real activations, so that the output depends on the input."""
    import torch

    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    with torch.no_grad():
        model(images)
    for norm in norms:
        norm.eval()
        norm.running_var += 0.01


def batch(size: int, seed: int) -> np.ndarray:
    """Pixels, (4, size, size, 3), in patches of one colour and some noise."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0, 255, (4, -(-size // 8), -(-size // 8), 3)).repeat(8, 1).repeat(8, 2)
    return np.clip(coarse[:, :size, :size] + generator.normal(0, 20, (4, size, size, 3)), 0, 255)


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.source.replace(":", "-"))
def test_every_variable_and_the_outputs(proof, floatx):
    import_module("torchvision")
    import_module("timm")
    import keras
    import torch

    found = member(proof.source)
    floatx(proof.dtype)

    def torch_images(pixels: np.ndarray) -> Any:
        ready = proof.torch_input(pixels).transpose(0, 3, 1, 2)
        return torch.from_numpy(ready.astype(proof.dtype, order="C"))

    def torch_outputs(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return source(torch_images(pixels)).numpy()

    def keras_outputs(model: Any, pixels: np.ndarray) -> np.ndarray:
        return keras.ops.convert_to_numpy(model(proof.keras_input(pixels).astype(proof.dtype)))

    source = found.torch().to(getattr(torch, proof.dtype)).eval()
    randomise(source)
    pixels, others = batch(proof.size, 1), batch(proof.size, 2)
    plain = batch(proof.plain_size, 3)[:2] if proof.plain_size else None
    calibrate(source, torch_images(pixels))
    plain_outputs = torch_outputs(plain) if plain is not None else None

    state = {name: value.numpy() for name, value in source.state_dict().items()}
    keras.backend.clear_session()
    model = found.keras(input_shape=(proof.size, proof.size, 3), **proof.options)
    checked = remap.api.load_into(model, found.rules, state)

    table = tables.Table(state, *proof.epsilons)
    proof.table(table)
    live = {"/".join(v.path.split("/")[-2:]): v for v in model.variables if "seed_generator" not in v.path}
    kept = {"normalization/count"} & set(live)
    assert checked.variables + len(kept) == len(live) == len(table.expected) == found.variables
    assert set(live) == set(table.expected)
    for name, expected in table.expected.items():
        value = keras.ops.convert_to_numpy(live[name])
        assert value.dtype == expected.dtype or expected.ndim == 0 or "normalization" in name, name
        assert np.array_equal(value, expected.astype(value.dtype)), name

    measured = MEASURED[found.rules]
    proof.twin(source)
    pixels, others = pixels[:2], others[:2]
    outputs = keras_outputs(model, pixels)
    assert relative(keras_outputs(model, others), outputs) > 0.05, "the outputs hardly depend on the input"
    difference = relative(outputs, torch_outputs(pixels))
    print(f"{found.rules}: {difference:.1e}")
    assert difference < 10 * measured["difference"]
    if plain is None:
        assert "as_it_stands" not in measured
        return
    if proof.plain_size != proof.size:
        weights = model.get_weights()
        model = found.keras(input_shape=(proof.plain_size, proof.plain_size, 3), **proof.options)
        model.set_weights(weights)
    as_it_stands = relative(keras_outputs(model, plain), plain_outputs)
    print(f"{found.rules}, as it stands: {as_it_stands:.1e}")
    assert measured["as_it_stands"] / 3 < as_it_stands < 3 * measured["as_it_stands"]
