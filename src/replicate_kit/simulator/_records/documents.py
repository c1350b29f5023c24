"""Check OpenAPI documents of records: what is no schema would fail at each prediction, or take the page down."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from replicate_kit.schema import Problem, check

__all__ = ["wrong_schemas"]

_COMBINED = ("allOf", "anyOf", "oneOf")
_KINDS = ("string", "integer", "number", "boolean", "array", "object", "null")
_KIND: dict[str, Any] = {"type": "string", "enum": list(_KINDS)}
_TEXT = {"type": "string"}
_MAYBE_TEXT = {"type": "string", "nullable": True}
_SOME: dict[str, Any] = {"type": "array", "minItems": 1}
_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number"}
_BOUND = {"type": ["number", "boolean"]}
_OBJECT = {"type": "object"}
# What a schema says of itself: of JSON schema and OpenAPI 3.0, that which is read here, by clients or by the page.
_SCHEMA = {
    "type": "object",
    "properties": {
        "type": {"anyOf": [_KIND, {**_SOME, "items": _KIND}]},
        **dict.fromkeys(("title", "description"), _MAYBE_TEXT),
        **dict.fromkeys(("$ref", "format", "pattern", "x-cog-array-type", "x-cog-array-display"), _TEXT),
        **dict.fromkeys(("enum", *_COMBINED), _SOME),
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _COUNT),
        **dict.fromkeys(("minimum", "maximum", "x-order"), _NUMBER),
        **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), _BOUND),
        "multipleOf": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
        "nullable": {"type": "boolean"},
        "required": {"type": "array", "items": _TEXT},
        "properties": _OBJECT,
        "items": _OBJECT,
        "additionalProperties": {"type": ["boolean", "object"]},
    },
}


def wrong_schemas(document: Any, path: str) -> Iterator[Problem]:
    """What is no schema in a document; nothing if it is no such document at all."""
    schemas: Any = document
    for name in ("components", "schemas"):
        schemas = schemas.get(name) if isinstance(schemas, Mapping) else None
    todo = [(f"{path}.components.schemas.{name}", each) for name, each in _items(schemas)]
    while todo:  # how deep a schema is nested takes nothing of Python's stack
        at, schema = todo.pop()
        problems = check(schema, _SCHEMA, field=at)
        yield from problems or _of_texts(schema, document, at)
        if not problems:
            todo += _inner(schema, at)


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []


def _of_texts(schema: Mapping[str, Any], document: Any, at: str) -> Iterator[Problem]:
    """What is wrong with texts that mean something."""
    pointer, pattern = schema.get("$ref"), schema.get("pattern", "")
    if pointer is not None and _look_up(pointer, document) is None:
        yield Problem("ref", f"{at}.$ref", f"{pointer!r} leads to no schema of the document")
    elif pointer is not None and _leads_back(pointer, document):
        yield Problem("ref", f"{at}.$ref", f"{pointer!r} leads back to itself, and never to a value")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        yield Problem("pattern", f"{at}.pattern", f"{pattern!r} is no regular expression: {error}")


def _look_up(pointer: str, document: Any) -> Mapping[str, Any] | None:
    found = document if pointer.startswith("#/") else None
    for part in pointer.removeprefix("#/").split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _leads_back(pointer: str, document: Any) -> bool:
    """Whether a reference comes to itself again before anything else is said of the value."""
    seen: set[str] = set()
    todo: list[Any] = [_look_up(pointer, document)]
    while todo:
        schema = todo.pop()
        if not isinstance(schema, Mapping):
            continue
        for name in _COMBINED:
            todo += schema[name] if isinstance(schema.get(name), list) else ()
        following = schema.get("$ref")
        if following == pointer:
            return True
        if isinstance(following, str) and following not in seen:
            seen.add(following)
            todo.append(_look_up(following, document))
    return False


def _inner(schema: Mapping[str, Any], at: str) -> Iterator[tuple[str, Any]]:
    """The schemas in a schema."""
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            yield f"{at}.{name}", schema[name]
    for name, each in _items(schema.get("properties")):
        yield f"{at}.properties.{name}", each
    for name in _COMBINED:
        for index, each in enumerate(schema.get(name, ())):
            yield f"{at}.{name}.{index}", each
