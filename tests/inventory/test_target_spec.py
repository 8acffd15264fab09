"""What the user writes as MODEL: every form, and every way it can be wrong."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import pytest
import target_models as models
from msgspec import structs

from remap.errors import MissingPackageError, TargetError, UsageError
from remap.sides.keras.keras_model import build_model, inventory_of
from remap.sides.keras.spec import load_model_builder, parse_model_args

GOOD_FILE = """
import keras
LAYERS = keras.layers

def build(units=3, bias=True):
    return keras.Sequential([keras.Input((4,)), LAYERS.Dense(units, use_bias=bias)])

class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = LAYERS.Dense(5)
        self(keras.Input((2,)))

    def call(self, x):
        return self.dense(x)

ready = build(7)
holder = {"not": "a model"}

def needs(width):
    return build(width)

def fails():
    sizes = {}
    return build(sizes["missing"])

def nothing():
    pass

def unbuilt():
    return keras.Sequential([LAYERS.Dense(2)])

def weightless():
    return keras.Sequential([keras.Input((4,)), LAYERS.ReLU()])

def leaves():
    raise SystemExit(2)

CACHE = []

def cached():
    CACHE.append(build()) if not CACHE else None
    return CACHE[0]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_net.py"
    path.write_text(GOOD_FILE)
    return path


def shapes(spec, **args):
    return [variable.shape for variable in inventory_of(load_model_builder(str(spec), args)).variables]


def failure(spec, **args):
    with pytest.raises(TargetError) as caught:
        inventory_of(load_model_builder(str(spec), args))
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


def test_a_function_in_a_file(file):
    assert shapes(f"{file}:build") == [(4, 3), (3,)]
    assert shapes(f"{file}:build", units=9, bias=False) == [(4, 9)]


def test_a_class_and_a_ready_model(file):
    assert shapes(f"{file}:Net") == [(2, 5), (5,)]
    assert shapes(f"{file}:ready") == [(4, 7), (7,)]


def test_a_file_finds_its_neighbours(tmp_path):
    (tmp_path / "neighbour_of_net.py").write_text("WIDTH = 11\n")
    (tmp_path / "net.py").write_text(
        "import keras\nfrom neighbour_of_net import WIDTH\n"
        "def build():\n    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(WIDTH)])\n"
    )
    assert shapes(f"{tmp_path / 'net.py'}:build") == [(1, 11), (11,)]


def test_a_module_in_the_working_folder(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert shapes("my_net:build") == [(4, 3), (3,)]


def test_published_weights_are_never_asked_for(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a download was started")

    monkeypatch.setattr(keras.utils, "get_file", refuse)
    small = {"alpha": 0.25, "input_shape": [32, 32, 3], "classes": 7}
    inventory = inventory_of(load_model_builder("keras.applications:MobileNetV2", small))
    assert inventory.variables[-1].shape == (7,)
    assert inventory.notes == ()


@pytest.mark.parametrize("build", [models.residual, models.compiled])
def test_a_keras_file_and_an_architecture_file(build, tmp_path):
    expected = inventory_of(build)
    model = build()
    model.save(tmp_path / "m.keras")
    (tmp_path / "m.json").write_text(model.to_json())
    for name in ("m.keras", "m.json"):
        source = load_model_builder(str(tmp_path / name))
        found = inventory_of(source)
        assert found.layers == expected.layers
        for variable, known in zip(found.variables, expected.variables, strict=True):
            # Keras drops the scope of a Sequential in the names that the legacy layout ignores.
            (layer, _), *copies = variable.at("legacy_h5")
            assert layer == known.at("legacy_h5")[0][0]
            legacy = {"legacy_h5": (("", ""), *copies)}
            assert structs.replace(variable, places={**variable.places, **legacy}) == structs.replace(
                known, places={**known.places, "legacy_h5": (("", ""), *known.at("legacy_h5")[1:])}
            )
        assert build_model(source).count_params() == model.count_params()


def test_a_custom_layer_in_a_keras_file_points_to_the_factory(tmp_path):
    source = tmp_path / "odd_net.py"
    source.write_text(
        "import keras\nclass Odd(keras.layers.Dense):\n    pass\n"
        "def build():\n    return keras.Sequential([keras.Input((2,)), Odd(2)])\n"
    )
    build_model(load_model_builder(f"{source}:build")).save(tmp_path / "odd.keras")
    text = zipfile.ZipFile(tmp_path / "odd.keras").read("config.json").decode()
    (tmp_path / "odd.json").write_text(text.replace("odd_net", "no_such_net"))
    problem = failure(tmp_path / "odd.json")
    assert problem.what == "the architecture cannot be rebuilt from its file"
    assert "Odd" in problem.found
    assert "file.py:callable" in problem.fix


def test_missing_module():
    problem = failure("no_such_module_of_mine.nets:build")
    assert problem.what == "the model's module is not found"
    assert "no_such_module_of_mine" in problem.found
    assert "no module named 'keras.no_such'" in failure("keras.no_such:build").found


def test_missing_package(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("import a_package_that_nobody_has\n")
    with pytest.raises(MissingPackageError, match="pip install"):
        load_model_builder(f"{path}:build")


def test_missing_attribute_suggests(file):
    problem = failure(f"{file}:biuld")
    assert problem.what == "my_net has no 'biuld'"
    assert problem.fix == "did you mean build?"
    assert "did you mean ResNet50" in failure("keras.applications:ResNet500").fix


def test_missing_file(tmp_path):
    assert failure(f"{tmp_path}/no.py:build").what == "the model's file is not found"
    assert failure(tmp_path / "no.keras").what == "the model's file is not found"


def test_a_failing_callable_shows_the_users_own_line(file):
    problem = failure(f"{file}:fails")
    assert problem.found == "KeyError: 'missing'"
    line = 1 + GOOD_FILE.splitlines().index('    return build(sizes["missing"])')
    assert f"my_net.py:{line} in fails" in problem.where
    assert problem.excerpt == 'return build(sizes["missing"])'


def test_a_failure_inside_keras_shows_the_users_own_line(file):
    problem = failure(f"{file}:build", units=-3)
    assert problem.found.startswith("ValueError: ")
    assert "units=-3" in problem.found
    assert problem.excerpt.startswith("return keras.Sequential(")


def test_a_file_that_fails_on_import(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("import keras\nx = 1 / 0\n")
    problem = failure(f"{path}:build")
    assert problem.found == "ZeroDivisionError: division by zero"
    assert "net.py:2" in problem.where
    path.write_text("def build(:\n")
    assert "SyntaxError" in failure(f"{path}:build").found


def test_a_callable_that_leaves_the_process(file):
    assert failure(f"{file}:leaves").found == "SystemExit: 2"


def test_wrong_arguments_show_the_signature(file):
    problem = failure(f"{file}:needs")
    assert "'width'" in problem.found
    assert problem.expected == "needs(width)"
    assert "'unit'" in failure(f"{file}:build", unit=3).found
    assert failure(f"{file}:ready", units=3).what == "a ready model takes no arguments"


def test_what_is_no_model(file, tmp_path):
    assert failure(f"{file}:nothing").found == "builtins.NoneType"
    assert failure(f"{file}:holder").what == "this is neither a model nor a callable"
    path = tmp_path / "side.py"
    path.write_text("import torch\ndef build():\n    return torch.nn.Linear(2, 3)\n")
    assert "PyTorch side" in failure(f"{path}:build").fix


@pytest.mark.parametrize("name", ["unbuilt", "weightless"])
def test_a_model_without_weights(file, name):
    problem = failure(f"{file}:{name}")
    assert problem.what == "the model has no weights yet"
    assert "model.build(shape)" in problem.fix


def test_a_factory_that_hands_out_one_model_is_refused_where_new_ones_are_needed(file):
    source = load_model_builder(f"{file}:cached")
    inventory_of(source)
    with pytest.raises(TargetError, match="returns the same model again"):
        build_model(source)


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("resnet50", "cannot tell which model is meant"),
        ("keras.applications:", "cannot tell which model is meant"),
        ("net.py", "the model file needs the name of a callable"),
    ],
)
def test_unclear_specs(spec, what):
    assert failure(spec).what == what


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'{"class_name": "Functional"}', b"\xff\xfe"])
def test_damaged_architectures(tmp_path, content):
    for suffix in (".json", ".keras"):
        path = tmp_path / f"m{suffix}"
        path.write_bytes(content)
        assert failure(path).where == str(path)


def test_a_keras_file_without_configuration(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({}))
    assert "config.json" in failure(tmp_path / "m.keras").found


def test_model_arguments():
    pairs = ["a=1", "b=-1.5e-3", "c=true", "d=[1, 2]", "e='x'", "f=relu", "g=None", "h=a=b", "i="]
    assert parse_model_args(pairs) == {
        "a": 1,
        "b": -1.5e-3,
        "c": True,
        "d": [1, 2],
        "e": "x",
        "f": "relu",
        "g": None,
        "h": "a=b",
        "i": "",
    }


@pytest.mark.parametrize("pair", ["a", "=1", "a b=1", ""])
def test_unreadable_model_arguments(pair):
    with pytest.raises(UsageError):
        parse_model_args([pair])


def test_nothing_is_imported_before_it_is_needed():
    code = (
        "import sys\n"
        "import remap.sides.keras.keras_model, remap.sides.keras.spec, remap.inventory.match\n"
        "from remap.inventory.shipped import shipped_inventory\n"
        "assert len(shipped_inventory('keras.applications:ResNet152').variables) == 932\n"
        "print([name for name in ('keras', 'tensorflow', 'torch', 'jax', 'triton') if name in sys.modules])\n"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")
