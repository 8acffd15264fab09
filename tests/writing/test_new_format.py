"""A format that only this file knows: one object, registered, and every command can use it."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import pytest
from safetensors.numpy import load_file

import remap
from remap.formats import registry
from remap.formats.contents import Contents
from remap.formats.format import Format, ReadBack, quoted
from remap.formats.sheet import FixedBytes, Region, Sheet, SheetFile
from remap.opening.anything import open_weights
from remap.tensors.dtypes import dtype_of
from remap.tensors.tensor import Tensor, dense_strides

MAGIC = b"FLATFILE"


@dataclass(frozen=True)
class Checksum:
    """The last four bytes: the CRC-32 of all before them."""

    size: int

    def pieces(self, read):
        yield FixedBytes(self.size, struct.pack("<I", zlib.crc32(read(0, 0, self.size))))


class Flat(Format):
    """A header of JSON, the variables' bytes, a checksum. Names have colons for slashes."""

    name = "flat"
    title = "flat file"
    suffixes = (".flat",)
    label = ".flat"
    is_target = True

    def recognise(self, file):
        return file.head.startswith(MAGIC)

    def read(self, file):
        length = int.from_bytes(file.blob.read(8, 4), "little")
        tensors = {}
        for name, (dtype, shape, offset) in json.loads(file.blob.read(12, length)).items():
            kind, shape = dtype_of(dtype), tuple(shape)
            storage = file.blob.storage(12 + length + offset, kind.itemsize * int(np.prod(shape)))
            tensors[name] = Tensor(name, shape, kind, dense_strides(shape), storage)
        return Contents(self.title, tensors)

    def lay_out(self, plan, out, options):
        header, offset = {}, 0
        for assignment in plan.assignments:
            header[self._own(assignment.name)] = (assignment.dtype.name, assignment.shape, offset)
            offset += assignment.nbytes
        text = json.dumps(header).encode()
        front = MAGIC + struct.pack("<I", len(text)) + text
        regions, start = [], len(front)
        for assignment in plan.assignments:
            regions.append(Region(assignment, start, assignment.dtype))
            start += assignment.nbytes
        return Sheet((SheetFile(out, start + 4, tuple(regions), (FixedBytes(0, front),), Checksum(start)),))

    def load_lines(self, plan, out, options):
        return f"weights = flat.load({quoted(out)})"

    def read_back(self, plan, path, restorer):
        records = open_weights(path)
        return ReadBack((name.replace(":", "/") for name in records), lambda name: records[self._own(name)].array())

    def places(self, name, variable):
        return (f"record {self._own(name)}",)

    def plain_names(self, names, inventory):
        return {name: name.replace(":", "/") for name in names}

    def _own(self, name):
        return name.replace("/", ":")


FLAT = Flat()


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(registry, "FORMATS", (*registry.FORMATS, f"{__name__}:FLAT"))


@pytest.fixture
def linear(fixtures):
    return fixtures / "linear/linear.toml", fixtures / "linear/linear.safetensors"


def test_it_is_not_known_unless_it_is_registered(linear, tmp_path):
    with pytest.raises(remap.RemapError, match="does not tell its format"):
        remap.apply(*linear, tmp_path / "w.flat")


def test_apply_writes_it_and_tells_the_lines_that_load_it(registered, linear, tmp_path, remap_command):
    ran = remap_command("apply", *linear, "-o", tmp_path / "w.flat")
    assert ran.code == 0, ran.err
    assert "weights = flat.load(" in ran.out
    data = (tmp_path / "w.flat").read_bytes()
    source = load_file(linear[1])
    assert struct.unpack("<I", data[-4:]) == (zlib.crc32(data[:-4]),)
    assert data[:-4].endswith(source["weight"].T.tobytes() + source["bias"].tobytes())


@pytest.mark.full
def test_it_is_proved_in_the_model_and_checked_again(registered, linear, fixtures, tmp_path, remap_command):
    model = f"{fixtures / 'linear/keras_model.py'}:build"
    ran = remap_command("apply", *linear, "-o", tmp_path / "w.flat", "--model", model)
    assert ran.code == 0, ran.err
    assert "2 variables as your rules say, bit for bit" in ran.out
    command = ("check", tmp_path / "w.flat", "--model", model, "--rules", linear[0], "--checkpoint", linear[1])
    assert remap_command(*command).code == 0
    data = bytearray((tmp_path / "w.flat").read_bytes())
    data[-6] ^= 1
    (tmp_path / "w.flat").write_bytes(data)
    ran = remap_command(*command)
    assert ran.code == 8
    assert "bias" in ran.err


def test_inspect_diff_and_explain_know_it(registered, linear, tmp_path, remap_command):
    remap.apply(*linear, tmp_path / "w.flat")
    shown = remap_command("inspect", tmp_path / "w.flat")
    assert "flat file" in shown.out
    assert "dense:kernel" in shown.out
    assert remap_command("diff", linear[1], tmp_path / "w.flat", "--rules", linear[0]).code == 0
    remap.apply(*linear, tmp_path / "w.npz")
    assert remap_command("diff", tmp_path / "w.flat", tmp_path / "w.npz").code == 0
    assert "lies in   .flat: record dense:kernel" in remap_command("explain", *linear, "dense/kernel").out


def test_it_is_no_checkpoint_to_convert_from(registered, linear, tmp_path):
    remap.apply(*linear, tmp_path / "w.flat")
    with pytest.raises(remap.RemapError, match="not a checkpoint"):
        remap.open_checkpoint(tmp_path / "w.flat")


def test_a_format_named_on_the_command_line_must_suit_the_name(registered, linear, tmp_path, remap_command):
    ran = remap_command("apply", *linear, "-o", tmp_path / "w.npz", "--format", "flat")
    assert ran.code == 2
    assert "a name that ends in .flat" in ran.err


def test_formats_have_names_of_their_own():
    names = [form.name for form in registry.formats()]
    assert len(set(names)) == len(names)
    assert {form.name for form in registry.written_formats()} <= set(names)
