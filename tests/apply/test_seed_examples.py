"""The three examples every porter starts from, and the thin ResNet: rule file to equal outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import remap

CASES = [
    ("linear", "linear/linear.toml", "linear/linear.safetensors", (4, 10)),
    ("activation", "activation/activation.toml", "activation/activation.safetensors", (4, 10)),
    ("conv_bn", "conv_bn/conv_bn.toml", "conv_bn/conv_bn.safetensors", (4, 3, 8, 8)),
    ("resnet", "resnet", "resnet/thin_resnet50.pt", (4, 3, 64, 64)),
]


def state_dict(path):
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, weights_only=True)


def outputs(torch_model, keras_model, shape):
    """Outputs of both sides for one random input, channels last."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        expected = torch_model(x).numpy()
    channels_last = x.numpy().transpose(0, 2, 3, 1) if len(shape) == 4 else x.numpy()
    found = np.asarray(keras_model(channels_last))
    return (expected.transpose(0, 2, 3, 1) if expected.ndim == 4 else expected), found


def torch_twin(load_file, fixtures, name, checkpoint):
    model = load_file(f"{name}/torch_model.py").build().eval()
    model.load_state_dict(state_dict(fixtures / checkpoint))
    return model


@pytest.mark.parametrize(("name", "rules", "checkpoint", "shape"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_converted_file_gives_equal_outputs(
    name, rules, checkpoint, shape, suffix, fixtures, load_file, tmp_path, remap_command
):
    rules = rules if rules == "resnet" else fixtures / rules
    factory = fixtures / name / "keras_model.py"
    out = tmp_path / f"out{suffix}"
    ran = remap_command("apply", rules, fixtures / checkpoint, "-o", out, "--model", f"{factory}:build")
    assert ran.code == 0, ran.err
    assert "as your rules say, bit for bit" in ran.out
    keras_model = load_file(f"{name}/keras_model.py").build()
    keras_model.load_weights(out)
    expected, found = outputs(torch_twin(load_file, fixtures, name, checkpoint), keras_model, shape)
    assert np.abs(expected[0] - expected[1]).max() > 0.05 * np.abs(expected).max(), "the input must matter"
    assert np.abs(expected - found).max() <= 1e-5 * np.abs(expected).max()


def test_load_into_takes_a_live_state_dict(fixtures, load_file):
    torch_model = torch_twin(load_file, fixtures, "activation", "activation/activation.safetensors")
    keras_model = load_file("activation/keras_model.py").build()
    checked = remap.load_into(keras_model, fixtures / "activation/activation.toml", torch_model.state_dict())
    assert (checked.variables, checked.equal) == (4, True)
    expected, found = outputs(torch_model, keras_model, (4, 10))
    assert np.abs(expected - found).max() <= 1e-5


def test_first_trap_padding_same_is_the_models_fault_not_the_weights(fixtures, load_file):
    torch_model = torch_twin(load_file, fixtures, "conv_bn", "conv_bn/conv_bn.safetensors")
    keras_model = load_file("conv_bn/keras_model.py").build(padding="same")
    assert remap.load_into(keras_model, fixtures / "conv_bn/conv_bn.toml", torch_model.state_dict()).equal
    expected, found = outputs(torch_model, keras_model, (4, 3, 8, 8))
    assert expected.shape != found.shape
    assert np.abs(expected - found[:, 1:-1, 1:-1]).max() <= 1e-5 * np.abs(expected).max()


def test_second_trap_keras_epsilon_is_folded_exactly(fixtures, load_file):
    torch_model = torch_twin(load_file, fixtures, "conv_bn", "conv_bn/conv_bn.safetensors")
    with torch.no_grad():
        torch_model[1].running_var.mul_(0.01)
    keras_model = load_file("conv_bn/keras_model.py").build_with_keras_defaults()
    remap.load_into(keras_model, fixtures / "conv_bn/conv_bn.toml", torch_model.state_dict())
    expected, found = outputs(torch_model, keras_model, (4, 3, 8, 8))
    assert np.abs(expected - found).max() <= 1e-5 * np.abs(expected).max()
    variance = keras_model.get_layer("bn").moving_variance.numpy()
    assert np.array_equal(variance, torch_model[1].running_var.numpy()), "gamma takes it up, not the variance"


@pytest.mark.parametrize("policy", ["error", "accept"])
def test_epsilon_mismatch_is_an_error_or_accepted_as_the_rule_file_says(policy, fixtures, load_file, tmp_path):
    text = (fixtures / "conv_bn/conv_bn.toml").read_text()
    rules = tmp_path / "rules.toml"
    rules.write_text(text.replace('on_mismatch = "fold"', f'on_mismatch = "{policy}"'))
    keras_model = load_file("conv_bn/keras_model.py").build_with_keras_defaults()
    checkpoint = fixtures / "conv_bn/conv_bn.safetensors"
    if policy == "error":
        with pytest.raises(remap.RemapError, match="BatchNorm epsilons differ") as caught:
            remap.load_into(keras_model, rules, checkpoint)
        assert caught.value.problems[0].found == "bn: source 1e-05, target 0.001"
    else:
        remap.load_into(keras_model, rules, checkpoint)
        gamma = keras_model.get_layer("bn").gamma.numpy()
        assert np.array_equal(gamma, state_dict(checkpoint)["1.weight"].numpy())
