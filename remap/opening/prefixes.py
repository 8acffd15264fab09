"""Prefixes that wrapped models put before every key: taken off where they are known, or as the caller says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from remap.errors import CheckpointError, UsageError
from remap.formats.tree import Tree
from remap.tensors.tensor import Skipped

OUTER = ("module.", "_orig_mod.", "_forward_module.")
INNER = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
LIGHTNING = "model."
COUNTERS = ("n_averaged",)


class Keys:
    """The entries of a state_dict while prefixes are taken off.

    >>> keys = Keys({"module.a": 1, "module.b": 2}, "x.pt")
    >>> keys.strip_known(lightning=False)
    >>> keys.entries, keys.peeled
    ({'a': 1, 'b': 2}, ["prefix 'module.'"])
    """

    def __init__(self, entries: dict[str, Tree], where: str) -> None:
        self.entries = entries
        self.where = where
        self.peeled: list[str] = []
        self.skipped: list[Skipped] = []

    def strip(self, patterns: Sequence[str], lightning: bool) -> None:
        r"""Take off what the caller's patterns say, then the usual wrappers, then what the patterns say of the rest.

        With patterns a wrapper that only some keys have is left to them.

        Raises:
            UsageError, CheckpointError: As for the two others.

        >>> keys = Keys({"module.bert.a": 1, "module.head": 2}, "x.pt")
        >>> keys.strip([r"bert\."], lightning=False)
        >>> list(keys.entries)
        ['a', 'head']
        """
        self.strip_patterns(patterns)
        before = len(self.peeled)
        self.strip_known(lightning, lenient=bool(patterns))
        if len(self.peeled) > before:
            self.strip_patterns(patterns)

    def strip_patterns(self, strip: Sequence[str]) -> None:
        """Take off the prefix that each pattern matches, in turn, from every key that has it.

        Raises:
            UsageError: A pattern is no regular expression.
            CheckpointError: Two keys become one.
        """
        for text in strip:
            try:
                pattern = re.compile(text)
            except re.error as error:
                raise UsageError("strip is no regular expression", found=text, expected=str(error)) from error
            names = [name[match.end() :] if (match := pattern.match(name)) else name for name in self.entries]
            count = sum(new != old for new, old in zip(names, self.entries, strict=True))
            if count:
                self._rename(names, f"prefix {text!r} of {count} keys")

    def strip_known(self, lightning: bool, lenient: bool = False) -> None:
        """Take off the prefixes of the usual wrappers; ``model.`` only from a Lightning file.

        Raises:
            CheckpointError: Only some of the keys have one; not where ``lenient``, which leaves it.
        """
        while prefix := next((each for each in OUTER if any(name.startswith(each) for name in self.entries)), ""):
            self._drop_counters()
            if lenient and not all(name.startswith(prefix) for name in self.entries):
                break
            self._demand_everywhere(prefix)
            self._rename([name[len(prefix) :] for name in self.entries], f"prefix {prefix!r}")
        names = [INNER.sub("", name) for name in self.entries]
        if names != list(self.entries):
            self._rename(names, "wrappers inside of names: _orig_mod, _fsdp_wrapped_module, _checkpoint_wrapped_module")
        if lightning and self.entries and all(name.startswith(LIGHTNING) for name in self.entries):
            self._rename([name[len(LIGHTNING) :] for name in self.entries], f"prefix {LIGHTNING!r} of Lightning")

    def _drop_counters(self) -> None:
        for name in COUNTERS:
            if self.entries.pop(name, None) is not None:
                self.skipped.append(Skipped(name, "counter of an averaged model"))

    def _demand_everywhere(self, prefix: str) -> None:
        without = [name for name in self.entries if not name.startswith(prefix)]
        if without:
            raise CheckpointError(
                f"only some keys have the prefix {prefix!r}",
                where=self.where,
                found=f"{len(self.entries) - len(without)} with it, {len(without)} without: {', '.join(without[:4])}",
                fix=f"say what is meant: strip = ['{re.escape(prefix)}'] under [source] takes it off where it is",
            )

    def _rename(self, names: list[str], what: str) -> None:
        if len(set(names)) != len(names):
            twice = [name for name, count in Counter(names).items() if count > 1]
            raise CheckpointError(
                "without their prefixes several tensors have one name",
                where=self.where,
                found=", ".join(twice[:8]),
                fix="say which prefixes to take off: strip under [source]",
            )
        self.peeled.append(what)
        self.entries = dict(zip(names, self.entries.values(), strict=True))
