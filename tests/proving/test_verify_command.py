"""``remap verify`` and ``remap record`` as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

SEEDS = ("linear", "activation", "conv_bn")


COMMANDS = """
import json, sys
*missing, commands = json.load(sys.stdin)
for name in missing:
    sys.modules[name] = None
from remap.cli.main import main
codes = []
for command in commands:
    try:
        main(command)
        codes.append(0)
    except SystemExit as stop:
        codes.append(int(stop.code or 0))
sys.stdout.flush()
print(json.dumps(codes), file=sys.stderr)
"""


class Ran:
    """What commands in a process of their own printed and exited with."""

    def __init__(self, done):
        self.out, self.err = done.stdout, done.stderr
        self.codes = json.loads(self.err.strip().splitlines()[-1])


def in_a_process(commands, *missing, **environment):
    """Run commands one after the other where some modules cannot be imported."""
    told = json.dumps([*missing, [[str(part) for part in command] for command in commands]])
    return Ran(
        subprocess.run(
            [sys.executable, "-c", COMMANDS],
            input=told,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )
    )


def seed(fixtures, name, model="build"):
    folder = fixtures / name
    return (
        folder / f"{name}.toml",
        folder / f"{name}.safetensors",
        "--model",
        f"{folder}/keras_model.py:{model}",
        "--torch",
        f"{folder}/torch_model.py:build",
    )


@pytest.mark.parametrize("name", SEEDS)
def test_the_seed_examples_are_proved(name, remap_command, fixtures):
    ran = remap_command("verify", *seed(fixtures, name))
    assert ran.code == 0, ran.err
    assert ran.out.startswith("equal: the Keras model holds the weights, and computes what PyTorch computes")


def test_the_third_seed_example_says_in_words_what_is_wrong_with_the_keras_side(remap_command, fixtures):
    traps = ("--model-arg", "padding=same", "--model-arg", "epsilon=1e-3")
    ran = remap_command("verify", *seed(fixtures, "conv_bn"), *traps)
    assert ran.code == 8
    assert "the outputs differ" in ran.err
    words = " ".join(ran.out.split())
    assert "weights equal: 6 variables" in words
    assert "first divergence conv (Conv2D), against 0 (Conv2d), row 1 of 2" in words
    assert "cause padding (proved): with no padding the difference at conv falls from shapes" in words
    assert "the weights are right: it is the Keras model that computes something else" in words
    assert "1 layers differ in epsilon: folded into the weights" in words


def test_an_epsilon_that_is_not_folded_is_named(remap_command, fixtures, tmp_path):
    rules = tmp_path / "accept.toml"
    rules.write_text((fixtures / "conv_bn/conv_bn.toml").read_text().replace('"fold"', '"accept"'))
    arguments = (rules, *seed(fixtures, "conv_bn", "build_with_keras_defaults")[1:])
    ran = remap_command("verify", *arguments, "--json")
    assert ran.code == 8
    found = json.loads(ran.out)
    assert found["weights"]["equal"] is True
    assert found["verdict"] == "differ"
    assert (found["finding"]["layer"], found["finding"]["cause"]) == ("bn", "epsilon")
    assert [(entry["setting"], entry["torch"], entry["keras"]) for entry in found["audit"]] == [
        ("epsilon", "1e-05", "0.001")
    ]


def test_data_for_machines(remap_command, fixtures):
    ran = remap_command("verify", *seed(fixtures, "activation"), "--json", "--samples", "3", "--seed", "5")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["proved"] is True
    assert found["inputs"] == ["keras_tensor float32[3, 10]"] or "[3, 10]" in found["inputs"][0]
    assert [(row["layer"], row["module"], row["outcome"]) for row in found["layers"]] == [
        ("hidden", "0", "equal"),
        ("output", "2", "equal"),
    ]
    assert found["outputs"][0]["largest"] < 1e-5
    assert found["sight"]["moved"] > 0.01


def test_a_page_of_the_proof(remap_command, fixtures, tmp_path):
    ran = remap_command("verify", *seed(fixtures, "activation"), "--report", tmp_path / "out.html")
    assert ran.code == 0, ran.err
    page = (tmp_path / "out.html").read_text("utf-8")
    assert "equal: the Keras model holds the weights" in page
    assert '"layer":"hidden","module":"0"' in page


def test_every_layer_on_demand(remap_command, fixtures):
    ran = remap_command("verify", *seed(fixtures, "activation"), "--all")
    assert ran.code == 0
    assert "hidden" in ran.out
    assert "hidden" not in remap_command("verify", *seed(fixtures, "activation")).out


def test_the_static_audit_runs_nothing(remap_command, fixtures):
    ran = remap_command("verify", *seed(fixtures, "conv_bn"), "--model-arg", "padding=same", "--static")
    assert ran.code == 0, ran.err
    assert "settings compared; nothing was run" in ran.out
    assert "padding" in ran.out
    assert "largest difference" not in ran.out
    assert "no settings of mapped pairs disagree" in remap_command("verify", *seed(fixtures, "conv_bn"), "--static").out


def test_a_torch_model_that_is_none(remap_command, fixtures):
    arguments = seed(fixtures, "linear")[:-1]
    ran = remap_command("verify", *arguments, f"{fixtures}/linear/keras_model.py:build")
    assert ran.code == 5
    assert "does not return a torch.nn.Module" in ran.err
    ran = remap_command("verify", *arguments, "nothing")
    assert ran.code == 5
    assert "cannot tell which PyTorch model is meant" in ran.err
    ran = remap_command("verify", *arguments, fixtures / "linear/linear.safetensors")
    assert ran.code == 3
    assert "no recording" in ran.err


def test_a_recording_takes_the_place_of_pytorch(remap_command, fixtures, tmp_path):
    recording = tmp_path / "ref.safetensors"
    ran = remap_command(
        "record",
        f"{fixtures}/conv_bn/torch_model.py:build",
        fixtures / "conv_bn/conv_bn.safetensors",
        "--input",
        "float32[1,3,8,8]",
        "-o",
        recording,
    )
    assert ran.code == 0, ran.err
    arguments = [*seed(fixtures, "conv_bn")[:-1], recording]
    ran = in_a_process(
        [["verify", *arguments], ["verify", *arguments, "--model-arg", "padding=same"]], "torch", "triton"
    )
    assert ran.codes == [0, 8], ran.err
    assert ran.out.startswith("equal")
    assert "padding (proved)" in ran.out


def test_a_recording_is_as_it_was_made(remap_command, fixtures, tmp_path):
    recording = tmp_path / "ref.safetensors"
    torch_model, checkpoint = f"{fixtures}/conv_bn/torch_model.py:build", fixtures / "conv_bn/conv_bn.safetensors"
    arguments = ("record", torch_model, checkpoint, "--input", "float32[1,3,8,8]", "-o", recording)
    assert remap_command(*arguments).code == 0
    assert remap_command(*arguments).code == 2  # exists
    assert remap_command(*arguments, "--force").code == 0
    ran = remap_command("verify", *seed(fixtures, "conv_bn")[:-1], recording, "--float64")
    assert ran.code == 2
    assert "another precision" in ran.err
    ran = remap_command("verify", *seed(fixtures, "conv_bn")[:-1], recording, "--input", "float32[1,3,9,9]")
    assert ran.code == 2
    assert "has its own inputs" in ran.err
    ran = remap_command("record", torch_model, checkpoint, "-o", tmp_path / "none.safetensors")
    assert ran.code == 2
    assert "must be given" in ran.err


def test_a_calibrated_recording_brings_its_statistics(remap_command, fixtures, tmp_path):
    recording = tmp_path / "ref.safetensors"
    ran = remap_command(
        "record",
        f"{fixtures}/conv_bn/torch_model.py:build",
        fixtures / "conv_bn/conv_bn.safetensors",
        "--input",
        "float32[1,3,8,8]",
        "--calibrate",
        "-o",
        recording,
    )
    assert ran.code == 0, ran.err
    ran = remap_command("verify", *seed(fixtures, "conv_bn")[:-1], recording, "--calibrate")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends_need_no_tensorflow(backend, fixtures):
    arguments = ["verify", *seed(fixtures, "conv_bn")]
    commands = [arguments, [*arguments, "--model-arg", "padding=same"], [*arguments, "--float64"]]
    ran = in_a_process(commands, "tensorflow", KERAS_BACKEND=backend)
    assert ran.codes == [0, 8, 0], ran.out + ran.err
    assert "padding (proved)" in ran.out


def thin(fixtures):
    return (
        "resnet",
        fixtures / "resnet/thin_resnet50.pt",
        "--model",
        f"{fixtures}/resnet/keras_model.py:build",
        "--torch",
    )


def thin_torch(load_file, fixtures):
    network = load_file("resnet/torch_model.py").build().eval()
    network.load_state_dict(torch.load(fixtures / "resnet/thin_resnet50.pt", weights_only=True))
    return network


def test_an_exported_program_is_traced(remap_command, fixtures, load_file, tmp_path):
    program = torch.export.export(thin_torch(load_file, fixtures), (torch.zeros(1, 3, 64, 64),))
    torch.export.save(program, tmp_path / "net.pt2")
    ran = remap_command("verify", *thin(fixtures), tmp_path / "net.pt2", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert len(found["layers"]) == 107
    assert {row["outcome"] for row in found["layers"]} == {"equal"}


def test_an_exported_program_tells_a_fault(remap_command, fixtures, tmp_path):
    folder = fixtures / "conv_bn"
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)).eval()
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3, 8, 8),)), tmp_path / "net.pt2")
    arguments = (folder / "conv_bn.toml", folder / "conv_bn.safetensors", "--model", f"{folder}/keras_model.py:build")
    ran = remap_command("verify", *arguments, "--model-arg", "padding=same", "--torch", tmp_path / "net.pt2", "--json")
    assert ran.code == 8
    finding = json.loads(ran.out)["finding"]
    assert (finding["layer"], finding["cause"], finding["proved"]) == ("conv", "padding", True)


def test_torchscript_gives_outputs_and_says_that_it_cannot_be_traced(remap_command, fixtures, load_file, tmp_path):
    script = torch.jit.trace(thin_torch(load_file, fixtures), torch.zeros(1, 3, 64, 64))
    script.save(tmp_path / "net.jit.pt")
    ran = remap_command("verify", *thin(fixtures), tmp_path / "net.jit.pt", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["outputs"][0]["outcome"] == "equal"
    assert {row["outcome"] for row in found["layers"]} == {"not compared"}
    assert "TorchScript runs compiled" in found["layers"][0]["reason"]


def test_inputs_from_a_file(remap_command, fixtures, tmp_path):
    import numpy as np

    np.savez(tmp_path / "x.npz", image=np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype("f4"))
    ran = remap_command("verify", *seed(fixtures, "conv_bn"), "--input", tmp_path / "x.npz", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert "[2, 3, 8, 8]" in found["inputs"][0]
    assert remap_command("verify", *seed(fixtures, "conv_bn"), "--input", "float32(1,3)").code == 2


def test_a_trace_of_resnet50_is_cheap(fixtures, load_file, tmp_path):
    """Both networks, both traces, the rounding error and the comparison: under 2 GB in a process of their own."""
    from verify_networks import randomise

    network = randomise(load_file("resnet/torch_model.py").build(50, 64, 1000))
    torch.save(network.state_dict(), tmp_path / "resnet50.pt")
    # not ru_maxrss: a child starts with its parent's peak
    script = (
        "import pathlib, sys\n"
        "from remap.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "finally:\n"
        "    lines = pathlib.Path('/proc/self/status').read_text().splitlines()\n"
        "    print('PEAK', next(line for line in lines if line.startswith('VmHWM:')).split()[1])"
    )
    folder = fixtures / "resnet"
    command = [
        sys.executable,
        "-c",
        script,
        "verify",
        "resnet",
        str(tmp_path / "resnet50.pt"),
        "--json",
        "--model",
        f"{folder}/keras_model.py:resnet50",
        "--torch",
        f"{folder}/torch_model.py:build",
        "--torch-arg",
        "width=64",
        "--torch-arg",
        "classes=1000",
        "--input",
        "float32[1,3,224,224]",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    text, _, peak = ran.stdout.partition("PEAK")
    found = json.loads(text)
    assert {row["outcome"] for row in found["layers"]} == {"equal"}
    assert int(peak) * 1024 < 2e9
