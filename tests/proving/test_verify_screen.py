"""What verify prints: its inputs, what matters, and the verdict first and last."""

from __future__ import annotations

EQUAL = "equal: the Keras model holds the weights, and computes what PyTorch computes"


def arguments(fixtures, *more):
    folder = fixtures / "conv_bn"
    names = (folder / "conv_bn.toml", folder / "conv_bn.safetensors")
    return (*names, "--model", f"{folder}/keras_model.py:build", "--torch", f"{folder}/torch_model.py:build", *more)


def test_a_passing_verify_prints_its_inputs_and_ends_in_the_verdict(remap_command, fixtures, tmp_path):
    ran = remap_command("verify", *arguments(fixtures, "--report", str(tmp_path / "page.html")))
    lines = ran.out.splitlines()
    assert ran.code == 0, ran.err
    assert lines[0] == lines[-1] == EQUAL
    assert "float32[1, 3, 8, 8]: standard normal numbers" in " ".join(ran.out.split())
    assert "layers differ in" not in ran.out
    assert "    tolerance " not in ran.out
    assert any(line.startswith("wrote") for line in lines)


def test_all_shows_the_rest_too(remap_command, fixtures):
    ran = remap_command("verify", *arguments(fixtures, "--all"))
    assert "    tolerance " in ran.out and ran.out.splitlines()[-1] == EQUAL


def test_a_failing_verify_ends_in_its_verdict_too(remap_command, fixtures):
    ran = remap_command("verify", *arguments(fixtures, "--model-arg", "padding=same"))
    assert ran.code == 8
    assert ran.out.splitlines()[0] == ran.out.splitlines()[-1] == "the outputs differ"
