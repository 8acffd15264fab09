"""BatchNorm, LayerNorm and their kin: epsilon, statistics not loaded, exchanged, or of the batch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import permutations

import numpy as np

from remap.proving.settings import torch_epsilon
from remap.proving.site import Site, Step
from remap.proving.trial import Trial
from remap.sides.keras.rerun import arrays_of, rerun

VECTORS = ("gamma", "beta", "moving_mean", "moving_variance")
STATISTICS = ("moving_mean", "moving_variance")
_FOLD = "give the Keras layer that epsilon, or let the rule file fold it: [batchnorm] on_mismatch = 'fold'"
_CHANGE = "give the Keras layer that epsilon: no weights can make up for it"


def trials(site: Site) -> Iterator[Trial]:
    """PyTorch's epsilon; PyTorch's statistics; those of the batch; the vectors exchanged."""
    for position, step in enumerate(site.steps):
        epsilon = getattr(step.layer, "epsilon", None)
        if epsilon is None or ("Normalization" not in step.call.kind and not _norms(site)):
            continue
        for event in _norms(site):
            wanted = torch_epsilon(event.settings)
            if wanted is not None and wanted != epsilon:
                yield Trial(
                    "epsilon",
                    f"epsilon {wanted:g} instead of {epsilon:g}",
                    partial(rerun, step.layer, step.inputs, {"epsilon": wanted}),
                    position,
                    hint=_FOLD if event.kind == "batch_norm" else _CHANGE,
                )
            yield from _groups(position, step, event)
        held = arrays_of(step.layer)
        if "BatchNormalization" in step.call.kind:
            yield from _statistics(site, position, step, held)
        yield from _exchanged(position, step, held)


def _groups(position: int, step: Step, event: Step) -> Iterator[Trial]:
    """PyTorch's number of groups, alone and with its epsilon; an instance is a group of one channel."""
    own = getattr(step.layer, "groups", None)
    groups = step.inputs[0].shape[-1] if event.kind == "instance_norm" else event.settings.get("num_groups")
    if own is None or groups in (None, own):
        return
    epsilon = torch_epsilon(event.settings) or step.layer.epsilon
    changes = [("groups", {"groups": groups}), ("groups and epsilon", {"groups": groups, "epsilon": epsilon})]
    for cause, settings in changes[: 1 + (epsilon != step.layer.epsilon)]:
        told = " and ".join(f"{name} {value:g}" for name, value in settings.items())
        compute = partial(rerun, step.layer, step.inputs, settings)
        yield Trial(cause, told, compute, position, hint="give the Keras layer that number of groups")


def _norms(site: Site) -> list[Step]:
    return [event for event in site.events if event.kind.endswith("_norm")]


def _statistics(site: Site, position: int, step: Step, held: dict[str, np.ndarray]) -> Iterator[Trial]:
    own = _checkpoint_statistics(site, held)
    if own:
        fresh = not np.any(held["moving_mean"]) and np.all(held["moving_variance"] == 1)
        exchanged = np.array_equal(held["moving_mean"], own["moving_variance"])
        cause = "statistics not loaded" if fresh else "statistics exchanged" if exchanged else "statistics"
        told = (
            "the checkpoint's statistics instead of zeros and ones"
            if fresh
            else "mean and variance exchanged"
            if exchanged
            else "the checkpoint's statistics"
        )
        yield Trial(cause, told, partial(rerun, step.layer, step.inputs, None, own), position, "weights")
    yield Trial(
        "batch statistics",
        "statistics of the batch instead of the stored ones",
        partial(_of_batch, step, held),
        position,
        hint="PyTorch tracks no statistics here: no weights make the two equal; call the layer with training=True",
    )


def _exchanged(position: int, step: Step, held: dict[str, np.ndarray]) -> Iterator[Trial]:
    names = [name for name in VECTORS if name in held]
    for order in permutations(names):
        changed = [f"{name} from {source}" for name, source in zip(names, order, strict=True) if name != source]
        if changed:
            swapped = {name: held[source] for name, source in zip(names, order, strict=True)}
            statistics = {name for name, source in zip(names, order, strict=True) if name != source} <= set(STATISTICS)
            yield Trial(
                "statistics exchanged" if statistics else "weights exchanged",
                f"{', '.join(changed)}",
                partial(rerun, step.layer, step.inputs, None, swapped),
                position,
                "weights",
                "mend the layout of the rule",
            )


def _checkpoint_statistics(site: Site, held: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The running statistics of the row's module, in the shapes of the layer; empty where they cannot be told."""
    found = {}
    for module in site.row.pair.modules if site.row.pair else ():
        for name, key in zip(STATISTICS, ("running_mean", "running_var"), strict=True):
            tensor = site.plan.checkpoint.get(f"{module}.{key}" if module else key)
            if tensor is not None and name in held and tensor.shape == held[name].shape:
                found[name] = np.array(tensor.array(), dtype=held[name].dtype)
    return found if len(found) == len(STATISTICS) else {}


def _of_batch(step: Step, held: dict[str, np.ndarray]) -> np.ndarray:
    x = step.inputs[0]
    axes = tuple(range(x.ndim - 1))
    y = (x - x.mean(axes)) / np.sqrt(x.var(axes) + step.layer.epsilon)
    return np.asarray(y * held.get("gamma", 1.0) + held.get("beta", 0.0))
