"""The report as one page that needs nothing else: no network, no other file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from importlib import resources
from string import Template
from typing import Any

import numpy as np

from remap import __version__
from remap.planning.derived import leaves
from remap.planning.plan import Plan
from remap.proving.disagreement import Disagreement
from remap.proving.rows import Row
from remap.proving.verified import Verified
from remap.report.account import account, blind_lines, epsilon_lines, rows, settled
from remap.report.histogram import histogram_of
from remap.report.pairs import module_pairs
from remap.report.plot import error_plot
from remap.report.sizes import human_bytes
from remap.report.verify_data import row_data
from remap.report.verify_words import Line, headline, proof_lines


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows.

    Args:
        title: Its heading.
        verdict: The verdict in a sentence.
        good: Whether it is a good one; None where nothing was judged.
        plan: What was converted.
        lines: What was found, one line a subject.
        layers: The table of layers; empty where none were compared.
        audit: Settings that disagree.
        facts: Names and what they stand for: files, models, times.
        live: Values of Keras variables by path, where a model is at hand.
    """

    title: str
    verdict: str
    good: bool | None
    plan: Plan
    lines: Sequence[Line] = ()
    layers: Sequence[Row] = ()
    audit: Sequence[Disagreement] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    live: Mapping[str, np.ndarray] = field(default_factory=dict)


def verified_page(verified: Verified) -> str:
    """The page of a proof."""
    facts = {"PyTorch model": verified.torch, "Keras model": verified.keras}
    if verified.inputs:
        facts["input"] = ", ".join(verified.inputs)
    if verified.weights is not None:
        facts["precision"] = "float64" if verified.float64 else "float32"
    facts["took"] = f"{verified.seconds:.1f} s"
    good = None if verified.verdict == "audited" else verified.proved
    return render(
        Page(
            "Proof",
            headline(verified),
            good,
            verified.plan,
            list(proof_lines(verified)),
            verified.rows,
            verified.audit,
            facts,
        )
    )


def result_page(
    plan: Plan, *, written: Any = None, checked: Any = None, audit: Sequence[Disagreement] = (), seconds: float = 0.0
) -> str:
    """The page of a conversion, without the table of layers.

    Args:
        plan: What was planned.
        written: What was written (:class:`remap.writing.write.Written`); None after a dry run.
        checked: The outcome of the check (:class:`remap.checking.compare.Checked`); None where there was none.
        audit: Settings that disagree, where both models were given.
        seconds: Time it took.
    """
    facts = {"took": f"{seconds:.1f} s"} if seconds else {}
    lines = []
    if written is not None:
        facts["written"] = f"{written.path} ({human_bytes(written.bytes)})"
        facts["load it with"] = written.load_line
    if checked is not None:
        lines.append(Line("weights", f"equal: {checked.variables} variables, bit for bit, in the model", True))
    verdict = "planned; nothing was written"
    if written is not None:
        verdict = "written, and checked in the model" if checked is not None else "written; not checked in a model"
    good = True if checked is not None else None
    return render(Page("Conversion", verdict, good, plan, lines, (), audit, facts))


def render(page: Page) -> str:
    """The page as HTML text."""
    return Template(_asset("page.html")).substitute(
        title=escape(f"remap: {page.verdict}"),
        style=_asset("style.css"),
        script=_asset("script.js"),
        heading=escape(page.title),
        tone={True: "good", False: "bad", None: "plain"}[page.good],
        verdict=escape(page.verdict),
        facts=_facts(page),
        lines="".join(map(_line, page.lines)),
        account=_account(page.plan),
        plot=error_plot(page.layers),
        audit=_audit(page.audit),
        data=json.dumps(_data(page), separators=(",", ":")).replace("<", "\\u003c"),
        version=escape(__version__),
    )


def _asset(name: str) -> str:
    return resources.files("remap.report").joinpath("page", name).read_text("utf-8")


def _facts(page: Page) -> str:
    about = page.plan.rules.about
    checkpoint = page.plan.checkpoint
    size = human_bytes(checkpoint.nbytes)
    facts = {
        "rules": f"{page.plan.rules.path}{f' ({about.source} to {about.target})' if about.source else ''}",
        "checkpoint": f"{checkpoint.path} ({checkpoint.format}, {len(checkpoint)} tensors, {size})",
        **(
            {"target": page.plan.target.model}
            if page.plan.target is not None and "Keras model" not in page.facts
            else {}
        ),
        **page.facts,
    }
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())


def _line(line: Line) -> str:
    tone = {True: "good", False: "bad", None: "plain"}[line.good]
    return f'<li class="{tone}"><b>{escape(line.label)}</b> <span>{escape(line.text)}</span></li>'


def _account(plan: Plan) -> str:
    told = [*account(plan).lines(), *epsilon_lines(plan), *blind_lines(plan)]
    told += [f"{item.kind}: {item.names} ({item.count}): {item.reason}" for item in settled(plan)]
    told += [f"warning: {warning}" for warning in plan.warnings]
    moved = _table(
        ("PyTorch", "Keras", "layout", "variables", "size", "rule"),
        (
            (row.source, row.target, row.layout, str(row.variables), human_bytes(row.nbytes), row.place)
            for row in rows(plan)
        ),
    )
    pairs = _table(
        ("PyTorch", "Keras", "layout", "rule"),
        (
            (pair.module or "(root)", pair.layer, pair.layout, f"{pair.place.path.name}:{pair.place.line}")
            for pair in module_pairs(plan)
        ),
    )
    every = f"<details><summary>every module with its layer</summary>{pairs}</details>"
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in told)}</ul>{moved}{every}"


def _audit(audit: Sequence[Disagreement]) -> str:
    if not audit:
        return ""
    entries = ((e.layer, e.module, e.setting, e.torch, e.keras, e.note) for e in audit)
    shown = _table(("Keras layer", "PyTorch module", "setting", "PyTorch", "Keras", ""), entries)
    return f"<section><h2>Settings that disagree</h2>{shown}</section>"


def _table(heads: Sequence[str], entries: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>"
        + "".join(f'<td data-head="{escape(h)}">{escape(text)}</td>' for h, text in zip(heads, entry, strict=True))
        + "</tr>"
        for entry in entries
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _data(page: Page) -> dict[str, Any]:
    """What the script draws: layers, and every variable with its histograms."""
    return {
        "layers": [row_data(row) for row in page.layers],
        "variables": [
            {
                "name": entry.name,
                "layer": entry.name.rpartition("/")[0],
                "shape": list(entry.shape),
                "dtype": entry.dtype.name,
                "kind": entry.kind,
                "sources": [leaf.name for source in entry.value.sources for leaf in leaves(source)],
                "layout": entry.layout,
                "rule": f"{entry.place.path.name}:{entry.place.line}",
                "reason": entry.reason,
                "blind": entry.blind,
                "histogram": asdict(histogram)
                if (histogram := histogram_of(entry, page.live.get(entry.name)))
                else None,
            }
            for entry in page.plan.assignments
        ],
    }
