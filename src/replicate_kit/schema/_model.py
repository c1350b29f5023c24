"""What a model's published OpenAPI document says of its inputs and outputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any, Literal, get_args

from replicate_kit.schema._checking import MOST, Problem, check, fitting_inputs, resolve
from replicate_kit.schema._misplaced import misplaced

__all__ = ["ModelSchema"]

_PYTHON_TYPES: Mapping[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "object": dict,
}
_LEADING = frozenset({"$ref", "allOf"})  # keys of a schema that is to be found elsewhere, or in part


class ModelSchema:
    """The `openapi_schema` of a version, as its `versions` and `models` endpoints give it.

    >>> ModelSchema({"components": {"schemas": {"Output": {"type": "string", "format": "uri"}}}}).has_files
    True
    """

    def __init__(self, document: Mapping[str, Any] | None, /) -> None:
        self.document: Mapping[str, Any] = document or {}

    @cached_property
    def input(self) -> Mapping[str, Any]:
        """The schema of the inputs; empty if the document has none."""
        return self._component("Input")

    @cached_property
    def output(self) -> Mapping[str, Any]:
        """The schema of the output; empty if the document has none."""
        return self._component("Output")

    @cached_property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """Each input's schema, `$ref`s and `allOf` folded in, in the order of the model's author (`x-order`)."""
        given = self.input.get("properties", {})
        folded = {name: _fold(each, self.document) for name, each in given.items()}
        return dict(sorted(folded.items(), key=lambda item: item[1].get("x-order", len(folded))))

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The inputs that have to be given, in `x-order`."""
        return tuple(name for name in self.properties if name in self.input.get("required", ()))

    @cached_property
    def file_inputs(self) -> frozenset[str]:
        """The inputs that are a file, or a list of files."""
        return frozenset(name for name, each in self.properties.items() if _has_files(each, self.document))

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """The values of the inputs that may be left out, as far as the schema names them."""
        return {name: each["default"] for name, each in self.properties.items() if "default" in each}

    @cached_property
    def secret_inputs(self) -> frozenset[str]:
        """The inputs that are a secret, or hold one; the API shows them redacted (its documentation of secrets).

        >>> secret = {"type": "string", "format": "password", "x-cog-secret": True}
        >>> schema = ModelSchema({"components": {"schemas": {"Input": {"properties": {"key": secret}}}}})
        >>> schema.secret_inputs
        frozenset({'key'})
        """
        return frozenset(
            name for name, each in self.properties.items() if _holds(each, self.document, _is_secret)
        )

    @property
    def is_iterator(self) -> bool:
        """Whether the model gives its output item by item while it works."""
        return self.output.get("x-cog-array-type") == "iterator"

    @property
    def is_concatenated(self) -> bool:
        """Whether the items are chunks of one text."""
        return self.output.get("x-cog-array-display") == "concatenate"

    @cached_property
    def has_files(self) -> bool:
        """Whether there are files anywhere in the output."""
        return _has_files(self.output, self.document)

    @property
    def gives_files(self) -> bool:
        """Whether the output is a list of files.

        >>> files = {"type": "array", "items": {"type": "string", "format": "uri"}}
        >>> ModelSchema({"components": {"schemas": {"Output": files}}}).gives_files
        True
        """
        items = self.output.get("items", {})
        return self.output.get("type") == "array" and resolve(items, self.document).get("format") == "uri"

    @cached_property
    def is_plain(self) -> bool:
        """Whether the output is made of text, numbers and truth values alone; False where the schema leaves it open.

        >>> ModelSchema({"components": {"schemas": {"Output": {"type": "string"}}}}).is_plain
        True
        """
        return bool(self.output) and not _holds(self.output, self.document, _may_be_file)

    def check(self, input: Mapping[str, Any], /, *, strict: bool = False) -> list[Problem]:
        """List what is wrong with `input`. `strict` also finds inputs that the schema does not know."""
        if not strict and type(input) is dict and self._certainly_fits(input):
            return []
        return check(input, self._strict_input if strict else self.input, self.document)

    def _certainly_fits(self, input: dict[str, Any]) -> bool:
        """Whether nothing is wrong with an input, at a glance; where that is not certain, all of it is checked."""
        fitting = self._fitting
        if fitting is None or not self._needed <= input.keys():
            return False
        for name, value in input.items():
            types = fitting.get(name)
            if types is None:
                return False
            if type(value) not in types and check(value, self.input["properties"][name], self.document):
                return False
        return True

    @cached_property
    def _needed(self) -> frozenset[str]:
        """The inputs that have to be given, in no order."""
        return frozenset(self.input.get("required", ()))

    @cached_property
    def _fitting(self) -> Mapping[str, frozenset[type]] | None:
        """The types of which every value fits, for each input."""
        return fitting_inputs(self.input, self.document)

    def misplaced_files(self, input: Mapping[str, Any], is_file: Callable[[Any], bool], /) -> list[Problem]:
        """List the files, as `is_file` tells them, that stand for inputs which are none, such as a prompt's text."""
        return list(islice(misplaced(input, self.input, self.document, is_file), MOST))

    @cached_property
    def _strict_input(self) -> Mapping[str, Any]:
        """The schema of the inputs that allows no others, if there is one."""
        return {**self.input, "additionalProperties": False} if self.input else self.input

    def map_files(self, value: Any, function: Callable[[str], Any], /, *, item: bool = False) -> Any:
        """Copy an output, or one `item` of an iterator's, with each file's URL replaced by `function(url)`."""
        if not self.has_files and _is_flat(value):
            return list(value) if isinstance(value, list) else value
        return _map_files(
            value, self.output.get("items", {}) if item else self.output, self.document, function
        )

    def signature(self) -> inspect.Signature:
        """The inputs as keyword parameters, in `x-order`, those that are required first."""
        names = sorted(self.properties, key=lambda name: name not in self.required)
        return inspect.Signature([self._parameter(name) for name in names], return_annotation=self._returns())

    def _component(self, name: str) -> Mapping[str, Any]:
        return resolve({"$ref": f"#/components/schemas/{name}"}, self.document)

    def _parameter(self, name: str) -> inspect.Parameter:
        """One input as a parameter; one that may be left out and has no default gets None."""
        schema = self.properties[name]
        default = inspect.Parameter.empty if name in self.required else schema.get("default")
        return inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=_python_type(schema, self.document),
        )

    def _returns(self) -> Any:
        """What the model gives, as a Python type."""
        if self.is_concatenated:
            return str
        kind = _python_type(self.output, self.document)
        return Iterator[get_args(kind)] if self.is_iterator and get_args(kind) else kind  # type: ignore[misc]


def _fold(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Merge what `$ref` and `allOf` lead to under what stands beside them."""
    folded: dict[str, Any] = {}
    for each in schema.get("allOf", ()):
        folded.update(resolve(each, document))
    own = resolve(schema, document)
    folded.update({key: value for key, value in own.items() if key != "allOf"})
    return folded


def _has_files(schema: Any, document: Mapping[str, Any]) -> bool:
    """Look for `"format": "uri"`."""
    return _holds(schema, document, lambda found: found.get("format") == "uri")


def _may_be_file(schema: Mapping[str, Any]) -> bool:
    """Whether a value is a file, or may be anything."""
    if schema.get("format") == "uri":
        return True
    kind = schema.get("type")
    if kind == "array":
        return not schema.get("items")
    if kind == "object":
        return not schema.get("properties") or bool(schema.get("additionalProperties"))
    return kind is None and not any(schema.get(key) for key in ("allOf", "anyOf", "oneOf", "enum", "const"))


def _is_secret(schema: Mapping[str, Any]) -> bool:
    """Whether a value is one that the API does not show: Cog writes both marks for its `Secret`."""
    return schema.get("format") == "password" or bool(schema.get("x-cog-secret"))


def _holds(
    schema: Any, document: Mapping[str, Any], is_it: Callable[[Mapping[str, Any]], bool], depth: int = 8
) -> bool:
    """Look for a schema of a kind, not deeper than anybody nests (schemas may refer to themselves)."""
    found = resolve(schema, document)
    if is_it(found):
        return True
    inner = [found.get("items"), *found.get("properties", {}).values()]
    inner += [each for key in ("allOf", "anyOf", "oneOf") for each in found.get(key, ())]
    return depth > 0 and any(_holds(each, document, is_it, depth - 1) for each in inner if each)


def _is_flat(value: Any) -> bool:
    """Whether a value is no structure, or a list of such: of a streamed text that may be of thousands."""
    if isinstance(value, list):
        return not any(isinstance(each, list | Mapping) for each in value)
    return not isinstance(value, Mapping)


def _map_files(value: Any, schema: Any, document: Mapping[str, Any], function: Callable[[str], Any]) -> Any:
    """Walk a value beside its schema; how deep it is nested takes nothing of Python's stack."""
    whole = [value]
    todo: list[tuple[Any, Any, Any]] = [(whole, 0, schema)]
    while todo:
        holder, at, each_schema = todo.pop()
        each = holder[at]
        found = _chosen(each, each_schema, document)
        if isinstance(each, str):
            holder[at] = function(each) if found.get("format") == "uri" else each
        elif isinstance(each, list):
            copied, items = list(each), found.get("items", {})
            holder[at] = copied
            todo += [(copied, index, items) for index in reversed(range(len(copied)))]
        elif isinstance(each, Mapping):
            mapped, known = dict(each), found.get("properties", {})
            holder[at] = mapped
            todo += [(mapped, name, known.get(name, {})) for name in reversed(mapped)]
    return whole[0]


def _chosen(value: Any, schema: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that says of a value what is a file in it: of several, the first with files that it fits."""
    found: Mapping[str, Any] = schema
    if type(schema) is not dict or not _LEADING.isdisjoint(schema):  # few of the many values of an output
        found = _fold(resolve(schema, document), document)
    for each in (*found.get("anyOf", ()), *found.get("oneOf", ())):
        if _has_files(each, document) and not check(value, each, document):
            return _chosen(value, each, document)
    return found


def _python_type(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    """The Python type that a JSON schema describes; `Any` where it does not say."""
    found = _fold(resolve(schema, document), document)
    if found.get("enum"):
        return Literal[tuple(found["enum"])]
    if found.get("type") == "array":
        return list[_python_type(found.get("items", {}), document)]  # type: ignore[misc]
    name = found.get("type")
    return _PYTHON_TYPES.get(name, Any) if isinstance(name, str) else Any
