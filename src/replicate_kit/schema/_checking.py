"""Check a value against a JSON schema, and say what is wrong in the words of gojsonschema.

Those are the words that Replicate's own API answers with (its recorded 422 responses), so that a problem found before
a request reads the same as one that the server found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["Problem", "check", "fitting_inputs", "resolve"]

Schema = Mapping[str, Any]


class Problem(NamedTuple):
    """One thing that is wrong with an input: gojsonschema's type of error, the field, and a sentence."""

    type: str
    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field}: {self.description}"


def check(
    value: Any, schema: Schema, document: Schema | None = None, *, field: str = "input"
) -> list[Problem]:
    """List what is wrong with `value`; an empty list means that it fits.

    A list has so many entries as people read: where more is wrong, the last one says how much. Names that came with
    the value are shortened in it.

    `document` is where `$ref`s lead. Python values that JSON lacks (an open file, a path) pass where the schema wants a
    file (`"format": "uri"`): a client uploads them later.

    >>> check({"n": 5}, {"type": "object", "properties": {"n": {"type": "integer", "maximum": 4}}})
    [Problem(type='number_lte', field='input.n', description='Must be less than or equal to 4')]
    """
    problems = _check(value, schema, document or schema, field)
    found = [_shortened(each) for each in islice(problems, MOST)]
    if more := sum(1 for _ in problems):
        found.append(Problem("more", field, f"There are {more} more problems, which are not listed"))
    return found


MOST = 50
_LONGEST = 100  # characters of a field's name; those of schemas are shorter


def _shortened(problem: Problem) -> Problem:
    """Cut the name of a field, which may be anything that was sent; it is told apart by how it ends."""
    field = problem.field
    return (
        problem
        if len(field) <= 4 * _LONGEST
        else problem._replace(field=f"{field[:_LONGEST]}…{field[-_LONGEST:]}")
    )


def _cut(name: object) -> str:
    """Cut a name that came with the value."""
    text = str(name)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def resolve(schema: Any, document: Schema) -> Schema:
    """Follow `$ref`s inside `document`; a reference that leads nowhere allows everything."""
    if type(schema) is dict and "$ref" not in schema:  # as nearly all are
        return schema
    seen: set[str] = set()
    while isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str) and schema["$ref"] not in seen:
        seen.add(schema["$ref"])
        schema = _look_up(schema["$ref"], document)
    return schema if isinstance(schema, Mapping) else {}


def fitting_inputs(schema: Schema, document: Schema) -> Mapping[str, frozenset[type]] | None:
    """The Python types of which every value fits, by property; None where more is said of an object as a whole.

    A property has none where more is said of it than its type.

    >>> properties = {"n": {"type": "integer"}, "size": {"type": "integer", "maximum": 4}}
    >>> fitting_inputs({"type": "object", "properties": properties}, {})
    {'n': frozenset({<class 'int'>}), 'size': frozenset()}
    """
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or schema.get("type", "object") != "object":
        return None
    if not _GENERAL.isdisjoint(schema):
        return None
    return {name: _fitting_types(each, document) for name, each in properties.items()}


def _fitting_types(schema: Any, document: Schema) -> frozenset[type]:
    """The same for one property."""
    schema = resolve(schema, document)
    wanted = schema.get("type")
    if not isinstance(wanted, str) or not (_GENERAL | _OF_ONE_TYPE).isdisjoint(schema):
        return frozenset()
    fitting = _FITTING.get(wanted, frozenset())
    return fitting | {type(None)} if schema.get("nullable") else fitting


def _look_up(pointer: str, document: Schema) -> Any:
    """Find what a JSON pointer such as `#/components/schemas/Input` names."""
    found: Any = document
    for part in pointer.removeprefix("#/").split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


def _check(value: Any, schema: Any, document: Schema, field: str) -> Iterator[Problem]:
    """Check one value: its kind first, and only if that fits what depends on it."""
    schema = resolve(schema, document)
    if value is None and schema.get("nullable"):
        return
    if _is_file(value, schema):
        return
    given = _name(value)
    wrong = _wrong_type(given, schema, field)
    if wrong is not None:
        yield wrong
        return
    if not _GENERAL.isdisjoint(schema):
        yield from _choices(value, schema, field)
        yield from _combined(value, schema, document, field)
    if given in _CHECKERS:
        yield from _CHECKERS[given](value, schema, document, field)


def _is_file(value: Any, schema: Schema) -> bool:
    """Whether a Python object stands for a file where the schema wants one."""
    return schema.get("format") == "uri" and not isinstance(value, str | int | float | Mapping | list | None)


_NAMES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (type(None), "null"),
    (Mapping, "object"),
    ((list, tuple), "array"),
)


# What JSON is decoded into, but for fractions, which may be whole.
_EXACT = {bool: "boolean", int: "integer", str: "string", dict: "object", list: "array"}


def _name(value: Any) -> str:
    """JSON's name for the type of `value`."""
    if name := _EXACT.get(type(value)):
        return name
    for types, name in _NAMES:
        if isinstance(value, types):
            return "integer" if isinstance(value, float) and value.is_integer() else name
    name = type(value).__name__
    return f"Python's {name}" if name in _CHECKERS else name


def _wrong_type(given: str, schema: Schema, field: str) -> Problem | None:
    """Find out whether the type fits; a whole number such as 4.0 is an integer, as in JSON schema."""
    wanted = schema.get("type")
    names: list[str] = [wanted] if isinstance(wanted, str) else list(wanted or ())
    if not names or given in names or (given == "integer" and "number" in names):
        return None
    return Problem("invalid_type", field, f"Invalid type. Expected: {'/'.join(names)}, given: {given}")


def _choices(value: Any, schema: Schema, field: str) -> Iterator[Problem]:
    """Check `enum` and `const`."""
    name = _cut(field.rpartition(".")[2])
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        allowed = ", ".join(json.dumps(each, ensure_ascii=False) for each in schema["enum"])
        yield Problem("enum", field, f"{name} must be one of the following: {allowed}")
    if "const" in schema and not _same(value, schema["const"]):
        yield Problem(
            "const", field, f"{name} does not match: {json.dumps(schema['const'], ensure_ascii=False)}"
        )


def _same(value: Any, other: Any) -> bool:
    """Compare as JSON does: true is not 1."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _combined(value: Any, schema: Schema, document: Schema, field: str) -> Iterator[Problem]:
    """Check `allOf`, `anyOf` and `oneOf`."""
    for each in schema.get("allOf", ()):
        yield from _check(value, each, document, field)
    for key, enough, kind, text in _ALTERNATIVES:
        if key in schema:
            fitting = sum(not list(_check(value, each, document, field)) for each in schema[key])
            if not enough(fitting):
                yield Problem(kind, field, text)


_ALTERNATIVES: tuple[tuple[str, Callable[[int], bool], str, str], ...] = (
    ("anyOf", lambda fitting: fitting > 0, "number_any_of", "Must validate at least one schema (anyOf)"),
    ("oneOf", lambda fitting: fitting == 1, "number_one_of", "Must validate one and only one schema (oneOf)"),
)


def _number(value: float, schema: Schema, document: Schema, field: str) -> Iterator[Problem]:
    """Check bounds and step."""
    low, above = _bounds(schema.get("minimum"), schema.get("exclusiveMinimum"))
    high, below = _bounds(schema.get("maximum"), schema.get("exclusiveMaximum"))
    if low is not None and value < low:
        yield Problem("number_gte", field, f"Must be greater than or equal to {low}")
    if above is not None and value <= above:
        yield Problem("number_gt", field, f"Must be greater than {above}")
    if high is not None and value > high:
        yield Problem("number_lte", field, f"Must be less than or equal to {high}")
    if below is not None and value >= below:
        yield Problem("number_lt", field, f"Must be less than {below}")
    step = schema.get("multipleOf")
    if step and not _divides(step, value):
        yield Problem("multiple_of", field, f"Must be a multiple of {step}")


def _divides(step: float, value: float) -> bool:
    """Whether `value` is a multiple of `step`, but for what floating point makes of it."""
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    try:
        return abs(value / step - round(value / step)) < 1e-9
    except (OverflowError, ValueError):
        return False


def _bounds(bound: Any, exclusive: Any) -> tuple[Any, Any]:
    """Tell inclusive from exclusive: OpenAPI 3.0 writes the latter as a boolean beside it, JSON schema as a number."""
    if exclusive is True:
        return None, bound
    return bound, None if exclusive is False else exclusive


def _string(value: str, schema: Schema, document: Schema, field: str) -> Iterator[Problem]:
    """Check length, pattern and format."""
    if len(value) < schema.get("minLength", 0):
        yield Problem(
            "string_gte", field, f"String length must be greater than or equal to {schema['minLength']}"
        )
    if len(value) > schema.get("maxLength", len(value)):
        yield Problem(
            "string_lte", field, f"String length must be less than or equal to {schema['maxLength']}"
        )
    pattern = schema.get("pattern")
    if pattern is not None and not re.search(pattern, value):
        yield Problem("pattern", field, f"Does not match pattern '{pattern}'")
    if schema.get("format") == "uri" and not _is_uri(value):
        yield Problem("format", field, "Does not match format 'uri'")


def _is_uri(text: str) -> bool:
    """Whether `text` is an absolute URI."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme) and " " not in text


def _array(value: Sequence[Any], schema: Schema, document: Schema, field: str) -> Iterator[Problem]:
    """Check the number of items, and each of them."""
    if len(value) < schema.get("minItems", 0):
        yield Problem("array_min_items", field, f"Array must have at least {schema['minItems']} items")
    if len(value) > schema.get("maxItems", len(value)):
        yield Problem("array_max_items", field, f"Array must have at most {schema['maxItems']} items")
    if "items" in schema:
        for index, item in enumerate(value):
            yield from _check(item, schema["items"], document, f"{field}.{index}")


def _object(value: Mapping[str, Any], schema: Schema, document: Schema, field: str) -> Iterator[Problem]:
    """Check that what is required is there, what is there is allowed, and each property."""
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem("required", field, f"{name} is required")
    for name, each in value.items():
        if name in properties:
            yield from _check(each, properties[name], document, f"{field}.{name}")
        elif schema.get("additionalProperties") is False:
            yield Problem(
                "additional_property_not_allowed", field, f"Additional property {_cut(name)} is not allowed"
            )


_GENERAL = frozenset({"enum", "const", "allOf", "anyOf", "oneOf"})  # what is said of values of any type
# What is said of texts and numbers.
_OF_ONE_TYPE = frozenset(
    {
        *("minLength", "maxLength", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    }
)
_FITTING: Mapping[str, frozenset[type]] = {
    "boolean": frozenset({bool}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "string": frozenset({str}),
}

_CHECKERS: Mapping[str, Callable[[Any, Schema, Schema, str], Iterator[Problem]]] = {
    "object": _object,
    "string": _string,
    "integer": _number,
    "number": _number,
    "array": _array,
}
