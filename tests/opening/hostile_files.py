"""Files of a few kilobytes or megabytes that would take gigabytes, or hours, if they were believed."""

from __future__ import annotations

import json
import lzma
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).parent
MANY = 1_000_000


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def byte(value: int) -> bytes:
    return b"K" + bytes([value])


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def tupled(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


TENSOR = (
    named("torch._utils", "_rebuild_tensor_v2")
    + tupled(
        tupled(text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), byte(4)) + b"Q",
        byte(0),
        tupled(byte(4)),
        tupled(byte(1)),
        b"\x89",
        named("collections", "OrderedDict") + b")R",
    )
    + b"R"
)
"""A tensor of four numbers, so that what holds it is a checkpoint."""


def archive(path: Path, body: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path.with_suffix(".pt"), "w", method) as made:
        made.writestr("archive/data.pkl", b"\x80\x02" + body + b".")
        made.writestr("archive/version", "3\n")
        made.writestr(zipfile.ZipInfo("archive/data/0"), bytes(16))
    return path.with_suffix(".pt")


def in_dict(value: bytes) -> bytes:
    """A state_dict with a tensor and something else."""
    return b"}" + b"(" + text("w") + TENSOR + text("x") + value + b"u"


def deep_dicts(path: Path) -> Path:
    return archive(path, in_dict((b"}" + byte(0)) * MANY + b"}" + b"s" * MANY))


def deep_names(path: Path) -> Path:
    """Dicts in dicts with a tensor at the bottom: each level makes the names longer."""
    return archive(path, (b"}" + text("a")) * MANY + TENSOR + b"s" * MANY)


def deep_lists(path: Path) -> Path:
    return archive(path, in_dict(b"]" * MANY + b"a" * (MANY - 1)))


def deep_list_from_within(path: Path) -> Path:
    return archive(path, in_dict(b"]" + b"q\x00]h\x00a" * MANY))


def deep_modules(path: Path) -> Path:
    """Modules with two names each for the one below, long ones."""
    name = "n" * 50_000
    body = b"N" + b"".join(
        b"q\x00" + named("x", "Y") + b")\x81}" + text("_modules") + b"}(" + text(f"{name}{i}") + b"h\x00"
        b"" + text(f"m{i}") + b"h\x00" + b"usb"
        for i in range(30)
    )
    return archive(path, body)


def copied_dict(path: Path) -> Path:
    """Five bytes copy a dict of 100,000 entries."""
    pairs = b"](" + b"".join(text(f"k{i}") + b"N\x86" for i in range(100_000)) + b"e\x85q\x010"
    copies = named("collections", "OrderedDict") + b"q\x020](" + b"h\x02h\x01R" * 2000 + b"e"
    return archive(path, b"N0" + pairs + in_dict(copies))


def copied_new_object(path: Path) -> Path:
    """The same by another operation."""
    pairs = b"](" + b"".join(text(f"k{i}") + b"N\x86" for i in range(100_000)) + b"e\x85q\x010"
    copies = named("collections", "OrderedDict") + b"q\x020](" + b"h\x02h\x01\x81" * 2000 + b"e"
    return archive(path, b"N0" + pairs + in_dict(copies))


def one_by_one(path: Path) -> Path:
    items = b"".join(b"J" + struct.pack("<i", i) + b"Ns" for i in range(MANY))
    return archive(path, in_dict(b"}" + items))


def foreign_objects(path: Path) -> Path:
    return archive(path, in_dict(b"](" + named("x", "Y") + b"q\x00" + b"h\x00)R" * MANY + b"e"))


def foreign_copies(path: Path) -> Path:
    return archive(path, in_dict(named("x", "Y") + b"q\x00" + b"2)R" * MANY))


def memo_flood(path: Path) -> Path:
    return archive(path, in_dict(b"N" + b"\x94" * 4 * MANY))


def tuple_flood(path: Path) -> Path:
    return archive(path, in_dict(b"N" + b"\x85" * 4 * MANY))


def empty_dicts(path: Path) -> Path:
    return archive(path, in_dict(b"](" + b"}" * 4 * MANY + b"e"))


def integers_on_the_stack(path: Path) -> Path:
    return archive(path, b"".join(b"J" + struct.pack("<i", i) for i in range(1000)) * 15_000)


def deflated_integers(path: Path) -> Path:
    return archive(path, in_dict(b"](" + byte(1) * 15_000_000 + b"e"), zipfile.ZIP_DEFLATED)


def _legacy_storage(inner: bytes) -> bytes:
    head = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}" + text("little_endian") + b"\x88s."
    own = tupled(text("storage"), named("torch", "FloatStorage"), text("s"), text("cpu"), byte(1), b"N") + b"Q"
    return head + b"\x80\x02" + inner + own + b".\x80\x02]" + text("s") + b"a." + struct.pack("<q", 1) + bytes(4)


def _loading(content: bytes) -> bytes:
    return named("torch.storage", "_load_from_bytes") + b"q\x01B" + struct.pack("<I", len(content)) + content + b"\x85"


def loads_itself_twice(path: Path) -> Path:
    """A storage that is a file of its own, which loads the one below twice: 2 ** 40 of them."""
    storage = _legacy_storage(b"")
    for _ in range(40):
        storage = _legacy_storage(_loading(storage) + b"q\x02R0h\x01h\x02R0")
    return archive(path, in_dict(_loading(storage) + b"R"))


def loads_one_often(path: Path) -> Path:
    """A large storage that is loaded a hundred thousand times."""
    storage = _legacy_storage(b"(" + b"N" * MANY + b"1")
    return archive(path, in_dict(_loading(storage) + b"q\x02R0](" + b"h\x01h\x02R" * 100_000 + b"e"))


def safetensors(path: Path, names: list[str]) -> Path:
    header = {name: {"dtype": "U8", "shape": [1], "data_offsets": [at, at + 1]} for at, name in enumerate(names)}
    data = json.dumps(header).encode()
    path = path.with_suffix(".safetensors")
    path.write_bytes(struct.pack("<Q", len(data)) + data + bytes(len(names)))
    return path


def deep_name(path: Path) -> Path:
    return safetensors(path, ["a." * 60_000 + "w"])


def deep_header(path: Path) -> Path:
    data = b'{"a":' * 500_000
    path.write_bytes(struct.pack("<Q", len(data)) + data)
    return path


def pickled_nesting(path: Path) -> Path:
    """As a plain pickle file, without an archive."""
    path.write_bytes(b"\x80\x02" + (b"}" + text("a")) * MANY + b"}" + b"s" * MANY + b".")
    return path


def long_h5_names(path: Path) -> Path:
    """A group that reaches itself: no end of paths."""
    with h5py.File(path, "w") as file:
        file["a/vars/0"] = np.ones(4, "f4")
        for number in range(20):
            file[f"a/again{number}"] = file["a"]
    return path


def npz_header(path: Path) -> Path:
    """A header of brackets, for the parser of literals."""
    body = b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"[" * 9000
    with zipfile.ZipFile(path.with_suffix(".npz"), "w") as made:
        made.writestr("a.npy", body)
    return path.with_suffix(".npz")


def plain_pickle_of_text(path: Path) -> Path:
    path.write_bytes(pickle.dumps({"a": "x" * 10_000_000}, 2))
    return path


def flax_lists(path: Path) -> Path:
    """Empty lists, a byte each."""
    path.write_bytes(b"\x81\xa1a\xdd" + struct.pack(">I", 4 * MANY) + b"\x90" * 4 * MANY)
    return path


def flax_nesting(path: Path) -> Path:
    path.write_bytes(b"\x81\xa1a" * MANY + b"\xc0")
    return path


def flax_names(path: Path) -> Path:
    """Maps in maps with a long key each, and at the bottom many entries: all of them get the whole name."""
    key = b"\xda\x3f\xff" + b"n" * 0x3FFF
    bottom = b"\xde\xea\x60" + b"".join(b"\xa5%05d\xc0" % number for number in range(60_000))
    path.write_bytes((b"\x81" + key) * 90 + bottom)
    return path


def flax_arrays(path: Path) -> Path:
    """Arrays of no bytes."""
    body = b"\x93\x91\x00\xa5uint8\xc4\x00"
    entries = b"".join(b"\xa6%06d\xc7%c\x01%b" % (number, len(body), body) for number in range(100_000))
    path.write_bytes(b"\xdf" + struct.pack(">I", 100_000) + entries)
    return path


def flax_shape(path: Path) -> Path:
    """The sizes of an array in chunks, whose product would have millions of digits."""
    sizes = b"".join(b"\xa6%06d\xcf%b" % (number, b"\x7f" * 8) for number in range(200_000))
    marks = b"\xb9__msgpack_chunked_array__\xc3\xa5shape\xdf" + struct.pack(">I", 200_000)
    body = b"\x93\x91\x00\xa5uint8\xc4\x00"
    chunks = b"\xa6chunks\x81\xa10\xc7%c\x01%b" % (len(body), body)
    path.write_bytes(b"\x81\xa1w\x83" + marks + sizes + chunks)
    return path


def many_roots(path: Path) -> Path:
    """A state_dict beside very many dicts with a tensor: each is another that could be asked for."""
    weights = b"}" + text("w") + TENSOR + b"q\x01s"
    others = b"".join(text(f"k{number}") + b"}" + text("w") + b"h\x01s" for number in range(60_000))
    return archive(path, b"}(" + text("state_dict") + weights + others + b"u")


def damaged_heap(path: Path) -> Path:
    """A file of Keras's with a list of free places that leads to itself."""
    path.write_bytes(lzma.decompress((HERE / "damaged_h5" / "heap_loop.weights.h5.xz").read_bytes()))
    return path


KINDS: dict[str, Callable[[Path], Path]] = {
    make.__name__: make
    for make in (
        deep_dicts,
        deep_names,
        deep_lists,
        deep_list_from_within,
        deep_modules,
        copied_dict,
        copied_new_object,
        one_by_one,
        foreign_objects,
        foreign_copies,
        memo_flood,
        tuple_flood,
        empty_dicts,
        integers_on_the_stack,
        deflated_integers,
        loads_itself_twice,
        loads_one_often,
        deep_name,
        deep_header,
        pickled_nesting,
        long_h5_names,
        npz_header,
        plain_pickle_of_text,
        flax_lists,
        flax_nesting,
        flax_names,
        flax_arrays,
        flax_shape,
        many_roots,
        damaged_heap,
    )
}
