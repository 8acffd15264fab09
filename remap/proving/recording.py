"""A recording: the PyTorch side of a comparison in one safetensors file, to be used where there is no PyTorch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from remap.errors import CheckpointError
from remap.sides.feed import Feed
from remap.sides.operation import Operation
from remap.sides.reference import Reference, TracedModule
from remap.sides.torch.operations import described
from remap.sides.trace import Call, Trace

FORMAT = 1
KEY = "remap.recording"


def is_recording(spec: str) -> bool:
    """Whether a TORCH argument names a recording.

    >>> is_recording("ref.safetensors"), is_recording("model.py:build")
    (True, False)
    """
    return spec.endswith(".safetensors")


def save_recording(reference: Reference, path: Path) -> None:
    """Write a reference: arrays as tensors, the rest as JSON in the header."""
    from safetensors.numpy import save_file

    tensors = {f"value/{index}": array for index, array in enumerate(reference.trace.values)}
    for feed in reference.feeds:
        tensors |= {f"input/{feed.name}/torch": feed.torch, f"input/{feed.name}/keras": feed.keras}
    tensors |= {f"other/{index}": array for index, array in enumerate(reference.other_outputs)}
    tensors |= {f"calibrated/{name}": array for name, array in reference.calibrated.items()}
    trace = reference.trace
    about = {
        "format": FORMAT,
        "source": reference.source,
        "float64": reference.float64,
        "feeds": [{"name": feed.name, "torch_name": feed.torch_name, "drawn": feed.drawn} for feed in reference.feeds],
        "modules": {path: asdict(module) for path, module in reference.modules.items()},
        "calls": [asdict(call) for call in trace.calls],
        "outputs": trace.outputs,
        "noise": {str(value): noise for value, noise in trace.noise.items()},
        "untraced": trace.untraced,
        "others": len(reference.other_outputs),
    }
    save_file(
        {name: np.ascontiguousarray(array) if array.ndim else array for name, array in tensors.items()},
        path,
        metadata={KEY: json.dumps(about)},
    )


def load_recording(path: Path) -> Reference:
    """Read what :func:`save_recording` wrote.

    Raises:
        CheckpointError: The file is missing, damaged, or no recording.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get(KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()} if about else {}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError("cannot read the recording", where=str(path), found=str(error)) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CheckpointError(
            "the file is no recording",
            where=str(path),
            expected="a file written by 'remap record'",
            fix="the PyTorch model itself is named as package.module:callable or file.py:callable",
        )
    return _reference(about, tensors)


def _reference(about: dict[str, Any], tensors: dict[str, np.ndarray]) -> Reference:
    values = [tensors[f"value/{index}"] for index in range(sum(name.startswith("value/") for name in tensors))]
    trace = Trace(
        [Call(**call | _described(call)) for call in about["calls"]],
        values,
        [(name, value) for name, value in about["outputs"]],
        {int(value): noise for value, noise in about["noise"].items()},
        dict(about["untraced"]),
    )
    feeds = [
        Feed(
            feed["name"],
            feed["torch_name"],
            tensors[f"input/{feed['name']}/torch"],
            tensors[f"input/{feed['name']}/keras"],
            feed.get("drawn", ""),
        )
        for feed in about["feeds"]
    ]
    modules = {
        path: TracedModule(kind=module["kind"], tensors=tuple(module["tensors"]), **_described(module))
        for path, module in about["modules"].items()
    }
    calibrated = {name.removeprefix("calibrated/"): a for name, a in tensors.items() if name.startswith("calibrated/")}
    others = [tensors[f"other/{index}"] for index in range(about["others"])]
    return Reference(about["source"], feeds, trace, modules, others, about["float64"], calibrated)


def _described(entry: dict[str, Any]) -> dict[str, Any]:
    """What a call or module computes. Recordings of the first kind have PyTorch's own words alone, as ``settings``."""
    if "told" in entry:
        operation, settings, told = Operation(entry["operation"]), _as_tuples(entry["settings"]), entry["told"]
    else:
        told = entry["settings"]
        operation, settings = described((entry["kind"],), told)
    return {"operation": operation, "settings": settings, "told": told}


def _as_tuples(value: Any) -> Any:
    """What JSON made lists of, as it was."""
    if isinstance(value, dict):
        return {key: _as_tuples(inner) for key, inner in value.items()}
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
