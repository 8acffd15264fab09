"""The Python interface of the proof: hold a Keras model beside the PyTorch model, or record the PyTorch side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remap.arguments import CheckpointLike, Model, Rules, model_source
from remap.errors import UsageError
from remap.proving.options import RunOptions, VerifyOptions

if TYPE_CHECKING:
    from remap.proving.verified import Verified
    from remap.sides.reference import Reference

__all__ = ["record", "verify"]


def verify(
    rules: Rules,
    checkpoint: CheckpointLike,
    model: Model,
    torch: Any,
    options: VerifyOptions | None = None,
    **settings: Any,
) -> Verified:
    """Hold the converted Keras model beside the PyTorch model: weights, outputs, every layer.

    Args:
        rules: See :func:`remap.plan`.
        checkpoint: See :func:`remap.plan`; it is loaded into the PyTorch model strictly. A model that holds the same
            tensors already under names of its own, as one whose builder loaded them, is taken as it is.
        model: See :data:`remap.arguments.Model`. A live model is taken as it is, with the weights that it holds; any
            other is built anew and given what the rules make of the checkpoint.
        torch: The PyTorch model: ``package.module:callable``, ``file.py:callable``, a TorchScript file, a ``.pt2``
            file, a recording (:func:`record`), or a live module.
        options: What is asked for.
        **settings: Fields of :class:`~remap.proving.options.VerifyOptions` by name, which come before ``options``:
            ``inputs``, ``samples``, ``seed``, ``atol``, ``rtol``, ``float64``, ``calibrate``, ``odd_size``,
            ``weights``, ``static``, ``params``, ``torch_args``, ``allow_code``, ``ignore_outputs``.

    Returns:
        What was found: ``verdict``, ``proved``, ``outputs`` and ``rows`` with differences, ``finding`` (the first
        divergence with its cause), ``further`` (every later one), ``audit``.

    Raises:
        RemapError: One of the two does not build or run, or the account does not close.

    >>> folder = "fixtures/conv_bn/"
    >>> rules, checkpoint = folder + "conv_bn.toml", folder + "conv_bn.safetensors"
    >>> network = folder + "torch_model.py:build"
    >>> verify(rules, checkpoint, folder + "keras_model.py:build", network, samples=2).verdict
    'equal'
    >>> from remap.sides.keras.spec import load_model_builder
    >>> padded = load_model_builder(folder + "keras_model.py:build", {"padding": "same"})
    >>> result = verify(rules, checkpoint, padded, network)
    >>> result.verdict, result.finding.layer, result.finding.cause, result.finding.blame
    ('differ', 'conv', 'padding', 'model')
    """
    from remap.proving.run import verify as hold

    return hold(rules, checkpoint, model_source(model), torch, replace(options or VerifyOptions(), **settings))


def record(
    torch: Any,
    checkpoint: Any,
    out: str | Path,
    inputs: Sequence[str] = (),
    options: RunOptions | None = None,
    *,
    rules: Rules | None = None,
    force: bool = False,
    **settings: Any,
) -> Reference:
    """Run the PyTorch model where PyTorch lives, for :func:`verify` where it does not.

    Args:
        torch: See :func:`verify`.
        checkpoint: Its weights: a path, or a checkpoint that is open.
        out: The recording, a ``.safetensors`` file: inputs, outputs, and what every module and function made of them.
        inputs: See :class:`~remap.proving.options.RunOptions`; here there is no Keras model to infer them from.
        options: What is asked for.
        rules: The rule file, where the checkpoint's names have prefixes, or its tensors a root, that it tells.
        force: Whether an existing file is replaced.
        **settings: Fields of :class:`~remap.proving.options.RunOptions` by name, which come before ``options``:
            ``seed``, ``float64``, ``calibrate``, ``torch_args``.

    Raises:
        RemapError: The file exists or cannot be written, or the model does not build or run.
    """
    from remap.proving.record import record as run
    from remap.proving.recording import is_recording, save_recording
    from remap.writing.staging import check_free, replacing

    path = Path(out)
    if not is_recording(str(out)):
        raise UsageError("a recording is a .safetensors file", found=str(out))
    check_free(path, force)
    wanted = replace(options or RunOptions(), **settings)
    reference = run(torch, checkpoint, replace(wanted, inputs=inputs or wanted.inputs), rules)
    with replacing(path) as file:
        save_recording(reference, file)
    return reference
