"""A normalisation over another number of groups of channels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from remap.proving.cause import Cause
from remap.proving.causes import epsilon
from remap.proving.numerics.normalisation import normalisations
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.keras.realise import setting
from remap.sides.operation import CHANNELS, Settings


def trials(site: Site) -> Iterator[Trial]:
    """PyTorch's number of groups, alone and with its epsilon; an instance is a group of one channel."""
    for norm in normalisations(site):
        step, own = norm.step, setting(norm.step.layer, "groups")
        for event in norm.events if own is not None else ():
            told = event.settings.get("groups")
            groups = step.inputs[0].shape[-1] if told == CHANNELS else told
            if groups in (None, own):
                continue
            compute = partial(step.rerun, {"groups": groups})
            yield Trial(f"groups {groups}", compute, norm.position)
            small = event.settings.get("epsilon") or norm.epsilon
            if small != norm.epsilon:
                yield Trial(
                    f"groups {groups} and epsilon {small:g}",
                    partial(step.rerun, {"groups": groups, "epsilon": small}),
                    norm.position,
                    title=f"{CAUSE.name} and {epsilon.CAUSE.name}",
                    also=(epsilon.CAUSE.code,),
                )


def differs(torch: Settings, keras: Settings) -> tuple[str, str] | None:
    """Both numbers of groups; one for each channel differs from one alone."""
    theirs, ours = torch.get("groups"), keras.get("groups")
    if theirs == CHANNELS:
        return ("one for each channel", "1") if ours == 1 else None
    return None if theirs in (None, ours) or ours in (None, CHANNELS) else (str(theirs), str(ours))


CAUSE = Cause(
    "V202",
    "groups",
    "the two normalise another number of groups of channels",
    "model",
    "give the Keras layer that number of groups",
    trials,
    differs,
)
