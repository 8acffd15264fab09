"""Which module became which layer: each pair by itself, and all of a rule as one pattern a side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from remap.planning.link import Link
from remap.planning.plan import Plan
from remap.planning.suggest import pattern_of
from remap.rules.place import Place

PAIRS_SHOWN = 6
PATTERNS_SHOWN = 2
_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_]+")
_Named = tuple[str, str]
"""A module and its layer."""
_Columns = list[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class ModulePair:
    """One module and one layer that it became.

    Args:
        module: Path of the PyTorch module; the whole key for a rule without a layout.
        layer: The Keras layer, or the variable for a rule without a layout.
        layout: The layout.
        place: The rule's file and line.
    """

    module: str
    layer: str
    layout: str
    place: Place

    def __str__(self) -> str:
        """One line that ``grep`` finds by either name."""
        return f"{self.module or '(root)'}  ->  {self.layer}  {self.layout}  {self.place.path.name}:{self.place.line}"


def module_pairs(plan: Plan) -> Iterator[ModulePair]:
    """Every module with its layer, in the order of the checkpoint."""
    for link in plan.links:
        for layer in _layers(link):
            yield ModulePair(link.module, layer, link.layout, link.rule.place)


def _layers(link: Link) -> list[str]:
    """The layers by their names in the target; as the rule names them where it wrote nothing."""
    written = [name.removesuffix(f"/{entry}") if entry else name for entry, name in link.entries.items()]
    return list(dict.fromkeys(written)) or [link.layer]


def paired_patterns(pairs: Sequence[_Named]) -> _Named:
    """Modules and layers as one pattern a side, in which what stands in one place belongs together.

    A range that runs up on both sides is in order, one that runs down is the other way round, and numbers that follow
    no law are listed, those that are out of order first where they are many.

    >>> paired_patterns([("bn1", "norm3"), ("bn2", "norm2"), ("bn3", "norm1")])
    ('bn{1..3}', 'norm{3..1}')
    >>> paired_patterns([("bn1", "norm2"), ("bn2", "norm3"), ("bn3", "norm1")])
    ('bn{1,2,3}', 'norm{2,3,1}')
    >>> paired_patterns([("table", "tokens"), ("table", "logits")])
    ('table', 'tokens and logits')
    """
    became: dict[str, dict[str, None]] = {}
    for module, layer in pairs:
        became.setdefault(module, {})[layer] = None
    groups: dict[_Named, list[_Named]] = {}
    for pair in ((module, " and ".join(layers)) for module, layers in became.items()):
        groups.setdefault((_NUMBER.sub("#", pair[0]), _NUMBER.sub("#", pair[1])), []).append(pair)
    shown = [_group(members) for members in _exchanged_first(list(groups.values()))[:PATTERNS_SHOWN]]
    more = f", ... ({len(groups)} patterns)" if len(groups) > PATTERNS_SHOWN else ""
    modules, layers = ([side for side, _ in shown], [side for _, side in shown])
    return _listed(modules, more), _listed(layers, more)


def _listed(patterns: list[str], more: str) -> str:
    """Patterns in a row; the same one in every place is said once."""
    return patterns[0] if len(set(patterns)) == 1 and not more else ", ".join(patterns) + more


def _exchanged_first(groups: list[list[_Named]]) -> list[list[_Named]]:
    """Groups of which one has the other's word, such as an encoder that becomes a decoder, before the rest."""
    words = [(set(_WORD.findall(module)), set(_WORD.findall(layer))) for ((module, layer), *_) in groups]

    def crossed(one: int) -> bool:
        own, became = words[one]
        return any(
            (own - other) & (other_became - became) and (other - own) & (became - other_became)
            for other, other_became in words
        )

    return [groups[index] for index in sorted(range(len(groups)), key=lambda index: not crossed(index))]


def _group(pairs: list[_Named]) -> _Named:
    """Names that differ in numbers only, by the law that joins their numbers."""
    if len(pairs) == 1:
        return pairs[0]
    modules, layers = [module for module, _ in pairs], [layer for _, layer in pairs]
    before, after = _columns(modules), _columns(layers)
    rows = sorted(zip(zip(*before, strict=True), zip(*after, strict=True), strict=True)) if before and after else []
    if [row for _, row in rows] == sorted(row for _, row in rows):
        return pattern_of(modules), pattern_of(layers)
    sources = [tuple(column) for column in zip(*(row for row, _ in rows), strict=True)]
    left, right = _ranges(modules), _ranges(layers)
    behind, followed = 0, dict[int, list[tuple[int, int]]]()
    for place, column in enumerate(zip(*(row for _, row in rows), strict=True)):
        if len(set(column)) == 1:
            continue
        laws = {
            number: law for number in range(behind, len(sources)) if (law := _law(sources[number], column)) is not None
        }
        if not laws:
            return _as_pairs(pairs)
        behind = next((number for number, law in laws.items() if not law), min(laws))
        table = laws[behind]
        if behind in followed and (table or followed[behind]):
            return _as_pairs(pairs)
        followed[behind] = table
        if table:
            left[behind], right[place] = _table(table)
        elif not _rises(sources[behind], column):
            right[place] = _reversed(right[place])
    return _filled(modules[0], left), _filled(layers[0], right)


def _columns(names: list[str]) -> _Columns:
    return list(zip(*(map(int, _NUMBER.findall(name)) for name in names), strict=True))


def _law(source: tuple[int, ...], target: tuple[int, ...]) -> list[tuple[int, int]] | None:
    """How one number follows from another: nothing to say where both run in order, up or down, their table where they
    do not, None where it does not follow."""
    table = dict(zip(source, target, strict=True))
    if any(table[number] != other for number, other in zip(source, target, strict=True)):
        return None
    entries = sorted(table.items())
    others = [other for _, other in entries]
    return [] if others in (sorted(others), sorted(others, reverse=True)) else entries


def _rises(source: tuple[int, ...], target: tuple[int, ...]) -> bool:
    others = [other for _, other in sorted(set(zip(source, target, strict=True)))]
    return others == sorted(others)


def _table(entries: list[tuple[int, int]]) -> _Named:
    """Pairs of numbers in two lists; of many only those that are out of order."""
    shown, more = entries, ""
    if len(entries) > PAIRS_SHOWN:
        ordered = sorted(other for _, other in entries)
        moved = [entry for entry, other in zip(entries, ordered, strict=True) if entry[1] != other]
        shown, more = moved[:PAIRS_SHOWN], ",..."
    left, right = (",".join(str(entry[side]) for entry in shown) for side in (0, 1))
    return f"{{{left}{more}}}", f"{{{right}{more}}}"


def _ranges(names: list[str]) -> list[str]:
    """The ranges of a pattern, one for each number of a name."""
    return [pattern_of([str(number) for number in column]) for column in _columns(names)]


def _reversed(text: str) -> str:
    """A range that runs down.

    >>> _reversed("{1..3}"), _reversed("{1,3,5}"), _reversed("{1..99: 12}")
    ('{3..1}', '{5,3,1}', '{99..1: 12}')
    """
    inner, colon, count = text.strip("{}").partition(":")
    joint = ".." if ".." in inner else ","
    return f"{{{joint.join(reversed(inner.split(joint)))}{colon}{count}}}"


def _filled(name: str, texts: list[str]) -> str:
    parts = iter(texts)
    return _NUMBER.sub(lambda _: next(parts), name)


def _as_pairs(pairs: list[_Named]) -> _Named:
    """Names in two lists, place by place."""
    more = ", ..." if len(pairs) > PAIRS_SHOWN else ""
    modules, layers = (", ".join(pair[side] for pair in pairs[:PAIRS_SHOWN]) + more for side in (0, 1))
    return modules, layers
