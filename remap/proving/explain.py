"""Why two networks part: suspicions are tried on the recorded input; one that makes the difference vanish is proved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from remap.planning.plan import Plan
from remap.proving.causes import all_trials
from remap.proving.difference import Tolerance
from remap.proving.disagreement import Disagreement
from remap.proving.forms import closest
from remap.proving.rows import Row
from remap.proving.site import Site, Step, find_site
from remap.proving.trial import Blame, Trial
from remap.sides.keras.side import KerasSide
from remap.sides.trace import Trace


@dataclass(frozen=True, slots=True)
class Finding:
    """A divergence, and what is known of its cause.

    Args:
        layer: The Keras layer where the two part.
        kind: Its class.
        module: What PyTorch computes there.
        cause: One or two words; empty if no suspicion held.
        text: The finding in a sentence.
        proved: Whether a trial made the difference vanish.
        blame: Whose fault it is.
        hint: What to do about it.
        before: Difference as it is, None where shapes differ.
        after: Difference under the suspicion.
    """

    layer: str
    kind: str
    module: str
    cause: str
    text: str
    proved: bool
    blame: Blame
    hint: str = ""
    before: float | None = None
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Networks:
    """Both networks as they ran.

    Args:
        torch: PyTorch's trace.
        side: The Keras side, live.
        plan: The plan.
        tolerance: How far values may be apart.
        audit: Settings that disagree, for a suspicion that cannot be proved.
    """

    torch: Trace
    side: KerasSide
    plan: Plan
    tolerance: Tolerance
    audit: Sequence[Disagreement]


def explain(row: Row, known: Mapping[int, int], both: Networks) -> Finding:
    """Find out why a row differs.

    Args:
        row: That row.
        known: Values of Keras that are equal to one of PyTorch, with its position.
        both: The networks.
    """
    site = find_site(row, known, both.torch, both.side, both.plan, both.tolerance)
    for trial in all_trials(site):
        found = _try(site, trial)
        if found is not None:
            return found
    return _unproved(site, both.audit)


def _try(site: Site, trial: Trial) -> Finding | None:
    try:
        with np.errstate(all="ignore"):
            value = trial.compute()
    except Exception as error:  # a layer that cannot run under the suspicion does not confirm it
        site.tried.append(f"{trial.text}: {type(error).__name__}")
        return None
    if trial.expected is not None:
        near = closest(value, trial.expected)
        after, event = (near[1].largest if near else None), site.events[-1] if site.events else None
        allowed = site.allowed(trial.expected, event.noise if event else None)
    else:
        held = site.against(value)
        after, event = (held[0].largest, held[1]) if held else (None, None)
        allowed = site.allowed(event.output, event.noise) if event else 0.0
    if after is None or after > allowed:
        return None
    step = site.steps[trial.step] if site.steps else None
    through = step is not None and event is not None and step is not site.steps[-1] and event is site.events[-1]
    before = _of_row(site) if through and trial.expected is None else _before(site, step, event)
    if before is not None and before <= allowed:
        return None
    layer = step.name if step else site.row.layer
    return Finding(
        layer,
        step.call.kind if step else site.row.kind,
        _title(site, event),
        trial.cause,
        _sentence(trial, site, layer if not through else site.row.layer, before, after, step, event),
        True,
        trial.blame,
        trial.hint,
        before,
        after,
    )


def _of_row(site: Site) -> float | None:
    return site.row.difference.largest if site.row.difference else None


def _before(site: Site, step: Step | None, event: Step | None) -> float | None:
    """The difference as it is, where the trial was held against."""
    if event is None:
        return None
    have = step.output if step is not None else site.unseen
    if have is None:
        return _of_row(site)
    near = closest(event.output, have, parts=site.row.pair is not None and site.row.pair.parts)
    if near is None and event is site.events[-1]:
        return _of_row(site)
    return near[1].largest if near else None


def _sentence(
    trial: Trial, site: Site, layer: str, before: float | None, after: float, step: Step | None, event: Step | None
) -> str:
    if trial.expected is not None:
        return f"before {layer}, {trial.text} (reproduced to {after:.1g})"
    others = f", and the other inputs of {', '.join(site.branches)} as PyTorch has them," if site.branches else ""
    if before is None:
        shapes = f"shapes {step.output.shape} and PyTorch's {event.output.shape}" if step and event else "other shapes"
        return f"with {trial.text}{others} the difference at {layer} falls from {shapes} to {after:.1g}"
    return f"with {trial.text}{others} the difference at {layer} falls from {before:.2g} to {after:.1g}"


def _title(site: Site, event: Step | None) -> str:
    return event.call.title if event is not None else site.row.module


def _unproved(site: Site, audit: Sequence[Disagreement]) -> Finding:
    row = site.row
    step = site.steps[site.blamed] if site.steps else None
    layer, kind = (step.name, step.call.kind) if step else (row.layer, row.kind)
    told = [entry for entry in audit if entry.layer in (layer, row.layer) and not entry.harmless]
    module = (
        _title(site, site.events[-1] if step is None or layer == row.layer else None) if site.events else row.module
    )
    before = _of_row(site)
    if told:
        entry = told[0]
        values = f"PyTorch {entry.torch}, Keras {entry.keras}"
        text = f"{entry.setting} disagrees at {entry.layer}: {values}; not proved by a trial"
        return Finding(entry.layer, row.kind, module, entry.setting, text, False, "model", before=before)
    lowered = site.lowered
    if lowered:
        text = f"{lowered}, while all else is in double precision; not proved by a trial"
        return Finding(layer, kind, module, "precision", text, False, "rounding", before=before)
    where = f"between {row.layer} and what comes before it: " if site.unseen is not None and row.pair else ""
    done = ", ".join(dict.fromkeys(event.kind for event in site.events)) or "nothing"
    text = f"{where}no suspicion held; PyTorch computes there: {done}"
    return Finding(layer, kind, module, "", text, False, "unknown", before=before)
