"""The two sides put together."""

from __future__ import annotations

import pytest
import torchvision  # noqa: F401  (before TensorFlow)
from safetensors.torch import save_file

from remap import verify
from remap.sides.keras.spec import ModelSource


@pytest.fixture
def saved(tmp_path):
    """The path of a module's weights."""

    def save(module):
        path = tmp_path / "checkpoint.safetensors"
        save_file({name: value.clone() for name, value in module.state_dict().items()}, path)
        return path

    return save


@pytest.fixture
def hold(tmp_path, saved):
    """Hold a PyTorch module beside the Keras model that a builder makes, by rules given as text or by name."""

    def run(torch_model, keras_builder, rules, checkpoint=None, **options):
        if "\n" in str(rules):
            (tmp_path / "rules.toml").write_text(rules)
            rules = tmp_path / "rules.toml"
        checkpoint = checkpoint or saved(torch_model)
        return verify(rules, checkpoint, ModelSource("the Keras model", keras_builder), torch_model, **options)

    return run
