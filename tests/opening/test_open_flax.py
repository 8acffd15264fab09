"""Flax's files: one that Flax itself wrote, and others made by msgpack as Flax lays arrays out."""

from __future__ import annotations

import json
import struct

import h5py
import msgpack
import numpy as np
import pytest
from flax_file import ARRAYS, FILE, numbers

from remap.errors import CheckpointError
from remap.opening.open import open_checkpoint
from remap.tensors.blob import FileBlob


def array(value, code=1):
    """An array as Flax packs it: an extension that holds shape, dtype and bytes."""
    value = np.asarray(value)
    body = msgpack.packb((value.shape, value.dtype.name, value.tobytes()), use_bin_type=True)
    return msgpack.ExtType(code, body)


def packed(path, tree):
    path.write_bytes(msgpack.packb(tree, default=array))
    return path


def chunked(shape, *chunks):
    sizes = {str(axis): size for axis, size in enumerate(shape)}
    return {"__msgpack_chunked_array__": True, "shape": sizes, "chunks": {str(n): c for n, c in enumerate(chunks)}}


def test_every_array_of_a_file_that_flax_wrote():
    checkpoint = open_checkpoint(FILE)
    assert (checkpoint.format, checkpoint.kind) == ("Flax msgpack", "flax")
    assert set(checkpoint) == set(ARRAYS)
    for name, expected in ARRAYS.items():
        read = checkpoint[name].array()
        assert (read.dtype, read.shape) == (expected.dtype, expected.shape), name
        assert read.tobytes() == expected.tobytes(), name


def test_what_is_no_array_is_left_alone():
    skipped = {each.name: each.reason for each in open_checkpoint(FILE).skipped}
    assert skipped == {"opt_state": "the optimizer's state", "note": "text", "rng": "number", "step": "number"}


def test_the_statistics_have_their_modules_names_once_both_prefixes_are_off():
    names = set(open_checkpoint(FILE, strip=[r"params\.", r"batch_stats\."]))
    assert {"encoder.norm.scale", "encoder.norm.mean", "encoder.norm.var"} <= names


def test_a_root_takes_one_collection():
    assert set(open_checkpoint(FILE, root="batch_stats")) == {"encoder.norm.mean", "encoder.norm.var"}


def test_parameters_alone_need_no_root(tmp_path):
    path = packed(tmp_path / "a.msgpack", {"params": {"dense": {"kernel": numbers((2, 3), 0)}}, "step": 3})
    checkpoint = open_checkpoint(path)
    assert list(checkpoint) == ["dense.kernel"]
    assert checkpoint.peeled == ("['params']",)
    assert list(open_checkpoint(path, root=".")) == ["params.dense.kernel"]


@pytest.mark.parametrize("module", ["model", "bert", "state_dict", "generator"])
def test_a_module_is_no_wrapper(module, tmp_path):
    """transformers' files have no collections; their outermost keys are modules."""
    tree = {module: {"dense": {"kernel": numbers((2, 3), 0)}}, "lm_head": {"kernel": numbers((3,), 9)}}
    names = [f"{module}.dense.kernel", "lm_head.kernel"]
    assert list(open_checkpoint(packed(tmp_path / "a.msgpack", tree))) == names
    assert list(open_checkpoint(packed(tmp_path / "b.msgpack", {module: tree[module]}))) == names[:1]
    assert list(open_checkpoint(packed(tmp_path / "c.msgpack", {"params": tree}))) == names


def test_sizes_of_every_width_are_read(tmp_path):
    """More than 15 entries, names over 31 and 255 characters, arrays over 255 and 65,535 bytes."""
    tree = {f"{'n' * (20 * number)}{number}": numbers((number * number, 11), number) for number in range(60)}
    checkpoint = open_checkpoint(packed(tmp_path / "a.msgpack", tree))
    assert list(checkpoint) == list(tree)
    for name, expected in tree.items():
        assert np.array_equal(checkpoint[name].array(), expected)


def test_an_array_in_chunks_is_joined_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("remap.formats.flax.PIECE", 16)
    whole = numbers((5, 7), 3)
    chunks = np.split(whole.reshape(-1), [12, 24])
    checkpoint = open_checkpoint(packed(tmp_path / "a.msgpack", {"w": chunked((5, 7), *chunks)}))
    assert np.array_equal(checkpoint["w"].array(), whole)
    checkpoint.demand_unchanged()
    packed(tmp_path / "a.msgpack", {"w": chunked((5, 7), *chunks), "v": 1})
    with pytest.raises(CheckpointError, match="was written to"):
        checkpoint.demand_unchanged()


def test_opening_reads_no_numbers(tmp_path, monkeypatch):
    path = packed(tmp_path / "a.msgpack", {"v": np.zeros(10_000_000, "u1"), "w": np.zeros(10_000_000, "u1")})
    reads = []
    monkeypatch.setattr(FileBlob, "read", counted(reads, FileBlob.read))
    assert set(open_checkpoint(path)) == {"v", "w"}
    assert 0 < sum(reads) < 50_000


def counted(reads, read):
    def reading(blob, start, length):
        reads.append(length)
        return read(blob, start, length)

    return reading


RULES = """
format = 1
[source]
strip = ['params\\.', 'batch_stats\\.']
[layouts.flax_dense]
kernel = "kernel"
bias = "bias"
[layouts.flax_batch_norm]
gamma = "scale"
beta = "bias"
moving_mean = "mean"
moving_variance = "var"
[move.flax_dense]
'Dense_0' = 'dense'
[move.flax_batch_norm]
'BatchNorm_0' = { to = 'bn', optional = true }
"""
DENSE = {"kernel": numbers((10, 5), 1), "bias": numbers((5,), 100)}


def test_modules_lie_in_keras_as_they_lay_in_flax(tmp_path, remap_command):
    (tmp_path / "a.toml").write_text(RULES)
    affine = {"scale": numbers((3,), 200), "bias": numbers((3,), 300)}
    statistics = {"mean": numbers((3,), 400), "var": numbers((3,), 500)}
    tree = {"params": {"Dense_0": DENSE, "BatchNorm_0": affine}, "batch_stats": {"BatchNorm_0": statistics}}
    packed(tmp_path / "flax_model.msgpack", tree)
    ran = remap_command("apply", tmp_path / "a.toml", tmp_path, "-o", tmp_path / "a.npz")
    assert ran.code == 0, ran.err
    expected = {
        **{f"dense/{name}": array for name, array in DENSE.items()},
        **{"bn/gamma": affine["scale"], "bn/beta": affine["bias"]},
        **{"bn/moving_mean": statistics["mean"], "bn/moving_variance": statistics["var"]},
    }
    with np.load(tmp_path / "a.npz") as written:
        assert set(written.files) == set(expected)
        for name, array in expected.items():
            assert np.array_equal(written[name], array), name


@pytest.mark.full
def test_a_kernel_is_proved_in_the_keras_model(tmp_path, fixtures, remap_command):
    (tmp_path / "a.toml").write_text(RULES)
    path = packed(tmp_path / "a.msgpack", {"Dense_0": DENSE})
    model = f"{fixtures / 'linear/keras_model.py'}:build"
    ran = remap_command("apply", tmp_path / "a.toml", path, "-o", tmp_path / "a.weights.h5", "--model", model)
    assert ran.code == 0, ran.err
    with h5py.File(tmp_path / "a.weights.h5") as written:
        assert np.array_equal(written["layers/dense/vars/0"], DENSE["kernel"])


def test_a_folder_prefers_what_pytorch_wrote(tmp_path, fixtures):
    packed(tmp_path / "flax_model.msgpack", {"dense": {"kernel": numbers((2,), 0)}})
    assert list(open_checkpoint(tmp_path)) == ["dense.kernel"]
    (tmp_path / "model.safetensors").write_bytes((fixtures / "linear/linear.safetensors").read_bytes())
    assert list(open_checkpoint(tmp_path)) == ["bias", "weight"]


def test_shards_whose_index_has_slashes(tmp_path):
    names = [f"flax_model-0000{number}-of-00002.msgpack" for number in (1, 2)]
    packed(tmp_path / names[0], {"model": {"a": {"kernel": numbers((2,), 0)}}})
    packed(tmp_path / names[1], {"model": {"b": {"kernel": numbers((2,), 5)}}})
    index = {"weight_map": {"model/a/kernel": names[0], "model/b/kernel": names[1]}}
    (tmp_path / "flax_model.msgpack.index.json").write_text(json.dumps(index))
    assert list(open_checkpoint(tmp_path)) == ["model.a.kernel", "model.b.kernel"]
    packed(tmp_path / names[1], {"model": {"c": {"kernel": numbers((2,), 5)}}})
    with pytest.raises(CheckpointError, match=r"(?s)does not hold.*model\.b\.kernel"):
        open_checkpoint(tmp_path)


def body(shape, dtype, data):
    return msgpack.ExtType(1, msgpack.packb((shape, dtype, data)))


NO_COUNT = "the shape"
DAMAGED = {
    "shape of more than its bytes": ({"w": body((3,), "float32", bytes(8))}, "8 bytes"),
    "negative sizes": ({"w": body((-1, -2), "float32", bytes(8))}, NO_COUNT),
    "sizes that are none": ({"w": body((2.0,), "float32", bytes(8))}, NO_COUNT),
    "a flag for a size": ({"w": body((True,), "float32", bytes(4))}, NO_COUNT),
    "too many axes": ({"w": body((1,) * 33, "float32", bytes(4))}, "without a shape"),
    "no array in it": ({"w": msgpack.ExtType(1, msgpack.packb(3))}, "without its three parts"),
    "a longer array": ({"w": msgpack.ExtType(1, array(numbers((2,), 0)).data + b"\0")}, "array that ends at byte"),
    "no dtype": ({"w": body((2,), 3, bytes(8))}, "without a dtype"),
    "no bytes": ({"w": body((2,), "float32", 3)}, "without bytes"),
    "two names that are one": ({"a": {"b": numbers((2,), 0)}, "a.b": numbers((2,), 1)}, "one name"),
    "no map": ([1], "not a checkpoint"),
    "nested": (json.loads('{"a":' * 101 + "1" + "}" * 101), "nested over 100 deep"),
    "very many entries": ({"a": [None] * 250_000}, "more than 250,000 entries"),
    "a name of a list": ({"w": 1, None: 2}, "a name that is plain"),
    "a very long name": ({"n" * 20_000: 2}, "a name that is text of 20000 bytes"),
    "chunks of two dtypes": ({"w": chunked((2,), numbers((1,), 0), numbers((1,), 0).astype("f2"))}, "2 dtypes"),
    "chunks that are too few": ({"w": chunked((9,), numbers((1,), 0), numbers((1,), 0))}, "8 bytes"),
    "no chunks": ({"w": chunked((0,))}, "0 chunks"),
    "chunks of too many axes": ({"w": chunked((2,) * 100_000, numbers((1,), 0))}, NO_COUNT),
    "chunks without a shape": ({"w": {"__msgpack_chunked_array__": True}}, "0 chunks"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_file_that_none_can_be(kind, tmp_path):
    tree, says = DAMAGED[kind]
    with pytest.raises(CheckpointError, match=says) as failure:
        open_checkpoint(packed(tmp_path / "a.msgpack", tree))
    assert "a.msgpack" in str(failure.value)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x81\xa1w\xc1", "starts with the byte 0xc1"),
        (b"\xdf\xff\xff\xff\xff\xa1w\xc0", "ends too early"),
        (b"\x81\xa1w\xdd\xff\xff\xff\xff", "ends too early"),
        (b"\x81\xa1w\xc9\xff\xff\xff\xff\x01", "ends too early"),
        (b"\x81\xa1w\xc6\xff\xff\xff\xff", "ends too early"),
        (b"\x82\xa1w\xc0\xa1w\xc0", "'w' occurs twice"),
        (b"\x81\xa2\xff\xfe\xc0", "no UTF-8"),
        (b"\x81\xa1w\xc0more", "4 bytes behind the end"),
        (b"\x81\xa1w\xc7\x13\x01\x93\x91\xcf" + struct.pack(">Q", 1 << 63) + b"\xa5uint8\xc4\0", "the shape"),
    ],
)
def test_bytes_that_no_file_has(data, says, tmp_path):
    (tmp_path / "a.msgpack").write_bytes(data)
    with pytest.raises(CheckpointError, match=says):
        open_checkpoint(tmp_path / "a.msgpack")


def test_cut_off_anywhere(tmp_path):
    data = FILE.read_bytes()
    for length in range(2, len(data)):
        (tmp_path / "a.msgpack").write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            open_checkpoint(tmp_path / "a.msgpack")


def test_what_numpy_cannot_hold_is_left_alone(tmp_path):
    tree = {"w": numbers((2,), 0), "x": body((4,), "int4", bytes(4)), "y": msgpack.ExtType(7, b"??")}
    checkpoint = open_checkpoint(packed(tmp_path / "a.msgpack", tree))
    assert list(checkpoint) == ["w"]
    assert [each.reason for each in checkpoint.skipped] == [
        "Flax array of int4",
        "msgpack extension 7, which Flax has none of",
    ]
