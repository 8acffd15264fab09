"""The proof in sentences: verdict, weights, outputs, sight, the first divergence, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remap.proving.finding import Finding
from remap.proving.rows import Row
from remap.proving.verified import Verified
from remap.report.sizes import human_bytes

SHOWN = 5

VERDICTS = {
    "equal": "equal: the Keras model holds the weights, and computes what PyTorch computes",
    "nearly": "nearly equal: as near as single precision can tell, but not exact",
    "differ": "the outputs differ",
    "blind": "nothing is proved: the outputs hardly depend on the input",
    "weights": "the weights differ",
    "audited": "settings compared; nothing was run",
}

CONCLUSIONS = {
    "model": "the weights are right: it is the Keras model that computes something else",
    "weights": "the numbers of this layer are not where they belong: mend its rule, or write the file again",
    "torch": "the weights are right: the PyTorch side does not compute what it does in production",
    "rounding": "the weights are right, and so is what the model computes: what is left is rounding to float32",
    "unknown": "the weights are as the rules say; why the two part is not known",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the proof.

    Args:
        label: What it is about.
        text: What it says.
        good: Whether that is as it should be; None where it is neither.
    """

    label: str
    text: str
    good: bool | None = None


def headline(verified: Verified) -> str:
    """The verdict in a sentence; a divergence inside of equal outputs is named as such."""
    if verified.verdict == "differ" and not any(row.outcome == "differs" for row in verified.outputs):
        return "the outputs agree within the tolerance, but a layer computes something else"
    return VERDICTS[verified.verdict]


def proof_lines(verified: Verified) -> Iterator[Line]:
    """All that was found, one line a subject."""
    yield from _weights(verified)
    yield from (_output(row) for row in verified.outputs)
    if verified.outputs:
        yield Line("tolerance", verified.tolerance)
        yield _sight(verified)
    if verified.rows:
        yield _layers(verified)
    if verified.finding is not None:
        yield from _finding(verified)
        yield from _further(verified)
    yield from _untraced(verified)
    yield from (Line("note", note) for note in verified.notes)


def _weights(verified: Verified) -> Iterator[Line]:
    checked = verified.weights
    if checked is None:
        return
    if checked.equal:
        size = human_bytes(checked.nbytes)
        yield Line(
            "weights", f"equal: {checked.variables} variables, {size}, as the rules make them, bit for bit", True
        )
        return
    worst = ", ".join(
        f"{entry.name} ({entry.what if entry.what != 'values' else f'{entry.elements} elements'})"
        for entry in checked.differences[:SHOWN]
    )
    more = f" and {len(checked.differences) - SHOWN} more" if len(checked.differences) > SHOWN else ""
    count = f"{len(checked.differences)} of {checked.variables}"
    yield Line("weights", f"differ: {count} variables are not what the rules make: {worst}{more}", False)


def _output(row: Row) -> Line:
    if row.outcome == "not compared":
        return Line(f"output {row.layer}", f"not compared: {row.reason}", None)
    name = row.layer if row.layer.startswith("output") else f"output {row.layer}"
    if row.difference is None:
        return Line(name, f"differs: shape {row.shapes[1]}, and PyTorch's is {row.shapes[0]}", False)
    good = row.outcome == "equal"
    return Line(
        name,
        f"{'equal' if good else 'differs'}: largest difference {row.difference.largest:.2g}, relative "
        f"{row.difference.relative:.2g}, cosine {row.difference.cosine:.9f} (tolerance {row.tolerance:.2g})",
        good,
    )


def _sight(verified: Verified) -> Line:
    moved = verified.sight.moved
    if moved is None:
        return Line("sight", "not measured: the outputs of another input cannot be compared")
    if verified.sight.blind:
        return Line(
            "sight",
            f"another input moves the outputs by {moved:.1g} only (relative): equal outputs prove nothing; --calibrate "
            "gives a copy of the PyTorch model BatchNorm statistics of real activations first",
            False,
        )
    return Line("sight", f"another input moves the outputs by {moved:.2g} (relative)", True)


def _layers(verified: Verified) -> Line:
    compared = [row for row in verified.rows if row.outcome != "not compared"]
    equal = sum(row.outcome == "equal" for row in compared)
    return Line("layers", f"{equal} of {len(compared)} calls of layers equal", equal == len(compared))


def _finding(verified: Verified) -> Iterator[Line]:
    finding = verified.finding
    assert finding is not None
    index = next((n for n, row in enumerate(verified.rows, 1) if row.outcome == "differs"), None)
    at = f", row {index} of {len(verified.rows)}" if index is not None else ""
    yield Line("first divergence", f"{finding.layer} ({finding.kind}), against {finding.module}{at}", False)
    proof = "proved" if finding.proved else "not proved"
    yield Line("cause", f"{finding.cause or 'unknown'} ({proof}): {finding.text}", False)
    if finding.hint:
        yield Line("fix", finding.hint)
    moved = _moved_stride(verified)
    if moved:
        yield Line("note", moved)
    blame = finding.blame
    conclusion = CONCLUSIONS[blame]
    if blame == "model" and verified.weights is not None and not verified.weights.equal:
        conclusion = "this layer computes something else; the weights differ besides"
    yield Line("conclusion", conclusion)


def _further(verified: Verified) -> Iterator[Line]:
    """The layers that differ by themselves, one line for each cause."""
    by_cause: dict[tuple[str, bool], list[Finding]] = {}
    for finding in verified.further:
        by_cause.setdefault((finding.cause, finding.proved), []).append(finding)
    for (cause, proved), findings in by_cause.items():
        shown = ", ".join(f"{finding.layer} ({finding.kind})" for finding in findings[:SHOWN])
        more = f" and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
        told = f"{cause or 'unknown'} ({'proved' if proved else 'not proved'}): {findings[0].text}"
        yield Line("differs by itself", f"{shown}{more}, on PyTorch's own inputs: {told}", False)
    if any(row.alone is not None for row in verified.rows) and not verified.further:
        yield Line("after it", "every layer is equal on PyTorch's own inputs: it is the only divergence", True)


def _moved_stride(verified: Verified) -> str:
    """Whether a stride sits on another layer on the other side: ResNet v1 against v1.5."""
    if verified.finding is None or "stride" not in verified.finding.cause:
        return ""
    strides = [entry for entry in verified.audit if entry.setting == "strides"]
    here = [entry for entry in strides if entry.layer == verified.finding.layer]
    there = [entry for entry in strides if here and (entry.torch, entry.keras) == (here[0].keras, here[0].torch)]
    if not there:
        return ""
    return (
        f"the same stride sits on another layer: PyTorch has it at {there[0].module}, Keras at {here[0].layer} "
        "(in ResNets: v1.5 against v1)"
    )


def _untraced(verified: Verified) -> Iterator[Line]:
    by_reason: dict[str, list[str]] = {}
    for name, reason in verified.untraced.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        yield Line("not traced", f"{shown}: {reason}")
