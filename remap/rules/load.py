"""Reading rule files: TOML to :class:`RuleFile`, all mistakes collected and raised once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from remap.errors import Problem, RuleError
from remap.rules import schema
from remap.rules.layouts import builtin_layouts, normalise
from remap.rules.place import Place, Places
from remap.rules.rulefile import Rule, RuleFile
from remap.rules.shipped import shipped_names, shipped_path
from remap.rules.validate import validate

S = TypeVar("S", schema.About, schema.BatchNorm, schema.SourceOptions)

_RULES: dict[str, type[Any]] = {
    "rename": schema.Rename,
    "ignore": schema.Ignore,
    "keep": schema.Keep,
    "fill": schema.FillRule,
    "derive": schema.Derive,
}
_UNKNOWN = re.compile(r"unknown field `(\w+)`")
_AT = re.compile(r" - at `\$\.?([^`]*)`")


def load_rules(rules: str | Path) -> RuleFile:
    """Read a rule file and everything it includes.

    Args:
        rules: Path of a TOML file, or the bare name of a shipped one (``"resnet"``).

    Raises:
        RuleError: The file is missing or wrong; every mistake that was found, each with its line.

    >>> load_rules("resnet").about.source
    'torchvision ResNet-50/101/152'
    """
    reader = _Reader()
    found = reader.read(_locate(rules))
    problems = reader.problems or validate(found)
    if problems:
        raise RuleError(problems)
    return found


def _locate(rules: str | Path) -> Path:
    path = Path(rules)
    if path.is_file():
        return path
    shipped = shipped_path(str(rules))
    if shipped is not None:
        return shipped
    close = get_close_matches(str(rules), shipped_names(), n=3)
    raise RuleError(
        "no such rule file", where=str(rules),
        expected="a path, or the bare name of a shipped rule file ('remap rules' lists them)",
        fix=f"did you mean {' or '.join(close)}?" if close else "",
    )  # fmt: skip


class _Reader:
    """One reading of a file and its includes; collects problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._open: list[Path] = []

    def read(self, path: Path) -> RuleFile:
        self._open.append(path.resolve())
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RuleError("cannot read the rule file", where=str(path), found=str(error)) from error
        places = Places(path, text)
        document = _parse(path, text, places)
        found = self._build(path, document, places)
        self._open.pop()
        return found

    def _build(self, path: Path, document: dict[str, Any], places: Places) -> RuleFile:
        self._top_level(document, places)
        about = self._section(document, schema.About, "about", places)
        batchnorm = self._section(document, schema.BatchNorm, "batchnorm", places)
        source = self._section(document, schema.SourceOptions, "source", places)
        rules = {
            name: self._rules(document.get(name, []), kind, places, name, batchnorm) for name, kind in _RULES.items()
        }
        own = self._layouts(document.get("layouts", {}), places)
        params = self._params(document.get("params", {}), places)
        tables = self._convert(document.get("tables", {}), dict[str, dict[str, int | str]], places, ("tables",)) or {}
        included = [
            self._include(entry, i, path, places) for i, entry in enumerate(_listed(document.get("include", [])))
        ]
        files = [file for file in included if file is not None]
        return RuleFile(
            path=path,
            about=about,
            batchnorm=batchnorm,
            source=source,
            params=_merged([file.params for file in files], params),
            tables=_merged([file.tables for file in files], tables),
            layouts=_merged([file.layouts for file in files], own) if files else {**builtin_layouts(), **own},
            layout_places=_merged(
                [file.layout_places for file in files], {name: places.find("layouts", name) for name in own}
            ),
            renames=(*rules["rename"], *(rule for file in files for rule in file.renames)),
            ignores=(*rules["ignore"], *(rule for file in files for rule in file.ignores)),
            keeps=(*rules["keep"], *(rule for file in files for rule in file.keeps)),
            fills=(*rules["fill"], *(rule for file in files for rule in file.fills)),
            derives=(*rules["derive"], *(rule for file in files for rule in file.derives)),
        )

    def _top_level(self, document: dict[str, Any], places: Places) -> None:
        known = [field.encode_name for field in msgspec.structs.fields(schema.Document)]
        for key in document:
            if key not in known:
                self.problems.append(_unknown_key(key, known, places.find(key)))
        if "format" not in document:
            self.problems.append(
                Problem(
                    "the rule file does not say its format", where=str(places.at(1)), fix="add the line: format = 1"
                )
            )
        elif document["format"] != 1:
            place = places.find("format")
            self.problems.append(
                Problem(
                    "unknown format of rule file", str(place), str(document["format"]), "1", excerpt=place.excerpt()
                )
            )

    def _section(self, document: dict[str, Any], kind: type[S], name: str, places: Places) -> S:
        found: S | None = self._convert(document.get(name, {}), kind, places, (name,))
        return kind() if found is None else found

    def _rules(self, entries: Any, kind: type[Any], places: Places, name: str, batchnorm: Any) -> tuple[Rule[Any], ...]:
        if not isinstance(entries, list):
            place = places.find(name)
            self.problems.append(
                Problem(f"'{name}' is a list of tables", str(place), fix=f"write [[{name}]]", excerpt=place.excerpt())
            )
            return ()
        found = []
        for index, entry in enumerate(entries):
            spec = self._convert(entry, kind, places, (name, index))
            if spec is not None:
                found.append(Rule(spec, places.find(name, index), batchnorm))
        return tuple(found)

    def _layouts(self, entries: Any, places: Places) -> dict[str, Any]:
        found = {}
        for name, entry in _tabled(entries).items():
            variables = {}
            for variable, expression in _tabled(entry).items():
                at = ("layouts", name, variable)
                converted = (
                    self._convert(expression, schema.Expression, places, at)
                    if isinstance(expression, dict)
                    else self._convert(expression, str, places, at)
                )
                if converted is not None:
                    variables[variable] = converted
            found[name] = normalise(variables)
        return found

    def _params(self, entries: Any, places: Places) -> dict[str, schema.Param]:
        found = {}
        for name, entry in _tabled(entries).items():
            if isinstance(entry, dict):
                param = self._convert(entry, schema.Param, places, ("params", name))
            else:
                value = self._convert(entry, int | float | str, places, ("params", name))
                param = schema.Param(default=value)
            if param is not None:
                found[name] = param
        return found

    def _include(self, entry: Any, index: int, path: Path, places: Places) -> RuleFile | None:
        if isinstance(entry, str):
            include: schema.Include | None = schema.Include(file=entry)
        else:
            include = self._convert(entry, schema.Include, places, ("include", index))
        if include is None:
            return None
        place = places.find("include", index)
        file = path.parent / include.file
        if not file.is_file():
            file = shipped_path(include.file) or file
        if not file.is_file() or file.resolve() in self._open:
            what = "the rule file includes itself" if file.is_file() else "no such rule file to include"
            self.problems.append(
                Problem(what, str(place), include.file, "a path relative to this file, or a shipped name",
                        excerpt=place.excerpt(include.file))
            )  # fmt: skip
            return None
        return _prefixed(self.read(file), include)

    def _convert(self, value: Any, kind: Any, places: Places, at: tuple[str | int, ...]) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            self.problems.append(_invalid(str(error), kind, places, at))
            return None


def _prefixed(file: RuleFile, include: schema.Include) -> RuleFile:
    """The file's rules with the include's prefixes in front."""
    if not include.prefix and not include.to_prefix:
        return file
    replace = msgspec.structs.replace

    def target(to: str | list[str]) -> str | list[str]:
        return [include.to_prefix + each for each in to] if isinstance(to, list) else include.to_prefix + to

    def moved(rule: Rule[Any]) -> Rule[Any]:
        spec = rule.spec
        if isinstance(spec, schema.Rename):
            spec = replace(spec, match=_joined(include.prefix, spec.match), to=target(spec.to))
        elif isinstance(spec, schema.Ignore):
            spec = replace(spec, match=_joined(include.prefix, spec.match))
        elif isinstance(spec, schema.Derive):
            sources = {name: _joined(include.prefix, pattern) for name, pattern in spec.sources.items()}
            spec = replace(spec, sources=sources)
        else:
            spec = replace(spec, match=_joined(re.escape(include.to_prefix), spec.match))
        return Rule(spec, rule.place, rule.batchnorm)

    fields = {name: getattr(file, name) for name in RuleFile.__slots__}
    for name in ("renames", "ignores", "keeps", "fills", "derives"):
        fields[name] = tuple(moved(rule) for rule in fields[name])
    return RuleFile(**fields)


def _joined(prefix: str, pattern: str) -> str:
    return f"{prefix}(?:{pattern})" if prefix else pattern


def _parse(path: Path, text: str, places: Places) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line = int(match[1]) if match else len(places.lines)
        place = places.at(line)
        caret = place.excerpt(place.text[int(match[2]) - 1 :][:1]) if match and place.text else ""
        raise RuleError(
            "the rule file is not valid TOML", where=str(place), found=str(error), excerpt=caret,
            fix="regexes go between single quotes: match = 'layer<i>\\.conv'" if "escape" in str(error) else "",
        ) from error  # fmt: skip


def _invalid(message: str, kind: Any, places: Places, at: tuple[str | int, ...]) -> Problem:
    unknown = _UNKNOWN.search(message)
    if unknown and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        known = [field.encode_name for field in msgspec.structs.fields(kind)]
        return _unknown_key(unknown[1], known, places.find(*at, unknown[1]))
    inner = _AT.search(message)
    keys = [key for key in re.split(r"[.\[\]]+", inner[1]) if key and key != "..."] if inner else []
    place = places.find(*at, *keys)
    what = f"wrong value for '{keys[0]}'" if keys else f"wrong value in '{at[0]}'"
    return Problem(what, str(place), found=_AT.sub("", message), excerpt=place.excerpt())


def _unknown_key(key: str, known: Iterable[str], place: Place) -> Problem:
    close = get_close_matches(key, list(known), n=1, cutoff=0.5)
    return Problem(
        f"unknown key '{key}'", str(place), expected=f"one of: {', '.join(known)}",
        fix=f"did you mean '{close[0]}'?" if close else "", excerpt=place.excerpt(key),
    )  # fmt: skip


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _tabled(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _merged(parts: list[Any], own: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in (*reversed(parts), own):
        merged.update(part)
    return merged
