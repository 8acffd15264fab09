"""The inventory is the same with every Keras backend, and only that backend is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import target_models as models
from msgspec import structs

from remap.inventory.inventory import Inventory
from remap.sides.keras.keras_model import inventory_of

CODE = """
import sys
from pathlib import Path
from remap.sides.keras.keras_model import inventory_of
from remap.sides.keras.spec import load_model_builder

def write(name):
    source = load_model_builder(f"{sys.argv[1]}:{name}")
    inventory_of(source, name).save(Path(sys.argv[2], f"{name}.json"))

for name in sys.argv[3:]:
    write(name)
import keras
print(keras.backend.backend(), *sorted({"tensorflow", "torch", "jax"} & set(sys.modules)))
write("subclassed")  # has a Bidirectional layer, for which Keras itself imports TensorFlow wherever there is one
"""
NAMES = ["residual", "nested", "spectral", "shared", "compiled", "enormous", "needs_weights", "attention"]


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends_give_the_same_inventory(backend, tmp_path):
    here = Path(__file__).parent
    result = subprocess.run(
        [sys.executable, "-c", CODE, str(here / "target_models.py"), str(tmp_path), *NAMES],
        cwd=here.parents[1],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[0] == backend
    assert "tensorflow" not in result.stdout
    for name in (*NAMES, "subclassed"):
        found = Inventory.load(tmp_path / f"{name}.json")
        assert found.tf_unknown == f"the model was looked at with Keras's {backend} backend"
        assert found == untracked(inventory_of(getattr(models, name), name), found.tf_unknown), name


def untracked(inventory, reason):
    """What no other backend than TensorFlow can tell taken away."""
    assert inventory.tf_unknown == ""
    variables = tuple(
        structs.replace(
            variable, places={format: kept for format, kept in variable.places.items() if format != "tf_object"}
        )
        for variable in inventory.variables
    )
    return structs.replace(inventory, variables=variables, tf_unknown=reason)
