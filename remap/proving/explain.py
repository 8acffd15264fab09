"""Why two networks part: suspicions are tried on the recorded input; one that makes the difference vanish is proved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from remap.planning.plan import Plan
from remap.proving.cause import Cause
from remap.proving.causes import CAUSES, precision
from remap.proving.difference import Tolerance
from remap.proving.disagreement import Disagreement
from remap.proving.finding import Finding
from remap.proving.forms import closest
from remap.proving.rows import Row
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import FailedTrial, Trial
from remap.proving.walk import find_site
from remap.sides.feed import Feed
from remap.sides.keras.side import KerasSide
from remap.sides.trace import Trace


@dataclass(frozen=True, slots=True)
class Networks:
    """Both networks as they ran.

    Args:
        torch: PyTorch's trace.
        side: The Keras side, live.
        plan: The plan.
        tolerance: How far values may be apart.
        audit: Settings that disagree, for a suspicion that cannot be proved.
        feeds: Inputs on which the whole Keras model can run again; none where its run was changed on the way.
    """

    torch: Trace
    side: KerasSide
    plan: Plan
    tolerance: Tolerance
    audit: Sequence[Disagreement]
    feeds: Sequence[Feed] = ()


@dataclass(slots=True)
class Tried:
    """The trials of one place so far.

    Args:
        count: How many there were.
        failed: Those that could not run.
    """

    count: int = 0
    failed: list[FailedTrial] = field(default_factory=list)

    def fail(self, code: str, text: str, error: Exception) -> None:
        """Note a trial that could not run: it confirms nothing, and ends nothing."""
        self.failed.append(FailedTrial(code, text, f"{type(error).__name__}: {error}"))


def explain(row: Row, known: Mapping[int, int], both: Networks) -> Finding:
    """Find out why a row differs.

    Args:
        row: That row.
        known: Values of Keras that are equal to one of PyTorch, with its position.
        both: The networks.
    """
    tried = Tried()
    finding = _explained(row, known, both, tried)
    return replace(finding, tried=tried.count, failed=tuple(tried.failed))


def _explained(row: Row, known: Mapping[int, int], both: Networks, tried: Tried) -> Finding:
    try:
        site = find_site(row, known, both.torch, both.side, both.plan, both.tolerance)
    except Exception as error:
        tried.fail("", "the way back to the last values that agree", error)
        site = Site(row, [], [], both.torch, both.side, both.plan, both.tolerance)
    site.feeds = both.feeds
    for cause, trial in _suspicions(site, tried):
        try:
            finding = _held(site, cause, trial)
        except Exception as error:  # a layer that cannot run under the suspicion does not confirm it
            tried.fail(cause.code, trial.text, error)
            continue
        if finding is not None:
            return finding
    return _unproved(site, both.audit)


def _suspicions(site: Site, tried: Tried) -> Iterator[tuple[Cause, Trial]]:
    """Every trial of every cause; a cause that fails while it looks at the site is passed over."""
    for cause in CAUSES:
        try:
            trials = cause.trials(site)
            while (trial := next(trials, None)) is not None:
                tried.count += 1
                yield cause, trial
        except Exception as error:
            tried.fail(cause.code, "", error)


def _held(site: Site, cause: Cause, trial: Trial) -> Finding | None:
    """What a trial proves; None where it proves nothing.

    Raises:
        Exception: It cannot run; any.
    """
    with np.errstate(all="ignore"):
        value = trial.compute()
    if trial.expected is not None:
        near = closest(value, trial.expected)
        after, event = (near[1].largest if near else None), site.events[-1] if site.events else None
        allowed = site.allowed(trial.expected, event.noise if event else None)
    elif trial.against is not None:
        event = trial.against
        near = closest(event.output, value, parts=site.row.pair is not None and site.row.pair.parts)
        after, allowed = (near[1].largest if near else None), site.allowed(event.output, event.noise)
    else:
        held = site.against(value)
        after, event = (held[0].largest, held[1]) if held else (None, None)
        allowed = site.allowed(event.output, event.noise) if event else 0.0
    if after is None or after > allowed:
        return None
    step = site.steps[trial.step] if site.steps else None
    through = step is not None and event is not None and step is not site.steps[-1] and event is site.events[-1]
    whole = trial.against is not None and trial.against.output is site.torch.values[site.row.torch_value]
    before = _of_row(site) if (through and trial.expected is None) or whole else _before(site, step, event)
    if before is not None and before <= allowed:
        return None
    layer = trial.layer or (step.name if step else site.row.layer)
    return Finding(
        layer,
        step.call.kind if step else site.row.kind,
        _title(site, event),
        trial.title or cause.name,
        _sentence(trial, site, site.row.layer if through or whole else layer, before, after, step, event),
        True,
        trial.blame or cause.blame,
        cause.hint if trial.hint is None else trial.hint,
        before,
        after,
        cause.code,
        trial.also,
        crossing=trial.crossing,
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
    why = f"{trial.why}: " if trial.why else ""
    others = f", and the other inputs of {', '.join(site.branches)} as PyTorch has them," if site.branches else ""
    if before is None:
        shapes = f"shapes {step.output.shape} and PyTorch's {event.output.shape}" if step and event else "other shapes"
        return f"{why}with {trial.text}{others} the difference at {layer} falls from {shapes} to {after:.1g}"
    return f"{why}with {trial.text}{others} the difference at {layer} falls from {before:.2g} to {after:.1g}"


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
        return Finding(
            entry.layer, row.kind, module, entry.setting, text, False, "model", before=before, code=entry.code
        )
    lowered, cause = site.lowered, precision.CAUSE
    if lowered:
        double = site.tolerance.float64
        text = f"{lowered}, while all else is in {'double' if double else 'single'} precision; not proved by a trial"
        hint = cause.hint if double else precision.HALF_HINT
        return Finding(layer, kind, module, cause.name, text, False, cause.blame, hint, before=before, code=cause.code)
    where = f"between {row.layer} and what comes before it: " if site.unseen is not None and row.pair else ""
    done = ", ".join(dict.fromkeys(event.shown for event in site.events)) or "nothing"
    text = f"{where}no suspicion held; PyTorch computes there: {done}"
    return Finding(layer, kind, module, "", text, False, "unknown", before=before)
