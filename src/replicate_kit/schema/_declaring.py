"""Declare a model's OpenAPI schema from the signature of a Python function, in the dialect that Cog publishes."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import io
import pathlib
import types
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import IO, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from replicate_kit.schema._cog import document

__all__ = ["AsyncConcatenateIterator", "ConcatenateIterator", "Field", "SchemaError", "openapi"]

T = TypeVar("T")


class SchemaError(TypeError):
    """A function's signature has no JSON schema."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """What an annotation cannot say of an input: `Annotated[int, Field(ge=1, le=4, description="…")]`.

    `ge`, `gt`, `le`, `lt` bound numbers (inclusive, exclusive); `min_length` and `max_length` bound texts and lists;
    `pattern` is a regular expression; `format` is JSON schema's (`"password"` hides an input on web pages).
    """

    description: str | None = None
    title: str | None = None
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    multiple_of: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    format: str | None = None


class _Concatenated:
    """Marks an iterator whose items are chunks of one text."""


ConcatenateIterator = Annotated[Iterator[T], _Concatenated]
AsyncConcatenateIterator = Annotated[AsyncIterator[T], _Concatenated]

_SIMPLE: Mapping[Any, Mapping[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    dict: {"type": "object"},
    list: {"type": "array", "items": {}},
    type(None): {"nullable": True},
    Any: {},
    object: {},
}
_FILES = (bytes, bytearray, pathlib.PurePath, io.IOBase)
_LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Collection)
_ITERATORS = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.Iterable,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)
# Which JSON schema keyword says what an attribute of Field (or of pydantic's and annotated_types' markers) says.
_KEYWORDS = (
    ("description", "description"),
    ("title", "title"),
    ("ge", "minimum"),
    ("gt", "exclusiveMinimum"),
    ("le", "maximum"),
    ("lt", "exclusiveMaximum"),
    ("multiple_of", "multipleOf"),
    ("pattern", "pattern"),
    ("format", "format"),
)


def openapi(
    function: Callable[..., Any], /, *, input: str = "Input", output: str = "Output"
) -> dict[str, Any]:
    """Describe `function` as Cog describes a model: its parameters are the inputs, what it returns is the output.

    Understood are str, int, float, bool, dict, lists, `Literal`, enums, Optional, dataclasses and typed dictionaries;
    `Path`, `bytes` and binary files are files; iterators are outputs that grow. Raises `SchemaError` for anything else.

    >>> openapi(lambda: None)["components"]["schemas"]["Input"]["properties"]
    {}
    """
    definitions: dict[str, Any] = {}
    hints = _hints(function)
    schema = _inputs(function, hints, definitions)
    return document({**definitions, input: {**schema, "title": input}, output: _output(function, hints)})


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Evaluate a function's annotations."""
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        name = getattr(function, "__qualname__", repr(function))
        raise SchemaError(
            f"The annotations of {name} need names it cannot see ({error}). Import them."
        ) from error


def _inputs(
    function: Callable[..., Any], hints: Mapping[str, Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    """Describe the parameters; `**kwargs` lets any other input pass."""
    properties: dict[str, Any] = {}
    required, more = [], False
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            more = True
        elif parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
            raise SchemaError(
                f"Parameter {name!r} cannot be given by name, so it cannot be an input of a model."
            )
        else:
            properties[name] = _property(name, parameter, hints.get(name, Any), len(properties), definitions)
            required += [name] if parameter.default is inspect.Parameter.empty else []
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return schema if more else {**schema, "additionalProperties": False}


def _property(
    name: str, parameter: inspect.Parameter, hint: Any, order: int, definitions: dict[str, Any]
) -> dict[str, Any]:
    """Describe one input."""
    try:
        schema = _schema(hint)
    except SchemaError as error:
        raise SchemaError(f"Parameter {name!r}: {error}") from None
    if "enum" in schema:
        described: dict[str, Any] = {
            key: schema.pop(key) for key in ("description", "nullable") if key in schema
        }
        definitions[name] = {"title": name, "description": "An enumeration.", **schema}
        schema = {"allOf": [{"$ref": f"#/components/schemas/{name}"}], **described}
    else:
        schema.setdefault("title", name.replace("_", " ").title())
    if parameter.default not in (inspect.Parameter.empty, None):
        schema["default"] = _plain(parameter.default)
    return {**schema, "x-order": order}


def _plain(default: Any) -> Any:
    """A default value as JSON."""
    if isinstance(default, enum.Enum):
        return default.value
    return str(default) if isinstance(default, pathlib.PurePath) else default


def _output(function: Callable[..., Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Describe what the function gives."""
    inner = inspect.unwrap(function)
    generates = inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)
    hint = hints.get("return", Iterator[Any] if generates else Any)
    schema = _iterator(hint) or _schema(hint)
    return {"title": "Output", **schema}


def _iterator(hint: Any) -> dict[str, Any] | None:
    """Describe an output that grows item by item, or decline."""
    joined = get_origin(hint) is Annotated and _Concatenated in hint.__metadata__
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if (get_origin(hint) or hint) not in _ITERATORS:
        return None
    items = _schema((get_args(hint) or (Any,))[0])
    schema = {"type": "array", "items": items, "x-cog-array-type": "iterator"}
    return {**schema, "x-cog-array-display": "concatenate"} if joined else schema


def _schema(hint: Any) -> dict[str, Any]:
    """Describe a type."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _constrained(_schema(args[0]), args[1:])
    if origin is Literal:
        return _enumeration(list(args))
    if origin in (Union, types.UnionType):
        return _union(args)
    if origin in _LISTS:
        return {"type": "array", "items": _schema(args[0]) if args else {}}
    if origin in (dict, collections.abc.Mapping, collections.abc.MutableMapping):
        return {"type": "object"}
    if origin is IO or hint in (IO, typing.BinaryIO):
        return {"type": "string", "format": "uri"}
    return _class(hint)


def _class(hint: Any) -> dict[str, Any]:
    """Describe a class."""
    if isinstance(hint, collections.abc.Hashable) and hint in _SIMPLE:
        return dict(_SIMPLE[hint])
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _enumeration([member.value for member in hint])
    if isinstance(hint, type) and issubclass(hint, _FILES):
        return {"type": "string", "format": "uri"}
    if dataclasses.is_dataclass(hint) or typing.is_typeddict(hint) or hasattr(hint, "_fields"):
        fields = get_type_hints(hint, include_extras=True)
        return {"type": "object", "properties": {name: _schema(each) for name, each in fields.items()}}
    raise SchemaError(
        f"{hint!r} has no JSON schema. Use str, int, float, bool, list, dict, Literal, an Enum or Path."
    )


def _enumeration(values: list[Any]) -> dict[str, Any]:
    """Describe a choice between values of one type."""
    kinds = {type(value) for value in values}
    kind = _SIMPLE.get(kinds.pop(), {}) if len(kinds) == 1 else {}
    return {"enum": values, **kind}


def _union(args: tuple[Any, ...]) -> dict[str, Any]:
    """Describe `A | B`; `None` among them makes it nullable."""
    others = [_schema(each) for each in args if each is not type(None)]
    schema = others[0] if len(others) == 1 else {"anyOf": others}
    return {**schema, "nullable": True} if len(others) < len(args) else schema


def _constrained(schema: dict[str, Any], markers: tuple[Any, ...]) -> dict[str, Any]:
    """Add what markers say. They are read by attribute, so that those of annotated_types and pydantic serve as well."""
    length = "Items" if schema.get("type") == "array" else "Length"
    keywords = (*_KEYWORDS, ("min_length", f"min{length}"), ("max_length", f"max{length}"))
    for marker in (each for outer in markers for each in (outer, *getattr(outer, "metadata", ()))):
        for attribute, keyword in keywords:
            value = getattr(marker, attribute, None)
            if value is not None and not callable(value):
                schema[keyword] = value
    return schema
