"""The checkpoint of a ResNet-50 as torchvision names it, as a safetensors file whose numbers are a hole in the disk."""

from __future__ import annotations

import json
from pathlib import Path

BLOCKS = (3, 4, 6, 3)


def shapes() -> dict[str, tuple[int, ...]]:
    """Its 267 tensors, without the counters of batches."""
    found: dict[str, tuple[int, ...]] = {}

    def conv(name: str, bn: str, out: int, inside: int, size: int) -> None:
        found[f"{name}.weight"] = (out, inside, size, size)
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{bn}.{part}"] = (out,)

    conv("conv1", "bn1", 64, 3, 7)
    channels = 64
    for stage, count in enumerate(BLOCKS):
        width = 64 << stage
        for block in range(count):
            at = f"layer{stage + 1}.{block}"
            conv(f"{at}.conv1", f"{at}.bn1", width, channels, 1)
            conv(f"{at}.conv2", f"{at}.bn2", width, width, 3)
            conv(f"{at}.conv3", f"{at}.bn3", 4 * width, width, 1)
            if block == 0:
                conv(f"{at}.downsample.0", f"{at}.downsample.1", 4 * width, channels, 1)
            channels = 4 * width
    return found | {"fc.weight": (1000, 2048), "fc.bias": (1000,)}


def write(path: Path) -> Path:
    """The file; its numbers are zeros that take no room."""
    header, offset = {}, 0
    for name, shape in shapes().items():
        size = 4
        for axis in shape:
            size *= axis
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + offset)
    return path
