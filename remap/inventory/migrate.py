"""Inventories that were saved by earlier versions, brought to the present format."""

from __future__ import annotations

from typing import Any


def migrated(data: Any) -> Any:
    """A file of format 1, where every variable had fields for each output format, as one of format 2.

    What is no inventory comes back as it is, for its reader to refuse.

    >>> migrated({"variables": [{"path": "a", "weights_h5": ["vars/0"], "legacy_h5": ["a", "a:0"]}]})
    {'variables': [{'path': 'a', 'places': {'weights_h5': [['vars/0']], 'legacy_h5': [['a', 'a:0']]}}]}
    """
    if type(data) is not dict or type(data.get("variables")) is not list:
        return data
    rest = {key: value for key, value in data.items() if key not in ("format", "variables")}
    return {**rest, "variables": [_variable(each) if type(each) is dict else each for each in data["variables"]]}


def _variable(old: dict[str, Any]) -> dict[str, Any]:
    fields = dict(old)
    datasets, legacy, copies = (fields.pop(name, None) for name in ("weights_h5", "legacy_h5", "legacy_copies"))
    tracked, tracked_copies = fields.pop("tf_object", None), fields.pop("tf_copies", None)
    places = {
        "weights_h5": [[path] for path in datasets or ()],
        "legacy_h5": [
            *([legacy] if legacy is not None else []),
            *([copy["layer"], copy["name"], str(copy["index"])] for copy in copies or ()),
        ],
        "tf_object": [[key] for key in (tracked, *(tracked_copies or ())) if key is not None],
    }
    return {**fields, "places": {format: kept for format, kept in places.items() if kept}}
