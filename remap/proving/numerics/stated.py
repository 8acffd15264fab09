"""Settings that both sides state, in the vocabulary of :mod:`remap.sides.operation`, held against each other."""

from __future__ import annotations

from remap.proving.cause import Differs
from remap.proving.mapped import words
from remap.sides.operation import Settings, same_constant, same_numbers, told_apart


def numbers(setting: str) -> Differs:
    """Whether a setting differs that has a number for each axis; an axis that one side lacks does nothing there.

    >>> numbers("stride")({"stride": (2, 2)}, {"stride": (1, 1)}), numbers("stride")({"stride": (2,)}, {})
    (('2', '1'), None)
    """

    def differs(torch: Settings, keras: Settings) -> tuple[str, str] | None:
        theirs, ours = torch.get(setting), keras.get(setting)
        if theirs is None or ours is None or same_numbers(theirs, ours):
            return None
        return words(theirs), words(ours)

    return differs


def constant(setting: str) -> Differs:
    """Whether a number differs, as far as single precision tells.

    >>> constant("epsilon")({"epsilon": 1e-5}, {"epsilon": 1e-3}), constant("scale")({}, {"scale": 0.5})
    (('1e-05', '0.001'), None)
    """

    def differs(torch: Settings, keras: Settings) -> tuple[str, str] | None:
        theirs, ours = torch.get(setting), keras.get(setting)
        if not isinstance(theirs, int | float) or not isinstance(ours, int | float) or same_constant(theirs, ours):
            return None
        return told_apart(theirs, ours)

    return differs


def word(setting: str) -> Differs:
    """Whether a setting differs that is a word, a count or a switch.

    >>> word("heads")({"heads": 3}, {"heads": 4}), word("heads")({"heads": 3}, {"heads": 3})
    (('3', '4'), None)
    """

    def differs(torch: Settings, keras: Settings) -> tuple[str, str] | None:
        theirs, ours = torch.get(setting), keras.get(setting)
        return None if None in (theirs, ours) or theirs == ours else (str(theirs), str(ours))

    return differs
