"""How the two networks are held beside each other: what is asked for, told once for Python and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from remap.planning.params import Scalar

if TYPE_CHECKING:
    from remap.proving.inputs import InputSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How the PyTorch model runs: what :func:`remap.record` can be asked.

    Args:
        inputs: ``float32[1,3,224,224]``, ``ids:input_ids=int64[1,16]<30522``, a ``.npz`` or ``.safetensors`` file; in
            PyTorch's layout. What is left out is inferred from the Keras model, where there is one.
        seed: For drawing inputs.
        float64: Whether all of it is in double precision, on both sides where there are two.
        calibrate: Whether a copy of the PyTorch model takes BatchNorm statistics of real activations first.
        torch_args: Arguments of the callable that names the PyTorch model.
    """

    inputs: Sequence[str | InputSpec] = ()
    seed: int = 0
    float64: bool = False
    calibrate: bool = False
    torch_args: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions(RunOptions):
    """What :func:`remap.verify` can be asked, beside what :class:`RunOptions` has.

    Args:
        samples: Size of the batch, where a shape is inferred.
        atol: Absolute tolerance, instead of the measured one.
        rtol: Tolerance relative to the largest value, likewise.
        odd_size: Whether images get an odd size, at which asymmetric and symmetric padding coincide.
        weights: A Keras weights file to load, instead of assigning what the rules make of the checkpoint.
        static: Whether settings are compared only; nothing runs then.
        params: Values for the rule file's parameters.
        allow_code: Whether the rule file may call functions of the user's.
        ignore_outputs: Outputs that are not looked at: by name, or by number where they have none; of either network,
            or of one with ``torch:`` or ``keras:`` before it.

    >>> VerifyOptions(inputs=["float32[1,4]"], float64=True).samples
    1
    """

    samples: int = 1
    atol: float | None = None
    rtol: float | None = None
    odd_size: bool = False
    weights: str | Path | None = None
    static: bool = False
    params: Mapping[str, Scalar] | None = None
    allow_code: bool = False
    ignore_outputs: Sequence[str] = ()
