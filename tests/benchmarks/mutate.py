"""Damages small files of every format at random and reads them: what is refused, read, crashes, hangs or takes memory.

    python tests/benchmarks/mutate.py [INPUTS] [--seed N] [--reader NAME ...]

Each reader works through its inputs in a process with limits of memory and time; where that dies, the input counts as
a crash and the next process goes on behind it.
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "opening"))

from flax_file import FILE as FLAX_FILE
from hostile_files import archive, in_dict, safetensors, text

from remap.errors import RemapError
from remap.formats.tensorflow.bundle import BundleEntry, index_table
from remap.opening.anything import open_weights

ADDRESS_SPACE, SECONDS = 4 << 30, 60
SLOW, MUCH = 3.0, 200_000
"""Seconds of a processor and kilobytes from which an input of some kilobytes is told of."""


def torch_zip(path: Path) -> Path:
    return archive(path, in_dict(b"]" + text("a") + b"a"))


def torch_legacy(path: Path) -> Path:
    from hostile_files import TENSOR

    head = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}" + text("little_endian") + b"\x88s."
    body = b"\x80\x02}" + text("w") + TENSOR.replace(b"tQ", b"NtQ", 1) + b"s.\x80\x02]" + text("0") + b"a."
    path.write_bytes(head + body + struct.pack("<q", 4) + bytes(16))
    return path


def plain_pickle(path: Path) -> Path:
    path.write_bytes(pickle.dumps({"model": {"a": np.arange(3.0), "b": np.ones((2, 3), "f4")}, "step": 3}, 4))
    return path


def st(path: Path) -> Path:
    return safetensors(path, ["a.weight", "a.bias", "b"])


def npz(path: Path) -> Path:
    path = path.with_suffix(".npz")
    np.savez(path, a=np.arange(6.0).reshape(2, 3), b=np.arange(3))
    return path


def npz_deflated(path: Path) -> Path:
    path = path.with_suffix(".npz")
    np.savez_compressed(path, a=np.arange(60.0).reshape(2, 30), b=np.arange(3))
    return path


def flax(path: Path) -> Path:
    path.write_bytes(FLAX_FILE.read_bytes())
    return path


def shards_index(path: Path) -> Path:
    st(path.with_name("x"))
    path = path.with_name("model.safetensors.index.json")
    path.write_text(json.dumps({"weight_map": dict.fromkeys(["a.weight", "a.bias", "b"], "x.safetensors")}))
    return path


def weights_h5(path: Path, **packing: object) -> Path:
    with h5py.File(path, "w") as file:
        file.create_group("vars")
        for number, shape in enumerate([(3, 4), (4,), (20, 5)]):
            data = np.arange(np.prod(shape), dtype="f4").reshape(shape)
            file.create_dataset(f"layers/dense_{number}/vars/0", data=data, **packing)
    return path


def packed_h5(path: Path) -> Path:
    return weights_h5(path, compression="gzip", shuffle=True, fletcher32=True, chunks=True)


def legacy_h5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"a", b"b"])
        for layer in "ab":
            file.create_group(layer).attrs["weight_names"] = np.array([f"{layer}/kernel:0".encode()])
            file.create_dataset(f"{layer}/{layer}/kernel:0", data=np.ones((3, 4), "f4"))
    return path


def newest_h5(path: Path) -> Path:
    """The layout of later HDF5 versions, whose structures are others."""
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("a/vars/0", data=np.ones((40, 40)), chunks=(10, 10), compression="gzip")
        file.create_dataset("a/vars/1", data=np.ones(40), chunks=(10,), maxshape=(None,))
        file["a/vars/2"] = np.ones(40)
    return path


def keras(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("config.json", "{}")
        made.write(weights_h5(path.with_name("inner")), "model.weights.h5")
    return path


def weights_json(path: Path) -> Path:
    weights_h5(path.with_name("w_00000.weights.h5"))
    path = path.with_name("w.weights.json")
    path.write_text(json.dumps({"weight_map": {f"/layers/dense_{n}/vars": "w_00000.weights.h5" for n in range(3)}}))
    return path


def tf_index(path: Path) -> Path:
    entries = {f"layer_{number}/kernel": BundleEntry(1, (number + 1, 2), 0, 8 * number + 8, 0) for number in range(40)}
    path.with_name("ck.data-00000-of-00001").write_bytes(bytes(400))
    path = path.with_name("ck.index")
    path.write_bytes(index_table(entries))
    return path


READERS: dict[str, Callable[..., Path]] = {
    make.__name__: make
    for make in (
        torch_zip,
        torch_legacy,
        plain_pickle,
        st,
        npz,
        npz_deflated,
        flax,
        shards_index,
        weights_h5,
        packed_h5,
        legacy_h5,
        newest_h5,
        keras,
        weights_json,
        tf_index,
    )
}


def mutated(whole: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, or a run of them cut off, left out, repeated or overwritten by an extreme number."""
    data = bytearray(whole)
    kind, at = chance.randrange(5), chance.randrange(len(data))
    if kind == 0:
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == 1:
        del data[at : at + chance.randint(1, 16)]
    elif kind == 2:
        data[at:at] = data[at : at + chance.randint(1, 64)]
    elif kind == 3:
        extreme = chance.choice([b"\xff" * 4, b"\xff" * 8, b"\0" * 4, b"\x7f" + b"\xff" * 7, b"\0\0\0\x80"])
        data[at : at + len(extreme)] = extreme
    else:
        del data[at:]
    return bytes(data)


def mutate_archive(whole: bytes, chance: random.Random) -> bytes:
    """The pickle in an archive changed: changes that hit the archive at random mostly break the archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, mutated(data, chance) if name.endswith(".pkl") else data)
    return stream.getvalue()


def work(reader: str, seed: int, start: int, stop: int) -> None:
    """Read inputs and tell of each in a line: its number, what came of it, seconds and kilobytes."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    with tempfile.TemporaryDirectory() as folder:
        path = READERS[reader](Path(folder) / "sample")
        whole = path.read_bytes()
        open_weights(path)
        for number in range(start, stop):
            resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + SECONDS, resource.RLIM_INFINITY))
            chance = random.Random(f"{reader} {seed} {number}")
            inner = reader == "torch_zip" and chance.random() < 0.8
            path.write_bytes((mutate_archive if inner else mutated)(whole, chance))
            before, started = _kilobytes(), time.process_time()
            try:
                for tensor in open_weights(path, dequantize=True).values():
                    tensor.array().tobytes()
                outcome = "read"
            except RemapError as error:
                str(error).encode()
                outcome = "refused"
            print(number, outcome, time.process_time() - started, _kilobytes() - before, flush=True)


def _kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def outcomes(reader: str, inputs: int, seed: int) -> Iterator[tuple[int, str, float, int]]:
    """What came of each input, in turn."""
    number = 0
    while number < inputs:
        command = [sys.executable, __file__, "--work", reader, str(seed), str(number), str(inputs)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert worker.stdout is not None
        for line in worker.stdout:
            at, outcome, seconds, kilobytes = line.split()
            number = int(at) + 1
            yield int(at), outcome, float(seconds), int(kilobytes)
        if worker.wait():
            yield number, "crashed", 0.0, 0
            number += 1


def main(arguments: list[str]) -> int:
    """Print the table; how many inputs crashed, were slow or took much memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="?", type=int, default=1000, help="of each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", choices=READERS)
    asked = parser.parse_args(arguments)
    print(f"{'reader':14} {'inputs':>7} {'refused':>8} {'read':>7} {'crashed':>8} {'slow':>5} {'memory':>9}")
    bad: list[str] = []
    for reader in asked.reader or READERS:
        counts: Counter[str] = Counter()
        most = 0
        for number, outcome, seconds, kilobytes in outcomes(reader, asked.inputs, asked.seed):
            counts[outcome] += 1
            counts["slow"] += seconds > SLOW
            most = max(most, kilobytes)
            if outcome == "crashed" or seconds > SLOW or kilobytes > MUCH:
                bad.append(f"{reader}, input {number} of seed {asked.seed}: {outcome}, {seconds:.1f} s, {kilobytes} KB")
        cells = [counts[key] for key in ("refused", "read", "crashed", "slow")]
        refused, read, crashed, slow = cells
        print(f"{reader:14} {asked.inputs:7} {refused:8} {read:7} {crashed:8} {slow:5} {most:6} KB", flush=True)
    print("\n".join(bad))
    return len(bad)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        sys.exit(min(main(sys.argv[1:]), 1))
