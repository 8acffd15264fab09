"""Arrays of every type go into a live model on Keras's torch backend, whichever command assigns them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
from pathlib import Path

import keras
import ml_dtypes
import numpy as np
import torch
from safetensors.torch import save_file

import remap

TYPES = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2, "bfloat16": torch.bfloat16}
folder = Path(FOLDER)
(folder / "rules.toml").write_text('''
format = 1
[[rename]]
match = 'dense'
to = 'dense'
layout = "dense"
[[rename]]
match = 'holder\\.held_(?P<n>.*)'
to = 'holder/{n}'
''')


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.holder, self.dense = torch.nn.Identity(), torch.nn.Linear(4, 3)
        for name, dtype in TYPES.items():
            values = torch.arange(16, dtype=torch.float32).reshape(4, 4) / 4
            self.holder.register_buffer(f"held_{name}", values.to(dtype))

    def forward(self, x):
        return self.dense(self.holder(x))


class Holder(keras.layers.Layer):
    def build(self, shape):
        for name in TYPES:
            def zeros(shape, dtype):
                return keras.ops.cast(keras.ops.zeros(shape, "float32"), dtype)
            setattr(self, name, self.add_weight(shape=(4, 4), dtype=name, name=name, initializer=zeros))

    def call(self, x):
        return x


def build():
    return keras.Sequential([keras.Input((4,)), Holder(name="holder"), keras.layers.Dense(3, name="dense")])


def into(model, network):
    assert remap.load_into(model, folder / "rules.toml", network.state_dict()).variables == 5


def beside(model, network):
    save_file(network.state_dict(), folder / "checkpoint.safetensors")
    checked = remap.verify(folder / "rules.toml", folder / "checkpoint.safetensors", build, network)
    assert checked.verdict == "equal", checked.verdict
    assert checked.weights.variables == 5 and checked.weights.equal


assert keras.backend.backend() == "torch"
torch.manual_seed(0)
WAY(build(), Network().eval())
print("equal")
"""


@pytest.mark.full
@pytest.mark.parametrize("way", ["into", "beside"])
def test_narrow_floats_on_the_torch_backend(way, tmp_path):
    script = SCRIPT.replace("WAY(", f"{way}(").replace("FOLDER", repr(str(tmp_path)))
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | {"KERAS_BACKEND": "torch"}
    )
    assert ran.stdout.endswith("equal\n"), ran.stderr
