"""Take answers of the API for records: some say what records say, by other names or in another place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["unpasted"]


def unpasted(records: Any) -> Any:
    """Copy records, with entries that are answers of the API written as the format has them.

    >>> unpasted({"collections": [{"slug": "s", "models": [{"owner": "a", "name": "b"}]}]})
    {'collections': [{'slug': 's', 'models': ['a/b']}]}
    """
    if not isinstance(records, Mapping):
        return records
    return {name: _entries(entries, _FORMS.get(name)) for name, entries in records.items()}


def _entries(entries: Any, form: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None) -> Any:
    if form is None or not isinstance(entries, list):
        return entries
    return [form(each) if isinstance(each, Mapping) else each for each in entries]


def _deployment(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an answer says of the current release, the deployment itself says in records (OpenAPI: deployments.get)."""
    release = entry.get("current_release")
    if not isinstance(release, Mapping) or not isinstance(release.get("configuration", {}), Mapping):
        return entry
    said = {name: release[name] for name in ("model", "version") if name in release}
    numbers = ("hardware", "min_instances", "max_instances")
    said |= {name: each for name, each in release.get("configuration", {}).items() if name in numbers}
    return {**said, **{name: each for name, each in entry.items() if name != "current_release"}}


def _collection(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """An answer has whole models (OpenAPI: collections.get)."""
    models = entry.get("models")
    return {**entry, "models": [_name(each) for each in models]} if isinstance(models, list) else entry


def _name(model: Any) -> Any:
    if (
        isinstance(model, Mapping)
        and isinstance(model.get("owner"), str)
        and isinstance(model.get("name"), str)
    ):
        return f"{model['owner']}/{model['name']}"
    return model


_FORMS = {"deployments": _deployment, "collections": _collection}
