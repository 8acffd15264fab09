"""The proof in sentences: verdict, weights, outputs, sight, the first divergence, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remap.checking.compare import VariableFault
from remap.proving.causes import stride
from remap.proving.finding import Finding
from remap.proving.rows import Outcome, Row
from remap.proving.trial import FailedTrial
from remap.proving.verified import Verified
from remap.report.sizes import human_bytes

SHOWN = 5

VERDICTS = {
    "equal": "equal: the Keras model holds the weights, and computes what PyTorch computes",
    "nearly": "nearly equal: as near as single precision can tell, but not exact",
    "differ": "the outputs differ",
    "incomplete": "not all is proved: an output was held against nothing",
    "order": "the outputs are equal, but stand in another order",
    "blind": "nothing is proved: the outputs hardly depend on the input",
    "weights": "the weights differ",
    "audited": "settings compared; nothing was run",
}

CONCLUSIONS = {
    "model": "the weights are right: it is the Keras model that computes something else",
    "weights": "the numbers of this layer are not where they belong: mend its rule",
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
        aside: Whether it matters only where something is wrong.
    """

    label: str
    text: str
    good: bool | None = None
    aside: bool = False


def headline(verified: Verified) -> str:
    """The verdict in a sentence; a divergence inside of equal outputs is named as such."""
    if verified.verdict == "differ" and not any(row.outcome == Outcome.DIFFERS for row in verified.outputs):
        return "the outputs agree within the tolerance, but a layer computes something else"
    if verified.verdict == "differ" and verified.guessed:
        return "the outputs differ on an input that may not be one"
    return VERDICTS[verified.verdict]


def failure(verified: Verified) -> str:
    """What speaks against the conversion, in a sentence; empty where it is the lines that tell."""
    if verified.finding is not None:
        return verified.finding.text
    return "; ".join(line.text for line in _unheld(verified) if line.good is False) or ", ".join(
        f"{row.layer}: {row.reason}" for row in verified.uncompared
    )


def proof_lines(verified: Verified) -> Iterator[Line]:
    """All that was found, one line a subject."""
    yield from _weights(verified)
    for text, drawn in zip(verified.inputs, verified.drawn, strict=True):
        yield Line("input", f"{text}: {drawn}" if drawn else text)
    yield from _guessed(verified)
    yield from (_output(row) for row in verified.outputs)
    yield from _unheld(verified)
    if verified.outputs:
        yield Line("tolerance", verified.tolerance, aside=True)
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
        f"{entry.name} ({f'{entry.elements} elements' if entry.what is VariableFault.VALUES else entry.what})"
        for entry in checked.differences[:SHOWN]
    )
    more = f" and {len(checked.differences) - SHOWN} more" if len(checked.differences) > SHOWN else ""
    count = f"{len(checked.differences)} of {checked.variables}"
    yield Line("weights", f"differ: {count} variables are not what the rules make: {worst}{more}", False)


def _output(row: Row) -> Line:
    name = f"output {row.layer}" if row.named else row.layer
    if row.outcome == Outcome.NOT_COMPARED:
        return Line(name, f"not compared: {row.reason}", None if row.accounted else False)
    if row.difference is None:
        return Line(name, f"differs: shape {row.shapes[1]}, and PyTorch's is {row.shapes[0]}", False)
    good = row.outcome == Outcome.EQUAL
    told = f"equal{f', {row.reason}' if row.reason else ''}" if good else "differs"
    return Line(
        name,
        f"{told}: largest difference {row.difference.largest:.2g}, relative "
        f"{row.difference.relative:.2g}, cosine {row.difference.cosine:.9f} (tolerance {row.tolerance:.2g})",
        good,
    )


def _guessed(verified: Verified) -> Iterator[Line]:
    """That an input may not be one, and how to say what it is."""
    if not verified.guessed:
        return
    names = ", ".join(verified.guessed)
    if verified.likelier:
        lines = " ".join(f"--input '{text}'" for text in verified.likelier)
        yield Line("input", f"nothing tells what {names} is: drawn as the next line says, the outputs are equal", False)
        yield Line("fix", lines)
        return
    kinds = "ids[1,16]<VOCABULARY, mask[1,16], positions[1,16], types[1,16]<2, lengths[1]<17"
    yield Line(
        "input", f"nothing tells what {names} is, so that it may not be an input that the network can have", False
    )
    yield Line("fix", f"say what it is: --input 'NAME=KIND[SHAPE]' with one of {kinds}")


def _unheld(verified: Verified) -> Iterator[Line]:
    """What became of outputs that no row can tell: those left out, in another order, or without a counterpart."""
    if verified.ignored:
        yield Line("not looked at", f"outputs {', '.join(verified.ignored)}, as --ignore-output says")
    if verified.exchanged:
        pairs = ", ".join(f"Keras's output {ours} is PyTorch's {theirs}" for ours, theirs in verified.exchanged)
        yield Line("output order", f"differs: {pairs}", False)
        yield Line("fix", "return the Keras model's outputs in PyTorch's order, or give them names: a dict")
    if verified.uncompared:
        names = " ".join(f"--ignore-output {_asked(row)}" for row in verified.uncompared)
        yield Line("fix", f"let both networks give the same outputs, or say that these do not matter: {names}")


def _asked(row: Row) -> str:
    """How ``--ignore-output`` calls an output that one side gives."""
    return f"{'torch' if row.torch_value >= 0 else 'keras'}:{row.module}"


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
    compared = [row for row in verified.rows if row.outcome != Outcome.NOT_COMPARED]
    equal = sum(row.outcome == Outcome.EQUAL for row in compared)
    return Line("layers", f"{equal} of {len(compared)} calls of layers equal", equal == len(compared))


def _finding(verified: Verified) -> Iterator[Line]:
    finding = verified.finding
    assert finding is not None
    index = next((n for n, row in enumerate(verified.rows, 1) if row.outcome == Outcome.DIFFERS), None)
    at = f", row {index} of {len(verified.rows)}" if index is not None else ""
    yield Line("first divergence", f"{finding.layer} ({finding.kind}), against {finding.module}{at}", False)
    yield Line("cause", _cause(finding), False)
    if finding.hint:
        yield Line("fix", finding.hint)
    if not finding.proved and finding.failed:
        count = len(finding.failed)
        yield Line("note", f"{count} trial{'s' * (count > 1)} could not run; 'remap --debug verify' names them")
    moved = _moved_stride(verified)
    if moved:
        yield Line("note", moved)
    blame = finding.blame
    conclusion = CONCLUSIONS[blame]
    if blame == "model" and verified.weights is not None and not verified.weights.equal:
        conclusion = "this layer computes something else; the weights differ besides"
    if blame == "weights" and verified.weights is not None and not verified.weights.equal:
        conclusion = "the numbers of this layer are not where they belong: mend its rule, or write the file again"
    yield Line("conclusion", conclusion)


def _cause(finding: Finding) -> str:
    """A cause in a sentence, with its code behind it as compilers put theirs."""
    proof = "proved" if finding.proved else "not proved"
    codes = f" [{', '.join(finding.codes)}]" if finding.codes else ""
    return f"{finding.cause or 'unknown'} ({proof}): {finding.text}{codes}"


def failed_trials(verified: Verified) -> Iterator[FailedTrial]:
    """Every trial that could not run."""
    for finding in (verified.finding, *verified.further):
        yield from finding.failed if finding is not None else ()


def _further(verified: Verified) -> Iterator[Line]:
    """The layers that differ by themselves, one line for each cause."""
    by_cause: dict[tuple[str, str, bool], list[Finding]] = {}
    for finding in verified.further:
        by_cause.setdefault((finding.code, finding.cause, finding.proved), []).append(finding)
    for findings in by_cause.values():
        shown = ", ".join(f"{finding.layer} ({finding.kind})" for finding in findings[:SHOWN])
        more = f" and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
        yield Line("differs by itself", f"{shown}{more}, on PyTorch's own inputs: {_cause(findings[0])}", False)
    if any(row.alone is not None for row in verified.rows) and not verified.further:
        yield Line("after it", "every layer is equal on PyTorch's own inputs: it is the only divergence", True)


def _moved_stride(verified: Verified) -> str:
    """Whether a stride sits on another layer on the other side: ResNet v1 against v1.5."""
    if verified.finding is None or stride.CAUSE.code not in verified.finding.codes:
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
