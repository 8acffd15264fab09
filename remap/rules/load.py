"""Reading rule files: TOML to :class:`RuleFile`, all mistakes collected and raised once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from remap.errors import Problem, RuleError
from remap.rules import schema
from remap.rules.convert import Converter, words_of
from remap.rules.include import included
from remap.rules.layouts import builtin_layouts, normalise
from remap.rules.place import Place, Places
from remap.rules.rows import RuleTables
from remap.rules.rulefile import RuleFile
from remap.rules.shipped import shipped_names, shipped_path
from remap.rules.validate import validate

_REGEX_SIGNS = tuple("<(\\.*+?[|^")
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)")


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
    file = reader.read(_locate(rules))
    problems = reader.problems if reader.incomplete else [*reader.problems, *validate(file)]
    if problems:
        raise RuleError(dict.fromkeys(problems))
    return file


def _locate(rules: str | Path) -> Path:
    path = Path(rules)
    if path.is_file():
        return path
    shipped = shipped_path(str(rules))
    if shipped is not None:
        return shipped
    close = get_close_matches(str(rules), shipped_names(), n=3)
    raise RuleError(
        "no such rule file",
        where=str(rules),
        expected="a path, or the bare name of a shipped rule file ('remap rules' lists them)",
        fix=f"did you mean {' or '.join(close)}?" if close else "",
    )


class _Reader:
    """One reading of a file and its includes.

    Attributes:
        problems: The mistakes found.
        incomplete: Whether an included file is missing from the result, which would explain later mistakes.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.incomplete = False
        self._open: list[Path] = []

    def read(self, path: Path) -> RuleFile:
        """The file at ``path`` with all that it includes; a rule with a mistake is left out.

        Raises:
            RuleError: The file cannot be read, or is no TOML.
        """
        try:
            text = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RuleError("cannot read the rule file", where=str(path), found=str(error)) from error
        places = Places(path, text)
        document = _parse(text, places)
        self._open.append(path.resolve())
        file = self._build(path, document, places)
        self._open.pop()
        return file

    def _build(self, path: Path, document: dict[str, Any], places: Places) -> RuleFile:
        converter = Converter(places, self.problems)
        kinds = {field.encode_name: field.type for field in words_of(schema.Document)}
        for key in document:
            if key not in kinds:
                converter.unknown(key, kinds)
        self._format(document, places)
        whole = {
            name: converter.convert(document[name], kinds[name], name)
            for name in ("allow", "about", "batchnorm", "source", "params", "tables", "include")
            if name in document
        }
        batchnorm = whole.get("batchnorm") or schema.BatchNorm()
        tables = RuleTables(document, places, converter, batchnorm, self.problems)
        own = {
            "rename": tables.renames(),
            **{name: tables.settling(name) for name in ("ignore", "keep", "fill")},
            "derive": tables.derives(),
        }
        layouts = self._layouts(document.get("layouts", {}), converter, places)
        entries = enumerate(whole.get("include") or [])
        files = [file for i, entry in entries if (file := self._include(entry, path, places.find("include", i)))]
        params = {
            name: param if isinstance(param, schema.Param) else schema.Param(default=param)
            for name, param in (whole.get("params") or {}).items()
        }
        place = places.find("include")
        return RuleFile(
            path=path,
            about=whole.get("about") or schema.About(),
            batchnorm=batchnorm,
            source=whole.get("source") or schema.SourceOptions(),
            params=self._merged("parameter", [file.params for file in files], params, place),
            tables=self._merged("table", [file.tables for file in files], whole.get("tables") or {}, place),
            layouts={
                **builtin_layouts(),
                **self._merged("layout", [_own_layouts(file) for file in files], layouts, place),
            },
            layout_places=_places([file.layout_places for file in files], "layouts", layouts, places),
            param_places=_places([file.param_places for file in files], "params", params, places),
            table_places=_places([file.table_places for file in files], "tables", whole.get("tables") or {}, places),
            renames=(*own["rename"], *(rule for file in files for rule in file.renames)),
            ignores=(*own["ignore"], *(rule for file in files for rule in file.ignores)),
            keeps=(*own["keep"], *(rule for file in files for rule in file.keeps)),
            fills=(*own["fill"], *(rule for file in files for rule in file.fills)),
            derives=(*own["derive"], *(rule for file in files for rule in file.derives)),
            allows=(
                *((text, places.find("allow", i)) for i, text in enumerate(whole.get("allow") or [])),
                *(answer for file in files for answer in file.allows),
            ),
        )

    def _format(self, document: dict[str, Any], places: Places) -> None:
        version = document.get("format")
        if version == 1 and not isinstance(version, bool):
            return
        place = places.find("format")
        what = "unknown format of rule file" if "format" in document else "the rule file does not say its format"
        self.problems.append(
            Problem(
                what,
                str(place),
                found=str(version) if "format" in document else "",
                expected="format = 1",
                fix="" if "format" in document else "make that the first line",
                excerpt=place.excerpt() if "format" in document else "",
            )
        )

    def _layouts(self, entries: Any, converter: Converter, places: Places) -> dict[str, Any]:
        """The file's own layouts; one with a mistake is there with no variables."""
        if not isinstance(entries, dict):
            converter.convert(entries, dict[str, schema.LayoutTable], "layouts")
            return {}
        layouts = {}
        for name, entry in entries.items():
            converted = converter.convert(entry, schema.LayoutTable, "layouts", name)
            if isinstance(entry, dict) and not entry:
                place = places.find("layouts", name)
                self.problems.append(
                    Problem(
                        f"layout '{name}' has no variables",
                        str(place),
                        expected='kernel = "weight", or the like',
                        excerpt=place.excerpt(),
                    )
                )
            whole = converted is not None and len(converted) == len(entry)
            layouts[name] = normalise(converted) if whole else {}
        return layouts

    def _include(self, entry: str | schema.Include, path: Path, place: Place) -> RuleFile | None:
        include = schema.Include(file=entry) if isinstance(entry, str) else entry
        file = path.parent / include.file
        if not file.is_file():
            file = shipped_path(include.file) or file
        try:
            if not file.is_file() or file.resolve() in self._open:
                raise RuleError(
                    "the rule file includes itself" if file.is_file() else "no such rule file to include",
                    where=str(place),
                    found=include.file,
                    expected="a path relative to this file, or a shipped name",
                    excerpt=place.excerpt(include.file),
                )
            return included(self.read(file), include, place)
        except RuleError as error:
            self.problems += error.problems
            self.incomplete = True
            return None

    def _merged(
        self, kind: str, parts: list[Mapping[str, Any]], own: Mapping[str, Any], place: Place
    ) -> dict[str, Any]:
        """What the included files declare, then the file's own, which wins."""
        merged: dict[str, Any] = {}
        for part in parts:
            for name, value in part.items():
                if name not in own and merged.get(name, value) != value:
                    self.problems.append(
                        Problem(
                            f"included files differ in what {kind} '{name}' is",
                            str(place),
                            fix=f"rename one, or declare {kind} '{name}' in this file",
                            excerpt=place.excerpt(),
                        )
                    )
                merged[name] = value
        return {**merged, **own}


def _places(
    included: list[Mapping[str, Place]], section: str, names: Iterable[str], places: Places
) -> dict[str, Place]:
    inherited = {name: place for part in included for name, place in part.items()}
    return inherited | {name: places.find(section, name) for name in names}


def _own_layouts(file: RuleFile) -> dict[str, Any]:
    return {name: file.layouts[name] for name in file.layout_places}


def _parse(text: str, places: Places) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _TOML_PLACE.search(str(error))
        if match and match[1]:
            place = places.at(int(match[1]), int(match[2]) - 1)
        else:
            last = max((i for i, line in enumerate(places.lines, 1) if line.strip()), default=1)
            place = places.at(last, len(places.lines[last - 1]))
        raise RuleError(
            "the rule file is not valid TOML",
            where=str(place),
            found=_TOML_PLACE.sub("", str(error)),
            fix=_toml_fix(str(error), place)
            if match and match[1]
            else "close the bracket, brace or quote that is still open",
            excerpt=place.excerpt(),
        ) from error


def _toml_fix(message: str, place: Place) -> str:
    """The likeliest remedy for what ``tomllib`` complains of."""
    if "\\" in message or "escape" in message:
        return "regexes go between single quotes: 'layer<i>\\.conv'"
    if "Invalid value" in message:
        return "texts go between quotes"
    if place.text[place.start : place.start + 1] in _REGEX_SIGNS and ("'=' after" in message or "statement" in message):
        return "a regex goes between single quotes on the left too: 'layer<i>\\.conv' = ..."
    if "overwrite" in message:
        return (
            "[[...]] and [...] exclude each other under one name: a file has one of them"
            if place.text.lstrip().startswith("[[")
            else "a key stands twice in one table; each rule has a row, or a [[...]], of its own"
        )
    if "twice" in message:
        return "a table stands in one place: put these rows below its first header"
    return ""
