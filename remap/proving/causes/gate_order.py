"""Gates of a recurrent layer in another order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from remap.proving.cause import Cause
from remap.proving.numerics.recurrent import gates, recurrent_layers
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.keras.rerun import arrays_of


def trials(site: Site) -> Iterator[Trial]:
    """Every other order."""
    for recurrent in recurrent_layers(site):
        held = arrays_of(recurrent.step.layer)
        for order in list(permutations(range(len(recurrent.settings["gate_order"]))))[1:]:
            yield recurrent.holding(
                f"the gates in the order {order}", {name: gates(array, order) for name, array in held.items()}
            )


CAUSE = Cause(
    "V605",
    "gate order",
    "the gates of a recurrent layer stand in another order than Keras's",
    "weights",
    "mend the layout of the rule: lstm and gru put the gates in Keras's order",
    trials,
)
