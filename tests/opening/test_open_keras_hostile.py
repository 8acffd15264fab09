"""Files of the Keras and TensorFlow side that mean harm, lie, or are only unusual."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zipfile

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest

from remap.errors import CheckpointError
from remap.formats.keras import h5_child, keras_h5
from remap.formats.tensorflow.bundle import BundleEntry, field, varint
from remap.formats.tensorflow.tf_bundle import MAGIC, MAX_BLOCK
from remap.opening.anything import open_weights

NUMBERS = np.arange(12, dtype="f4").reshape(3, 4)


@pytest.fixture
def secret(tmp_path):
    """A file that no other may lead to."""
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("password", data=NUMBERS)
    return path


def external(file, secret):
    file.create_dataset("a/vars/0", (12,), "f4", external=[(str(secret), 0, 48)])


def virtual(file, secret):
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "password", (3, 4))
    file.create_virtual_dataset("a/vars/0", layout)


def external_link(file, secret):
    file["a/vars"] = h5py.ExternalLink(str(secret), "/")


def link_for_attributes(file, secret):
    file["model_weights"] = h5py.ExternalLink(str(secret), "/")


def soft_link(file, secret):
    file["b/vars/0"] = NUMBERS
    file["a/vars"] = h5py.SoftLink("/b/vars")


LEADS = [external, virtual, external_link, link_for_attributes, soft_link]


@pytest.mark.parametrize("make", LEADS)
@pytest.mark.parametrize("archive", [False, True])
def test_what_leads_out_of_the_file_is_refused(make, archive, secret, tmp_path):
    path = tmp_path / "w.weights.h5"
    with h5py.File(path, "w") as file:
        make(file, secret)
    if archive:
        with zipfile.ZipFile(tmp_path / "w.keras", "w") as made:
            made.write(path, "model.weights.h5")
        path = tmp_path / "w.keras"
    with pytest.raises(CheckpointError, match=r"another (place|file)(.|\n)*do not use this file"):
        open_weights(path)


def test_a_variable_with_two_paths_has_both(tmp_path):
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["a/vars/0"] = NUMBERS
        file["b/vars/0"] = file["a/vars/0"]
        file["a/again"] = file["a"]  # a circle
    found = open_weights(tmp_path / "w.weights.h5")
    assert {"a/vars/0", "b/vars/0"} <= found.keys()
    assert found["b/vars/0"].array().tolist() == NUMBERS.tolist()


@pytest.mark.parametrize("packing", [{}, {"compression": "gzip"}])
@pytest.mark.parametrize("dtype", [">f4", ">i8", ">f2"])
def test_big_endian_numbers(dtype, packing, tmp_path):
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file.create_dataset("a/vars/0", data=NUMBERS.astype(dtype), **packing)
    array = open_weights(tmp_path / "w.weights.h5")["a/vars/0"].array()
    assert array.dtype == np.dtype(dtype).newbyteorder("<")
    assert array.tolist() == NUMBERS.tolist()


def test_what_holds_no_numbers_is_listed(tmp_path):
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["a"] = NUMBERS
        file["text"] = "hello"
        file["nothing"] = h5py.Empty("f4")
        file["pair"] = np.zeros(2, [("x", "f4"), ("y", "f4")])
        file["lie"] = NUMBERS
        file["lie"].attrs["dtype"] = "bfloat16"
    found = open_weights(tmp_path / "w.weights.h5")
    assert set(found) == {"a"}
    assert {skipped.name for skipped in found.skipped} == {"text", "nothing", "pair", "lie"}


def test_chunks_that_are_unpacked_whole_are_not_too_large(tmp_path):
    """A gigabyte that would be unpacked in one piece."""
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk((1 << 28,))
        layout.set_deflate(9)
        h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((1 << 28,)), layout)
    with pytest.raises(CheckpointError, match=r"absurd shape(.|\n)*chunks of at most"):
        open_weights(tmp_path / "w.weights.h5")


@pytest.mark.parametrize("shape", [(3, 1000, 2), (1, 1, 5000), (5000,), (7, 0, 3), (40, 3, 30), ()])
def test_packed_datasets_come_in_pieces(shape, tmp_path, monkeypatch):
    monkeypatch.setattr(keras_h5, "PIECE", 1000)
    array = np.random.default_rng(0).normal(size=shape).astype("f4")
    packing = {"chunks": True, "compression": "gzip", "maxshape": (None,) * len(shape)} if shape else {}
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file.create_dataset("a", data=array, **packing)
    assert all(np.empty(shape, "f4")[piece].nbytes <= 1000 for piece in h5_child.pieces(shape, 4, 1000))
    assert np.array_equal(open_weights(tmp_path / "w.weights.h5")["a"].array(), array)


def deflated(source, path):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))


def test_an_archive_that_was_packed_anew(tmp_path):
    """Keras loads it, and so it is read."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.save(tmp_path / "a.keras")
    deflated(tmp_path / "a.keras", tmp_path / "b.keras")
    assert keras.saving.load_model(tmp_path / "b.keras").count_params() == 15
    found = [{n: t.array().tolist() for n, t in open_weights(tmp_path / f"{x}.keras").items()} for x in "ab"]
    assert found[0] == found[1]
    assert len(found[0]) == 2


def test_an_archive_that_inflates_without_end(tmp_path):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("model.weights.h5", bytes(100_000_000))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(struct.pack("<I", 100_000_000), struct.pack("<I", 5000)))
    tracemalloc.start()
    with pytest.raises(CheckpointError):
        open_weights(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.fixture
def shard(tmp_path):
    """An index of one shard, and what to change it with."""
    with h5py.File(tmp_path / "w_00000.weights.h5", "w") as file:
        file["a/vars/0"] = NUMBERS

    def index(text):
        (tmp_path / "w.weights.json").write_text(text if isinstance(text, str) else json.dumps({"weight_map": text}))
        return tmp_path / "w.weights.json"

    return index


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot read the index"),
        ("[" * 100_000, "cannot read the index"),
        ('{"weight_map": {"/a/vars": "w_00000.weights.h5", "/a/vars": "other.h5"}}', "'/a/vars' occurs twice"),
        ("[]", "no usable weight_map"),
        ({"/a/vars": 3}, "damaged index"),
        ({"/a/vars": [3]}, "damaged index"),
        ({"/a/vars": []}, "damaged index"),
        ({"/a/vars": {}}, "damaged index"),
        ({"/a/vars": "../w_00000.weights.h5"}, "outside of its folder"),
        ({"/a/vars": "/etc/passwd"}, "outside of its folder"),
        ({"/a/vars": "w_00001.weights.h5"}, "shard is missing"),
        ({"/a/vars": ["w_00000.weights.h5", "copy.weights.h5"]}, "lies in two shards"),
        ({"/a/vars": "link.weights.h5"}, "it is a link"),
    ],
)
def test_an_index_of_keras_shards_that_lies(text, says, shard, tmp_path, tmp_path_factory):
    (tmp_path / "copy.weights.h5").write_bytes((tmp_path / "w_00000.weights.h5").read_bytes())
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x.h5"
    elsewhere.write_bytes((tmp_path / "w_00000.weights.h5").read_bytes())
    (tmp_path / "link.weights.h5").symlink_to(elsewhere)
    assert set(open_weights(shard({"/a/vars": "w_00000.weights.h5"}))) == {"a/vars/0"}
    with pytest.raises(CheckpointError, match=says):
        open_weights(shard(text))


def block(entries):
    """A block of a LevelDB table: of each entry how many bytes of the last key it repeats, the rest, and the value."""
    data = b"".join(
        varint(shared) + varint(len(own)) + varint(len(value)) + own + value for shared, own, value in entries
    )
    return data + struct.pack("<2I", 0, 1) + b"\0" + bytes(4)


def table(*blocks, handles=None):
    """An index of blocks; ``handles`` says which of them, and how often."""
    data, places = b"", []
    for each in blocks:
        places.append(varint(len(data)) + varint(len(each) - 5))
        data += each
    chosen = places if handles is None else [places[number] for number in handles]
    index = block([(0, b"k", handle) for handle in chosen])
    footer = varint(0) * 2 + varint(len(data)) + varint(len(index) - 5)
    return data + index + footer.ljust(40, b"\0") + MAGIC


HEADER = (0, b"", field(1, 1))
ENTRY = BundleEntry(1, (3, 4), 0, 48, 0).encode()
ENDING = b"/.ATTRIBUTES/VARIABLE_VALUE"


def bundle(folder, index, data=NUMBERS):
    (folder / "ck.index").write_bytes(index)
    (folder / "ck.data-00000-of-00001").write_bytes(np.asarray(data).tobytes())
    return folder / "ck"


def test_the_hand_made_index_is_right(tmp_path):
    found = open_weights(bundle(tmp_path, table(block([HEADER, (0, b"ab", ENTRY), (1, b"c", ENTRY)]))))
    assert list(found) == ["ab", "ac"]
    assert found["ac"].array().tolist() == NUMBERS.tolist()


BAD_INDEXES = {
    "key twice": (table(block([HEADER, (0, b"a", ENTRY), (0, b"a", ENTRY)])), "does not come after"),
    "keys that descend": (table(block([HEADER, (0, b"b", ENTRY), (0, b"a", ENTRY)])), "does not come after"),
    "key twice but for its ending": (
        table(block([HEADER, (0, b"a", ENTRY), (1, ENDING, ENTRY)])),
        "two entries are called 'a'",
    ),
    "block twice": (table(block([HEADER, (0, b"a", ENTRY)]), handles=[0, 0]), "overlaps"),
    "blocks in another order": (table(block([(0, b"a", ENTRY)]), block([HEADER]), handles=[1, 0]), "overlaps"),
    "key longer than there is": (table(block([HEADER, (9, b"a", ENTRY)])), "outside of its block"),
    "absurd shape": (
        table(block([HEADER, (0, b"a", BundleEntry(1, (1 << 40,), 0, 48, 0).encode())])),
        "48 bytes for shape",
    ),
    "absurd size": (
        table(block([HEADER, (0, b"a", BundleEntry(1, (1 << 40,), 0, 4 << 40, 0).encode())])),
        "ends too early",
    ),
    "negative shape": (
        table(block([HEADER, (0, b"a", BundleEntry(1, ((1 << 64) - 1,), 0, 48, 0).encode())])),
        "absurd shape",
    ),
    "many axes": (table(block([HEADER, (0, b"a", BundleEntry(1, (1,) * 300, 0, 4, 0).encode())])), "absurd shape"),
    "more axes than arrays have": (
        table(block([HEADER, (0, b"a", BundleEntry(1, (1,) * 65, 0, 4, 0).encode())])),
        "absurd shape",
    ),
    "an empty shape past all sizes": (
        table(block([HEADER, (0, b"a", BundleEntry(1, (0, 1 << 61), 0, 0, 0).encode())])),
        "absurd shape",
    ),
    "a name of many parts": (table(block([HEADER, (0, b"a/" * 600, ENTRY)])), "a name of 601 parts"),
    "behind the end": (table(block([HEADER, (0, b"a", BundleEntry(1, (3, 4), 1, 48, 0).encode())])), "ends too early"),
    "another shard": (
        table(block([HEADER, (0, b"a", ENTRY + field(3, 7))])),
        "a file of the TensorFlow checkpoint is missing",
    ),
    "compressed": (table(block([HEADER])[:-5] + b"\1" + bytes(4)), "compressed"),
    "empty": (b"", "does not end as an index does"),
}


@pytest.mark.parametrize("name", BAD_INDEXES)
def test_an_index_that_lies(name, tmp_path):
    index, says = BAD_INDEXES[name]
    with pytest.raises(CheckpointError, match=says):
        open_weights(bundle(tmp_path, index))


def test_names_that_repeat_a_long_one(tmp_path, monkeypatch):
    """A few bytes each in the file, a megabyte each in memory."""
    monkeypatch.setattr("remap.formats.tensorflow.tf_bundle.MAX_KEYS", 8 << 20)
    long = b"x" * (1 << 20)
    entries = [HEADER, (0, long, ENTRY), *((len(long), bytes([n]), ENTRY) for n in range(1, 250))]
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="bytes of names"):
        open_weights(bundle(tmp_path, table(block(entries))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_an_index_that_is_one_huge_block(tmp_path):
    path = bundle(tmp_path, b"")
    with path.with_name("ck.index").open("wb") as file:
        footer = varint(0) * 2 + varint(0) + varint(MAX_BLOCK + 1)
        file.truncate(MAX_BLOCK + 100)
        file.seek(0, 2)
        file.write(footer.ljust(40, b"\0") + MAGIC)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="a block of"):
        open_weights(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_checkpoint_without_its_data(tmp_path):
    path = bundle(tmp_path, table(block([HEADER, (0, b"a", ENTRY)])))
    path.with_name("ck.data-00000-of-00001").unlink()
    with pytest.raises(CheckpointError, match=r"is missing(.|\n)*ck.data-00000-of-00001"):
        open_weights(path)


def test_nan_and_infinities_stay_as_they_are(tmp_path):
    """With their payloads and signs."""
    bits = np.array([0x7FC00001, 0xFFC00123, 0x7F800001, 0x7F800000, 0xFF800000, 0x80000000], "u4")
    array = bits.view("f4")
    half = np.array([0x7FC1, 0xFF80], "u2").view(ml_dtypes.bfloat16)
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["plain"] = array
        file.create_dataset("packed", data=array, compression="gzip")
        file["half"] = half.view("V2")
        file["half"].attrs["dtype"] = "bfloat16"
    found = open_weights(tmp_path / "w.weights.h5")
    assert found["plain"].array().tobytes() == found["packed"].array().tobytes() == array.tobytes()
    assert found["half"].array().tobytes() == half.tobytes()
    path = bundle(tmp_path, table(block([HEADER, (0, b"a", BundleEntry(1, (6,), 0, 24, 0).encode())])), array)
    assert open_weights(path)["a"].array().tobytes() == array.tobytes()
