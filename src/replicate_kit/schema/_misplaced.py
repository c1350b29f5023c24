"""Find files among inputs that are no files, such as the bytes of a text as a prompt.

Such a file would become a data URL, which has the type that the schema wants: the model would be paid for, with the
data URL as its prompt. So it is found in the Python values, before they are encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

from replicate_kit.schema._checking import Problem, Schema, resolve

__all__ = ["misplaced"]

_DEEPEST = 50  # levels; whatever is nested more deeply is told about when it is encoded
# Formats of texts that stand for content: cog says "uri", the others are those of OpenAPI and JSON schema.
_CONTENT = frozenset({"uri", "uri-reference", "url", "iri", "data-url", "binary", "byte", "base64"})
_ADVICE = {
    "string": "Takes text, not a file. Pass the text that is in it: path.read_text(), handle.read() of a file that is "
    "open as text, or content.decode()",
}


def misplaced(
    value: Any, schema: Any, document: Schema, is_file: Callable[[Any], bool], field: str = "input"
) -> Iterator[Problem]:
    """List the files in `value` that stand where the schema wants something else; `is_file` tells a file.

    Where the schema says nothing, as of an input of any type, a file may stand.

    >>> schema = {"properties": {"prompt": {"type": "string"}, "image": {"type": "string", "format": "uri"}}}
    >>> found = misplaced({"prompt": b"a", "image": b"a"}, schema, {}, lambda value: type(value) is bytes)
    >>> [problem.field for problem in found]
    ['input.prompt']
    """
    return _misplaced(value, schema, document, is_file, field, _DEEPEST)


def _misplaced(
    value: Any, schema: Any, document: Schema, is_file: Callable[[Any], bool], field: str, levels: int
) -> Iterator[Problem]:
    """Look at a value, and at what is in it."""
    if value is None or type(value) in (str, int, float, bool) or not levels:
        return
    if not is_file(value) and callable(getattr(value, "tolist", None)):
        value = value.tolist()  # numpy's arrays and scalars, and pandas' columns
    if is_file(value):
        if not _takes_file(schema, document, levels):
            yield _problem(schema, document, field)
        return
    for name, each, inner in _parts(value, schema, document):
        yield from _misplaced(each, inner, document, is_file, f"{field}.{name}", levels - 1)


def _parts(value: Any, schema: Any, document: Schema) -> Iterator[tuple[Any, Any, Any]]:
    """Give what is in a value: its name or position, itself, and what the schema says of it."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield name, each, _property(schema, name, document)
        return
    if isinstance(value, list | tuple | Set):
        items = _items(schema, document)
        for index, each in enumerate(value):
            yield index, each, items


def _property(schema: Any, name: Any, document: Schema) -> Any:
    """What the schema says of one property; nothing where it leaves a choice."""
    return resolve(schema, document).get("properties", {}).get(name, {})


def _items(schema: Any, document: Schema) -> Any:
    """What the schema says of the items of a list: its own words, or those of the alternative that is a list."""
    schema = resolve(schema, document)
    lists = [each for each in _alternatives(schema, document) if "items" in each]
    return schema.get("items", lists[0]["items"] if len(lists) == 1 else {})


def _alternatives(schema: Schema, document: Schema) -> list[Schema]:
    """The schemas of which one, or all, are to hold."""
    return [resolve(each, document) for key in ("anyOf", "oneOf", "allOf") for each in schema.get(key, ())]


def _takes_file(schema: Any, document: Schema, levels: int) -> bool:
    """Whether a file may stand where this schema holds."""
    schema = resolve(schema, document)
    inner = _alternatives(schema, document)
    if inner and levels:
        return any(_takes_file(each, document, levels - 1) for each in inner)
    wanted = schema.get("type")
    if wanted is None:
        return "enum" not in schema
    if wanted == "string" or (isinstance(wanted, list) and "string" in wanted):
        return schema.get("format") in _CONTENT or "contentEncoding" in schema or "contentMediaType" in schema
    return False


def _problem(schema: Any, document: Schema, field: str) -> Problem:
    """Say what is wanted in place of a file."""
    schema = resolve(schema, document)
    kinds = [schema.get("type"), *(each.get("type") for each in _alternatives(schema, document))]
    wanted = [str(each) for each in kinds if each and each != "null"]
    expected = "/".join(dict.fromkeys(wanted)) or "one of several values"
    advice = _ADVICE.get(expected, f"Invalid type. Expected: {expected}, given: a file")
    return Problem("invalid_type", field, advice)
