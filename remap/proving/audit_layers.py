"""Settings of normalisations and recurrent layers that disagree."""

from __future__ import annotations

from collections.abc import Iterator

from remap.proving.causes import (
    batch_statistics,
    epsilon,
    inner_activation,
    norm_groups,
    recurrent_activation,
    reset_after,
)
from remap.proving.disagreement import Disagreement
from remap.proving.mapped import Mapped
from remap.sides.keras.operations import described_layer
from remap.sides.operation import NORMALISING, RECURRENT

_NO_WEIGHTS = "no weights make the two equal"


def normalisation(pair: Mapped) -> Iterator[Disagreement]:
    """Epsilon, whose statistics, and groups."""
    torch, _ = pair.operations
    if torch not in NORMALISING:
        return
    yield from _epsilon(pair)
    yield from pair.held(batch_statistics.CAUSE, _NO_WEIGHTS, setting="statistics")
    yield from pair.held(norm_groups.CAUSE)


def _epsilon(pair: Mapped) -> Iterator[Disagreement]:
    """An epsilon that differs, or that was folded though the module has another than was taken for its own."""
    ours = {"epsilon": pair.layer.settings.get("epsilon"), **pair.ours}
    if pair.folded is None:
        yield from pair.held(epsilon.CAUSE, ours=ours)
        return
    apart = list(pair.held(epsilon.CAUSE, ours={"epsilon": pair.folded}))
    for entry in apart:
        note = "the weights are folded from another epsilon than the module's"
        yield pair.told(entry.setting, entry.torch, f"{entry.keras} (folded)", note, code=entry.code)
    if not apart:
        yield from pair.held(epsilon.CAUSE, "folded into the weights", ours=ours, harmless=True)


def recurrent(pair: Mapped) -> Iterator[Disagreement]:
    """Activations inside, the place of the reset gate, and how directions are joined."""
    torch, _ = pair.operations
    if torch not in RECURRENT:
        return
    told: dict[tuple[str, ...], Disagreement] = {}
    inside = [entry for entry in pair.target.layers if entry.path.startswith(f"{pair.layer.path}/")]
    for layer in (pair.layer, *inside):
        ours = described_layer(layer)[1]
        for cause, note in ((inner_activation, ""), (recurrent_activation, ""), (reset_after, _NO_WEIGHTS)):
            for entry in pair.held(cause.CAUSE, note, ours=ours):
                told.setdefault((entry.code, entry.keras), entry)
    yield from told.values()
    joined = pair.layer.settings.get("merge_mode", "concat")
    if joined != "concat":
        yield pair.told("merge_mode", "concat", str(joined))
