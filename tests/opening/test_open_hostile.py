"""Checkpoints that mean harm: no code runs, nothing hangs, memory stays small, and the message says what it was."""

from __future__ import annotations

import argparse
import builtins
import functools
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile

import pytest
import torch

from remap.errors import CheckpointError, RemapError
from remap.formats.pickles import machine
from remap.opening.open import open_checkpoint


class Bomb:
    """Pickles as a call; that it is ever made shows in the file it names."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def archive(path, body, storages=("0",), size=64):
    """A torch zip file around any pickle."""
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("archive/data.pkl", body)
        made.writestr("archive/version", "3\n")
        for key in storages:
            made.writestr(f"archive/data/{key}", bytes(size))
    return path


def legacy(path, body):
    head = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
        pickle.dump(part, head, 2)
    path.write_bytes(head.getvalue() + body + pickle.dumps([], 2))
    return path


def plain(path, body):
    path.write_bytes(body)
    return path


WRAPS = pytest.mark.parametrize("wrap", [archive, legacy, plain])

CALLS = [
    (os.system, "os.system|posix.system|nt.system"),
    (eval, "builtins.eval"),
    (exec, "builtins.exec"),
    (builtins.__import__, "builtins.__import__"),
    (subprocess.getoutput, "subprocess.getoutput|commands.getoutput"),
    (open, "open"),
    (os.remove, "os.remove|posix.remove|nt.remove"),
]


@WRAPS
@pytest.mark.parametrize(("function", "name"), CALLS, ids=[name for _, name in CALLS])
def test_call_is_refused_and_named(tmp_path, wrap, function, name):
    target = tmp_path / "touched"
    text = f"open({str(target)!r}, 'w')" if function in (eval, exec) else f"touch {target}"
    body = pickle.dumps({"w": 1, "x": Bomb(function, text)}, 2)
    with pytest.raises(CheckpointError, match=rf"hostile checkpoint(.|\n)*nothing was run(.|\n)*({name})"):
        open_checkpoint(wrap(tmp_path / "a.pt", body))
    assert not target.exists()


def test_project_that_is_called_like_a_module(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.nn.Linear, "__module__", "code.models")
    monkeypatch.setitem(sys.modules, "code.models", torch.nn)
    torch.save(torch.nn.Linear(2, 3), tmp_path / "a.pt")
    assert set(open_checkpoint(tmp_path / "a.pt")) == {"weight", "bias"}


def test_unknown_calls_stay_inert(tmp_path):
    called = tmp_path / "touched"
    state = {
        "w": torch.ones(2),
        "partial": functools.partial(print, "x"),
        "getattr": Bomb(getattr, argparse.Namespace(a=1), "a"),
        "print": Bomb(print, "hello"),
        "slice": Bomb(slice, 1, 2),
        "writer": Bomb(torch.save, [1], str(called)),
    }
    torch.save(state, tmp_path / "a.pt")
    found = open_checkpoint(tmp_path / "a.pt")
    assert list(found) == ["w"]
    reasons = {skipped.name: skipped.reason for skipped in found.skipped}
    assert reasons == {
        "partial": "object functools.partial",
        "getattr": "object builtins.getattr",
        "print": "object builtins.print",
        "slice": "object builtins.slice",
        "writer": "object torch.serialization.save",
    }
    assert not called.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"(cos\nsystem\nS'true'\no.",
        b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85\x81.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85}\x92.",
        b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93\x8c\x04true\x85R.",
        b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.",
    ],
)
def test_every_way_to_call(tmp_path, body):
    with pytest.raises(CheckpointError, match=r"hostile(.|\n)*(os.system|builtins.eval)"):
        open_checkpoint(archive(tmp_path / "a.pt", body))


def test_state_cannot_reach_this_package(tmp_path):
    """BUILD on what stands for an allowed function changes nothing, for this file or the next."""
    body = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x04\x00\x00\x00callX\x01\x00\x00\x00xsb."
    with pytest.raises(CheckpointError):
        open_checkpoint(archive(tmp_path / "a.pt", body))
    torch.save({"w": torch.ones(2)}, tmp_path / "b.pt")
    assert open_checkpoint(tmp_path / "b.pt")["w"].array().tolist() == [1, 1]


def number(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def tensor_pickle(offset, size, stride, numel=16, key=b"0"):
    """A state_dict of one float32 tensor ``w`` as torch writes it, numbers as given."""
    sizes = b"(" + b"".join(map(number, size)) + b"t"
    strides = b"(" + b"".join(map(number, stride)) + b"t"
    return (
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(("
        b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX"
        + struct.pack("<I", len(key))
        + key
        + b"X\x03\x00\x00\x00cpu"
        + number(numel)
        + b"tQ"
        + number(offset)
        + sizes
        + strides
        + b"\x89ccollections\nOrderedDict\n)RtRs."
    )


def test_the_hand_made_pickle_is_right(tmp_path):
    path = archive(tmp_path / "a.pt", tensor_pickle(2, (2, 3), (4, 1)))
    assert open_checkpoint(path)["w"].strides == (4, 1)
    assert torch.load(path)["w"].stride() == (4, 1)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (17,), (1,)),
        (-1, (4,), (1,)),
        (13, (4,), (1,)),
        (0, (4,), (-1,)),
        (0, (-4,), (1,)),
        (0, (4, 4), (1,)),
        (0, (2,), (1 << 62,)),
        (0, (1 << 40,), (1,)),
        (0, (1 << 40,), (0,)),
        (0, (1 << 62, 1 << 62), (0, 0)),
        (0, (0, 1 << 62), (1, 1)),
        (1 << 62, (1,), (1,)),
        (0, (1,) * 40, (1,) * 40),
    ],
)
def test_tensor_outside_of_its_storage(tmp_path, offset, size, stride):
    with pytest.raises(CheckpointError, match=r"'w'"):
        open_checkpoint(archive(tmp_path / "a.pt", tensor_pickle(offset, size, stride)))


@pytest.mark.parametrize("numel", [17, 1 << 40, -1])
def test_storage_larger_than_its_entry(tmp_path, numel):
    with pytest.raises(CheckpointError):
        open_checkpoint(archive(tmp_path / "a.pt", tensor_pickle(0, (4,), (1,), numel)))


@pytest.mark.parametrize("key", [b"../../../etc/passwd", b"", b"0/../0", b"data.pkl", b"\xff\xfe"])
def test_storage_key_cannot_leave_the_archive(tmp_path, key):
    with pytest.raises(CheckpointError):
        open_checkpoint(archive(tmp_path / "a.pt", tensor_pickle(0, (4,), (1,), key=key)))


NESTED = 100_000
MANY = 60

BOMBS = {
    "deep lists": b"\x80\x02" + b"]" * NESTED + b"a" * (NESTED - 1) + b".",
    "deep dicts": b"\x80\x02" + b"}K\x00" * NESTED + b"}" + b"s" * NESTED + b".",
    "deep text dicts": b"\x80\x02" + b"}X\x01\x00\x00\x00a" * NESTED + b"}" + b"s" * NESTED + b".",
    "deep tuple as key": b"\x80\x02})" + b"\x85" * NESTED + b"Ns.",
    "doubling tuple as key": b"\x80\x02})" + b"2\x86" * MANY + b"Ns.",
    "doubling list": b"\x80\x02]" + b"".join(b"q%c](h%ch%ce" % (i, i, i) for i in range(MANY)) + b".",
    "doubling dict": b"\x80\x02}"
    + b"".join(b"q%c}(X\x01\x00\x00\x00ah%cX\x01\x00\x00\x00bh%cu" % (i, i, i) for i in range(MANY))
    + b".",
    "self in list": b"\x80\x02]q\x00h\x00a.",
    "self in dict": b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.",
    "self in state": b"\x80\x02cx\nY\n)\x81q\x00}X\x08\x00\x00\x00_modulesh\x00sb.",
    "module in itself": b"\x80\x02cx\nY\n)\x81q\x00}X\x08\x00\x00\x00_modules}X\x01\x00\x00\x00ah\x00ssb.",
    "module doubling": b"\x80\x02N"
    + b"".join(
        b"q%ccx\nY\n)\x81}X\x08\x00\x00\x00_modules}(X\x01\x00\x00\x00ah%cX\x01\x00\x00\x00bh%cusb" % (i, i, i)
        for i in range(MANY)
    )
    + b".",
    "huge memo index": b"\x80\x02}r\xff\xff\xff\xff.",
    "huge text memo index": b"}p99999999999999999999\n.",
    "unset memo": b"\x80\x02h\x07.",
    "huge bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",
    "huge text": b"\x80\x02X\xff\xff\xff\xffx.",
    "huge bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 62) + b"x.",
    "huge frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
    "huge long": b"\x80\x02\x8b" + struct.pack("<I", 100_000) + bytes(100_000) + b".",
    "long decimal": b"I" + b"9" * 100_000 + b"\n.",
    "extension registry": b"\x80\x02\x82\x01.",
    "out of band buffer": b"\x80\x05\x97.",
    "pop of nothing": b"\x80\x020.",
    "mark of nothing": b"\x80\x02t.",
    "reduce of nothing": b"\x80\x02R.",
    "reduce of a number": b"\x80\x02K\x01)R.",
    "reduce with a list": b"\x80\x02cx\ny\n]R.",
    "reduce of a dtype": b"\x80\x02ctorch\nfloat32\n)R.",
    "persistent id of nothing": b"\x80\x02NQ.",
    "persistent id in a list": b"\x80\x02]Q.",
    "colliding keys": b"\x80\x02}("
    + b"".join(b"\x8a\x0a" + (((1 << 61) - 1) * i).to_bytes(10, "little") + b"N" for i in range(1, 20_000))
    + b"u.",
    "protocol 99": b"\x80\x63N.",
    "no end": b"\x80\x02N",
    "nothing": b"",
}


@WRAPS
@pytest.mark.parametrize("name", BOMBS)
def test_bomb(tmp_path, wrap, name):
    path = wrap(tmp_path / "a.pt", BOMBS[name])
    if not name.startswith("deep"):
        tracemalloc.start()
    with pytest.raises(RemapError):
        open_checkpoint(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000_000


def test_duplicate_key_in_a_pickle(tmp_path):
    body = tensor_pickle(0, (2,), (1,))[:-2] + b"X\x01\x00\x00\x00wNu."
    with pytest.raises(CheckpointError, match="twice"):
        open_checkpoint(archive(tmp_path / "a.pt", body.replace(b"}X", b"}(X", 1)))


def test_entries_that_overlap(tmp_path):
    path = archive(tmp_path / "a.pt", tensor_pickle(0, (4,), (1,)), ("0", "1"))
    whole = path.read_bytes()
    at = [i for i in range(len(whole)) if whole.startswith(b"PK\x01\x02", i)]
    first = whole[at[1] + 42 : at[1] + 46]
    path.write_bytes(whole[: at[2] + 42] + first + whole[at[2] + 46 :])
    with pytest.raises(CheckpointError, match="reaches into"):
        open_checkpoint(path)


def test_entry_that_occurs_twice(tmp_path):
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("archive/data.pkl", tensor_pickle(0, (4,), (1,)))
        made.writestr("archive/data/0", bytes(64))
        made.writestr("archive/data/0", bytes(64))
    with pytest.raises(CheckpointError, match="two entries"):
        open_checkpoint(path)


def test_two_pickles_in_one_archive(tmp_path):
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a/data.pkl", tensor_pickle(0, (4,), (1,)))
        made.writestr("b/data.pkl", tensor_pickle(0, (4,), (1,)))
    with pytest.raises(CheckpointError, match=r"2 files called data.pkl"):
        open_checkpoint(path)


def test_zip_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "MAX_OPCODES", 1_000_000)
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("archive/data.pkl", b"\x80\x02" + b"N0" * 3_000_000 + b"N.")
    with pytest.raises(CheckpointError, match="operations"):
        open_checkpoint(path)


def test_inflates_to_more_than_the_directory_says(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.npy", b"\x93NUMPY" + bytes(10_000_000))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(struct.pack("<I", 10_000_006), struct.pack("<I", 1000)))
    with pytest.raises(CheckpointError):
        open_checkpoint(path)


def test_link_loop(tmp_path):
    (tmp_path / "a.pt").symlink_to(tmp_path / "b.pt")
    (tmp_path / "b.pt").symlink_to(tmp_path / "a.pt")
    with pytest.raises(CheckpointError):
        open_checkpoint(tmp_path / "a.pt")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "a.pt"}}))
    with pytest.raises(CheckpointError):
        open_checkpoint(index)


def test_only_data_is_imported_by_a_hostile_file(tmp_path):
    """Naming a module in a pickle does not import it."""
    body = pickle.dumps({"x": 1}, 2)[:-1] + b"canti" + b"gravity\nx\n0."
    path = archive(tmp_path / "a.pt", body)
    code = (
        "import sys; from remap.opening.open import open_checkpoint; from remap.errors import RemapError\n"
        f"try: open_checkpoint({str(path)!r})\nexcept RemapError: print('antigravity' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
