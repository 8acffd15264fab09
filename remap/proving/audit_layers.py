"""Settings of normalisations and recurrent layers that disagree."""

from __future__ import annotations

from collections.abc import Iterator

from remap.proving.disagreement import Disagreement
from remap.proving.mapped import Mapped
from remap.sides.keras.operations import described_layer
from remap.sides.operation import CHANNELS, NORMALISING, RECURRENT, Operation, same_constant, told_apart

_NO_WEIGHTS = "no weights make the two equal"


def normalisation(pair: Mapped) -> Iterator[Disagreement]:
    """Epsilon, whose statistics, and groups."""
    torch, _ = pair.operations
    if torch not in NORMALISING:
        return
    theirs, ours = pair.theirs.get("epsilon"), pair.ours.get("epsilon", pair.layer.settings.get("epsilon"))
    if isinstance(theirs, float) and isinstance(ours, int | float) and not same_constant(theirs, ours):
        note = "folded into the weights: outputs are equal all the same" if pair.folded else ""
        yield pair.told("epsilon", *told_apart(theirs, ours), note, pair.folded)
    if pair.theirs.get("batch_statistics"):
        yield pair.told("statistics", "of each batch", "stored", _NO_WEIGHTS)
    theirs, ours = pair.theirs.get("groups"), pair.ours.get("groups")
    if theirs == CHANNELS and ours == 1:
        yield pair.told("groups", "one for each channel", "1")
    elif theirs not in (None, CHANNELS, ours) and ours not in (None, CHANNELS):
        yield pair.told("groups", str(theirs), str(ours))


def recurrent(pair: Mapped) -> Iterator[Disagreement]:
    """Activations inside, the place of the reset gate, and how directions are joined."""
    torch, _ = pair.operations
    if torch not in RECURRENT:
        return
    seen: set[tuple[str, object]] = set()
    inside = [entry for entry in pair.target.layers if entry.path.startswith(f"{pair.layer.path}/")]
    for layer in (pair.layer, *inside):
        ours = described_layer(layer)[1]
        for setting in ("activation", "recurrent_activation"):
            differs = setting in ours and setting in pair.theirs and ours[setting] != pair.theirs[setting]
            if differs and (setting, ours[setting]) not in seen:
                seen.add((setting, ours[setting]))
                yield pair.told(setting.replace("_", " "), str(pair.theirs[setting]), str(ours[setting]))
        if torch is Operation.GRU and ours.get("reset_after") is False and ("reset_after", False) not in seen:
            seen.add(("reset_after", False))
            yield pair.told("reset_after", "True", "False", _NO_WEIGHTS)
    joined = pair.layer.settings.get("merge_mode", "concat")
    if joined != "concat":
        yield pair.told("merge_mode", "concat", str(joined))
