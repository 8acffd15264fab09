"""The Python interface of the proof: hold a Keras model beside the PyTorch model, or record the PyTorch side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remap.arguments import CheckpointLike, Model, Rules, model_source
from remap.errors import UsageError
from remap.planning.params import Scalar

if TYPE_CHECKING:
    from remap.proving.verified import Verified
    from remap.sides.reference import Reference

__all__ = ["record", "verify"]


def verify(
    rules: Rules,
    checkpoint: CheckpointLike,
    model: Model,
    torch: Any,
    *,
    inputs: Sequence[str] = (),
    samples: int = 1,
    seed: int = 0,
    atol: float | None = None,
    rtol: float | None = None,
    float64: bool = False,
    calibrate: bool = False,
    odd_size: bool = False,
    weights: str | Path | None = None,
    static: bool = False,
    params: Mapping[str, Scalar] | None = None,
    torch_args: Mapping[str, object] | None = None,
    allow_code: bool = False,
) -> Verified:
    """Hold the converted Keras model beside the PyTorch model: weights, outputs, every layer.

    Args:
        rules: See :func:`remap.plan`.
        checkpoint: See :func:`remap.plan`; it is loaded into the PyTorch model strictly.
        model: See :data:`remap.arguments.Model`. A live model is taken as it is, with the weights that it holds; any
            other is built anew and given what the rules make of the checkpoint.
        torch: The PyTorch model: ``package.module:callable``, ``file.py:callable``, a TorchScript file, a ``.pt2``
            file, a recording (:func:`record`), or a live module.
        inputs: ``float32[1,3,224,224]``, ``ids:input_ids=int64[1,16]<30522``, a ``.npz`` or ``.safetensors`` file;
            in PyTorch's layout. What is left out is inferred from the Keras model.
        samples: Size of the batch, where a shape is inferred.
        seed: For drawing inputs.
        atol: Absolute tolerance, instead of the measured one.
        rtol: Tolerance relative to the largest value, likewise.
        float64: Whether both sides compute in double precision.
        calibrate: Whether a copy of the PyTorch model takes BatchNorm statistics of real activations first.
        odd_size: Whether images get an odd size, at which asymmetric and symmetric padding coincide.
        weights: A Keras weights file to load, instead of assigning what the rules make of the checkpoint.
        static: Whether settings are compared only; nothing runs then.
        params: See :func:`remap.plan`.
        torch_args: Arguments of the callable that ``torch`` names.
        allow_code: See :func:`remap.plan`.

    Returns:
        What was found: ``verdict``, ``proved``, ``outputs`` and ``rows`` with differences, ``finding`` (the first
        divergence with its cause), ``further`` (every later one), ``audit``.

    Raises:
        RemapError: One of the two does not build or run, or the account does not close.

    >>> folder = "fixtures/conv_bn/"
    >>> rules, checkpoint = folder + "conv_bn.toml", folder + "conv_bn.safetensors"
    >>> network = folder + "torch_model.py:build"
    >>> verify(rules, checkpoint, folder + "keras_model.py:build", network).verdict
    'equal'
    >>> from remap.sides.keras.spec import load_model_builder
    >>> padded = load_model_builder(folder + "keras_model.py:build", {"padding": "same"})
    >>> found = verify(rules, checkpoint, padded, network)
    >>> found.verdict, found.finding.layer, found.finding.cause, found.finding.blame
    ('differ', 'conv', 'padding', 'model')
    """
    from remap.proving.run import static_audit
    from remap.proving.run import verify as hold
    from remap.sides.keras.layers import is_model

    settings: dict[str, Any] = {"params": params, "torch_args": torch_args, "allow_code": allow_code}
    if static:
        return static_audit(rules, checkpoint, model_source(model), torch, **settings)
    return hold(
        rules,
        checkpoint,
        model_source(model),
        torch,
        inputs=inputs,
        samples=samples,
        seed=seed,
        atol=atol,
        rtol=rtol,
        float64=float64,
        calibrate=calibrate,
        odd_size=odd_size,
        weights=weights,
        as_it_is=is_model(model),
        **settings,
    )


def record(
    torch: Any,
    checkpoint: Any,
    out: str | Path,
    inputs: Sequence[str],
    *,
    seed: int = 0,
    float64: bool = False,
    calibrate: bool = False,
    torch_args: Mapping[str, object] | None = None,
    force: bool = False,
) -> Reference:
    """Run the PyTorch model where PyTorch lives, for :func:`verify` where it does not.

    Args:
        torch: See :func:`verify`.
        checkpoint: Its weights: a path, or a checkpoint that is open.
        out: The recording, a ``.safetensors`` file: inputs, outputs, and what every module and function made of them.
        inputs: See :func:`verify`; here there is no Keras model to infer them from.
        seed: For drawing inputs.
        float64: Whether it runs in double precision.
        calibrate: See :func:`verify`.
        torch_args: See :func:`verify`.
        force: Whether an existing file is replaced.

    Raises:
        RemapError: The file exists or cannot be written, or the model does not build or run.
    """
    from remap.proving.recording import is_recording, save_recording
    from remap.proving.run import record as run
    from remap.writing.staging import check_free, replacing

    path = Path(out)
    if not is_recording(str(out)):
        raise UsageError("a recording is a .safetensors file", found=str(out))
    check_free(path, force)
    reference = run(torch, checkpoint, inputs, seed=seed, float64=float64, calibrate=calibrate, torch_args=torch_args)
    with replacing(path) as file:
        save_recording(reference, file)
    return reference
