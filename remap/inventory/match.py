"""Which variable a rule means: full names, or their last components alone."""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property

from remap.errors import Problem, TargetError
from remap.inventory.inventory import Inventory, Variable

SHOWN = 3
_DIRECTIONS = frozenset({"forward", "backward"})
_ROLES = {"kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "embeddings", "alpha"}
"""Variables of Keras's own layers: none of them is meant by the name of another."""
GRAM = 3


class VariableNames:
    """The names of an inventory's variables, ready to be looked up.

    A name is a variable's path (``block/conv1_conv/kernel``), its address (``block/conv2d[4]/kernel``), or the last
    components of either, whole components only: ``conv1_conv/kernel``. A full name wins over an equal ending of
    another. Every look-up takes the same short time, however many names there are.

    Variables that share a path are told apart by their order: ``out/kernel``, ``out/kernel#2`` ... The number can stand
    behind the layer too, as a rule writes it, and ``#1`` means the first: ``out#2/kernel``, ``out#1/kernel``.

    >>> from remap.inventory.inventory import Layer
    >>> layer = Layer("conv", "Conv2D", "stem/conv", "stem/conv")
    >>> kernel = Variable("stem/conv/kernel", "stem/conv/kernel", (3, 3, 3, 8), "float32", 0)
    >>> names = VariableNames(Inventory("demo", (kernel,), (layer,), "functional", "3.15.1"))
    >>> names.resolve("conv/kernel").path
    'stem/conv/kernel'
    >>> names.find("conv/bias") is None
    True
    >>> print(names.problem("conv/kernle"))
    the model has no such variable
      at conv/kernle
      fix: did you mean stem/conv/kernel?
    """

    def __init__(self, inventory: Inventory) -> None:
        self.variables = inventory.variables
        self._full: dict[str, int] = {}
        for index, variable in enumerate(self.variables):
            self._full.setdefault(variable.address, index)
        self._full |= {variable.path: index for index, variable in enumerate(self.variables)}

    def candidates(self, name: str) -> tuple[Variable, ...]:
        """All variables that ``name`` can mean: none, one, or, where it is ambiguous, several."""
        name = _numbered_last(name)
        full = self._full.get(name)
        indexes = self._endings.get(name, []) if full is None else [full]
        return tuple(self.variables[index] for index in indexes)

    def find(self, name: str) -> Variable | None:
        """The variable that ``name`` means, None if there is none.

        Raises:
            TargetError: It can mean several.
        """
        candidates = self.candidates(name)
        if len(candidates) > 1:
            raise TargetError(self.problem(name))
        return candidates[0] if candidates else None

    def resolve(self, name: str) -> Variable:
        """The variable that ``name`` means.

        Raises:
            TargetError: There is none, or several.
        """
        variable = self.find(name)
        if variable is None:
            raise TargetError(self.problem(name))
        return variable

    def problem(self, name: str, where: str = "") -> Problem:
        """What is wrong with a ``name`` that means no variable, or several.

        Args:
            name: What was looked up.
            where: The place to report; ``name`` itself if empty.
        """
        candidates = self.candidates(name)
        if candidates:
            listed = ", ".join(_both(variable) for variable in candidates[:SHOWN])
            more = f" and {len(candidates) - SHOWN} more" if len(candidates) > SHOWN else ""
            return Problem(
                "the name fits several variables of the model",
                where=where or name,
                found=(f"{name}: " if where else "") + listed + more,
                expected="one",
                fix="put more of its scopes in front",
            )
        close = self.close_to(name)
        return Problem(
            "the model has no such variable",
            where=where or name,
            found=name if where else "",
            fix=f"did you mean {' or '.join(close)}?" if close else "",
        )

    def close_to(self, name: str) -> list[str]:
        """Up to three names that look most like ``name``, best first.

        The rarer letter groups of ``name`` pick a few dozen candidates, which difflib then ranks: the time hardly
        depends on the number of names.
        """
        grams = [self._grams[gram] for gram in _grams_of(name) if gram in self._grams]
        grams.sort(key=len)
        votes: Counter[int] = Counter()
        for indexes in grams:
            if votes and sum(votes.values()) + len(indexes) > 20_000:
                break
            votes.update(indexes)
        depth = name.count("/") + 1

        def likeness(index: int) -> float:
            ending = "/".join(self._shown[index].split("/")[-depth:])
            return difflib.SequenceMatcher(None, ending, name, autojunk=False).ratio()

        alike = [index for index, _ in votes.most_common(40) if self._has_role(name, self._shown[index])]
        ranked = sorted(((likeness(index), -index) for index in alike), reverse=True)
        return [self._shown[-index] for ratio, index in ranked[:SHOWN] if ratio >= 0.6]

    def _has_role(self, name: str, other: str) -> bool:
        """Whether a name may be meant by another: not a beta by a gamma, not one direction by the other."""
        role, others = name.rpartition("/")[2], other.rpartition("/")[2]
        return not (role in self._roles and role != others) and not (_DIRECTIONS & _turned(name) & _words(other))

    @cached_property
    def _roles(self) -> set[str]:
        """What the model calls the variables of its layers: kernel, bias, gamma ..."""
        return {variable.path.rpartition("/")[2] for variable in self.variables} | _ROLES

    @cached_property
    def _endings(self) -> dict[str, list[int]]:
        """Every proper ending of every name -> the variables that have it."""
        endings: dict[str, list[int]] = defaultdict(list)
        for index, variable in enumerate(self.variables):
            for ending in {*_proper_endings(variable.path), *_proper_endings(variable.address)}:
                endings[ending].append(index)
        return endings

    @cached_property
    def _shown(self) -> list[str]:
        """All full names: the paths, then the addresses that differ from them."""
        paths = [variable.path for variable in self.variables]
        return paths + [variable.address for variable in self.variables if variable.address != variable.path]

    @cached_property
    def _grams(self) -> dict[str, list[int]]:
        grams: dict[str, list[int]] = defaultdict(list)
        for index, name in enumerate(self._shown):
            for gram in _grams_of(name):
                grams[gram].append(index)
        return grams


def _numbered_last(name: str) -> str:
    """The name with a ``#2`` behind one of its components moved to its end, where paths have it; without a ``#1``.

    >>> _numbered_last("block/out#2/kernel"), _numbered_last("block/out#1/kernel")
    ('block/out/kernel#2', 'block/out/kernel')
    """
    before, mark, rest = name.partition("#")
    number, slash, ending = rest.partition("/")
    plain = f"{before}{slash}{ending}"
    return plain if number == "1" else f"{plain}{mark}{number}"


def _proper_endings(name: str) -> Iterable[str]:
    at = name.find("/")
    while at >= 0:
        yield name[at + 1 :]
        at = name.find("/", at + 1)


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-zA-Z]+", name))


def _turned(name: str) -> set[str]:
    """The other direction than the one that a name says; neither where it says none, or both."""
    said = _DIRECTIONS & _words(name)
    return set(_DIRECTIONS - said) if len(said) == 1 else set()


def _grams_of(name: str) -> set[str]:
    return {name[at : at + GRAM] for at in range(len(name) - GRAM + 1)}


def _both(variable: Variable) -> str:
    same = variable.path == variable.address
    return variable.path if same else f"{variable.path} ({variable.address})"
