"""One ``apply``, one ``-o``: every output format, checked in the model and read back."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from remap.formats.npz import Npz


@pytest.fixture
def apply(fixtures, tmp_path, remap_command):
    """Converts the thin ResNet into a file of the given name."""

    def run(name: str, *options: object, model: object = None):
        model = model or f"{fixtures}/resnet/keras_model.py:build"
        arguments = [fixtures / "resnet/thin_resnet50.pt", "-o", tmp_path / name, "--model", model, *options]
        return remap_command("apply", "resnet", *arguments, "--json")

    return run


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out.weights.h5", ()),
        ("out.h5", ()),
        ("out.weights.json", ("--max-shard-size", "0.0003")),
        ("out.ckpt", ("--format", "tf-name")),
        ("out.ckpt", ("--format", "tf-object")),
        ("out.safetensors", ()),
        ("out.npz", ()),
    ],
)
def test_every_format_is_proved_by_its_own_reader(name, options, apply):
    ran = apply(name, *options)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["checked"] == {**found["checked"], "variables": 320, "equal": True}


def test_an_archive_gets_its_weights_and_keeps_its_model(apply, tmp_path, load_file):
    model = load_file("resnet/keras_model.py").build()
    model.save(tmp_path / "mine.keras")
    ran = apply("new.keras", model=tmp_path / "mine.keras")
    assert ran.code == 0, ran.err
    reference = apply("new.weights.h5")
    assert reference.code == 0, reference.err
    model.load_weights(tmp_path / "new.weights.h5")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        assert np.array_equal(ours.numpy(), theirs.numpy()), theirs.path


def test_names_in_safetensors_and_in_a_tensorflow_checkpoint_are_keras_paths(apply, tmp_path):
    assert apply("out.safetensors").code == 0
    assert apply("out.ckpt", "--format", "tf-name").code == 0
    arrays = load_file(tmp_path / "out.safetensors")
    reader = tf.train.load_checkpoint(str(tmp_path / "out.ckpt"))
    assert set(arrays) == set(reader.get_variable_to_shape_map())
    assert "conv2_block1_1_conv/kernel" in arrays
    assert all(np.array_equal(reader.get_tensor(name), array) for name, array in arrays.items())


@pytest.mark.parametrize("kind", ["tf-name", "tf-object"])
def test_check_tells_kinds_of_tensorflow_checkpoints_apart(kind, fixtures, tmp_path, remap_command):
    rules, model = fixtures / "linear/linear.toml", f"{fixtures / 'linear/keras_model.py'}:build"
    source = fixtures / "linear/linear.safetensors"
    options = ("--model", model, "--format", kind, "--no-check")
    assert remap_command("apply", rules, source, "-o", tmp_path / "w.ckpt", *options).code == 0
    command = ("check", tmp_path / "w.ckpt", "--model", model, "--rules", rules, "--checkpoint")
    ran = remap_command(*command, source)
    assert ran.code == 0, ran.err
    np.savez(tmp_path / "other.npz", **{"weight": np.ones((5, 10), "f4"), "bias": np.zeros(5, "f4")})
    ran = remap_command(*command, tmp_path / "other.npz")
    assert ran.code == 8
    assert "kernel" in ran.err


def test_a_wrong_file_fails_the_check(apply, monkeypatch):
    real = Npz.read_back

    def tampered(form, plan, path, restorer):
        found = {name: np.array(array) for name, array in real(form, plan, path, restorer).items()}
        found["conv1_bn/gamma"], found["conv1_bn/beta"] = found["conv1_bn/beta"], found["conv1_bn/gamma"]
        return found

    monkeypatch.setattr(Npz, "read_back", tampered)
    ran = apply("out.npz")
    assert ran.code == 8
    assert "conv1_bn/gamma" in ran.err
    assert "conv1_bn/beta" in ran.err


def test_narrowing_reports_the_largest_error_and_refuses_overflow(apply, fixtures, tmp_path, remap_command):
    ran = remap_command(
        "apply", "resnet", fixtures / "resnet/thin_resnet50.pt", "-o", tmp_path / "half.h5", "--dtype", "float16"
    )
    assert ran.code == 0, ran.err
    assert "narrowed: largest error" in ran.out
    np.savez(tmp_path / "large.npz", **{"weight": np.full((5, 10), 1e6, "f4"), "bias": np.zeros(5, "f4")})
    rules = fixtures / "linear/linear.toml"
    ran = remap_command("apply", rules, tmp_path / "large.npz", "-o", tmp_path / "o.h5", "--dtype", "float16")
    assert ran.code == 7, ran.out
    assert not (tmp_path / "o.h5").exists()
