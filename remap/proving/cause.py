"""Why two networks part: what is suspected, whose fault it would be, how it is told from settings and proved by runs.

The first digit of a code is the subject: 1 settings of windows and of interpolation, 2 normalisation, 3 activations,
4 the order of weights, 5 attention and positions, 6 recurrent layers, 7 what lies between the layers, 8 rounding and
precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from remap.proving.trial import Blame, Trials

Differs = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[str, str] | None]
"""Given the settings of a PyTorch module and of a Keras layer: both values in words; None where they are alike, or
where one of the two does not state it."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason why two networks may part.

    Args:
        code: Its code, for life: ``V101``.
        name: One or two words: ``padding``.
        about: What differs, in a sentence.
        blame: Whose fault it is, unless a trial knows better.
        hint: What to do about it, unless a trial knows better.
        trials: The suspicions of it at a place where two networks part.
        differs: Whether the settings of both sides disagree; None for what no setting tells.
    """

    code: str
    name: str
    about: str
    blame: Blame
    hint: str
    trials: Trials
    differs: Differs | None = None
