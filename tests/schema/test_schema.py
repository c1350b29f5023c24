from __future__ import annotations

import dataclasses
import enum
import inspect
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, NamedTuple, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit.schema import (
    AsyncConcatenateIterator,
    ConcatenateIterator,
    Field,
    ModelSchema,
    Problem,
    SchemaError,
    check,
    openapi,
)


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@dataclasses.dataclass
class Picture:
    image: Path
    title: str


class Pair(TypedDict):
    left: Path
    right: int


class Point(NamedTuple):
    x: float
    y: float


def paint(
    prompt: Annotated[str, Field(description="What to paint", min_length=1)],
    image: Path | None = None,
    size: Size = Size.SMALL,
    format: Annotated[Literal["jpg", "png"], Field(description="How")] = "png",
    steps: Annotated[int, Field(ge=1, le=4)] = 4,
    guidance: Annotated[float, Field(gt=0, lt=20)] = 3.5,
    masks: list[Path] = [],  # noqa: B006
    more: dict[str, Any] | None = None,
) -> list[Path]: ...


def inputs_of(function: Any) -> dict[str, Any]:
    return dict(openapi(function)["components"]["schemas"]["Input"])


def output_of(function: Any) -> dict[str, Any]:
    return dict(openapi(function)["components"]["schemas"]["Output"])


def returning(hint: Any) -> dict[str, Any]:
    def function() -> None: ...

    function.__annotations__["return"] = hint
    return output_of(function)


def test_parameters_become_properties_in_order() -> None:
    properties = inputs_of(paint)["properties"]
    assert list(properties) == [each.name for each in inspect.signature(paint).parameters.values()]
    assert [each["x-order"] for each in properties.values()] == list(range(8))
    assert properties["prompt"] == {
        "type": "string",
        "description": "What to paint",
        "minLength": 1,
        "title": "Prompt",
        "x-order": 0,
    }


def test_parameters_without_default_are_required() -> None:
    assert inputs_of(paint)["required"] == ["prompt"]
    assert "required" not in inputs_of(lambda: None)


def test_choices_are_components_that_are_referred_to() -> None:
    schemas = openapi(paint)["components"]["schemas"]
    assert schemas["Input"]["properties"]["format"] == {
        "allOf": [{"$ref": "#/components/schemas/format"}],
        "description": "How",
        "default": "png",
        "x-order": 3,
    }
    assert schemas["format"]["enum"] == ["jpg", "png"]
    assert schemas["size"] == {
        "title": "size",
        "description": "An enumeration.",
        "enum": ["small", "large"],
        "type": "string",
    }


def test_bounds_become_keywords() -> None:
    properties = inputs_of(paint)["properties"]
    assert (properties["steps"]["minimum"], properties["steps"]["maximum"]) == (1, 4)
    assert (properties["guidance"]["exclusiveMinimum"], properties["guidance"]["exclusiveMaximum"]) == (0, 20)


def test_files_are_uris() -> None:
    properties = inputs_of(paint)["properties"]
    assert properties["image"] == {
        "type": "string",
        "format": "uri",
        "nullable": True,
        "title": "Image",
        "x-order": 1,
    }
    assert properties["masks"]["items"] == {"type": "string", "format": "uri"}
    for hint in (bytes, Path, io.BytesIO, BinaryIO):
        assert returning(hint) == {"title": "Output", "type": "string", "format": "uri"}


def test_iterators_are_marked() -> None:
    grows = {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator", "title": "Output"}
    assert returning(Iterator[str]) == grows
    assert returning(AsyncIterator[str]) == grows
    joined = {**grows, "x-cog-array-display": "concatenate"}
    assert returning(ConcatenateIterator[str]) == joined
    assert returning(AsyncConcatenateIterator[str]) == joined


def test_generators_without_annotations_are_iterators() -> None:
    def count():  # type: ignore[no-untyped-def]
        yield 1

    async def acount():  # type: ignore[no-untyped-def]
        yield 1

    assert output_of(count)["x-cog-array-type"] == "iterator"
    assert output_of(acount)["x-cog-array-type"] == "iterator"


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (str, {"type": "string"}),
        (Any, {}),
        (None, {"nullable": True}),
        (dict[str, int], {"type": "object"}),
        (list, {"type": "array", "items": {}}),
        (int | None, {"type": "integer", "nullable": True}),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (Literal[1, "a"], {"enum": [1, "a"]}),
        (Point, {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}}),
    ],
)
def test_a_type_has_a_schema(hint: Any, expected: dict[str, Any]) -> None:
    assert returning(hint) == {"title": "Output", **expected}


def test_a_function_that_cannot_be_a_model_says_why() -> None:
    def positional(value: int, /) -> None: ...
    def strange(value: set[complex]) -> None: ...
    def unknown(value: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(SchemaError, match="'value' cannot be given by name"):
        openapi(positional)
    with pytest.raises(SchemaError, match=r"'value': .*complex.* has no JSON schema"):
        openapi(strange)
    with pytest.raises(SchemaError, match="unknown need names it cannot see"):
        openapi(unknown)


def test_the_document_has_the_components_that_models_publish() -> None:
    schemas = openapi(paint)["components"]["schemas"]
    assert {"Input", "Output", "Status", "WebhookEvent", "PredictionRequest", "PredictionResponse"} <= set(
        schemas
    )


def test_markers_of_other_packages_are_read_by_attribute() -> None:
    class Interval:
        ge = 2

    class Info:
        description = "Counted"
        metadata = (Interval(),)

    def count(n: Annotated[int, Info()]) -> None: ...

    count.__annotations__["n"] = Annotated[int, Info()]
    assert inputs_of(count)["properties"]["n"]["minimum"] == 2
    assert inputs_of(count)["properties"]["n"]["description"] == "Counted"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({}, ("required", "input", "prompt is required")),
        ({"prompt": 1}, ("invalid_type", "input.prompt", "Invalid type. Expected: string, given: integer")),
        ({"prompt": None}, ("invalid_type", "input.prompt", "Invalid type. Expected: string, given: null")),
        ({"prompt": ""}, ("string_gte", "input.prompt", "String length must be greater than or equal to 1")),
        ({"prompt": "a", "steps": 5}, ("number_lte", "input.steps", "Must be less than or equal to 4")),
        ({"prompt": "a", "steps": 0}, ("number_gte", "input.steps", "Must be greater than or equal to 1")),
        (
            {"prompt": "a", "steps": 1.5},
            ("invalid_type", "input.steps", "Invalid type. Expected: integer, given: number"),
        ),
        (
            {"prompt": "a", "steps": True},
            ("invalid_type", "input.steps", "Invalid type. Expected: integer, given: boolean"),
        ),
        ({"prompt": "a", "guidance": 0}, ("number_gt", "input.guidance", "Must be greater than 0")),
        ({"prompt": "a", "guidance": 20}, ("number_lt", "input.guidance", "Must be less than 20")),
        (
            {"prompt": "a", "format": "gif"},
            ("enum", "input.format", 'format must be one of the following: "jpg", "png"'),
        ),
        ({"prompt": "a", "image": "cat.png"}, ("format", "input.image", "Does not match format 'uri'")),
        ({"prompt": "a", "image": "http://[x"}, ("format", "input.image", "Does not match format 'uri'")),
        (
            {"prompt": "a", "masks": [5]},
            ("invalid_type", "input.masks.0", "Invalid type. Expected: string, given: integer"),
        ),
        (
            {"prompt": "a", "sede": 1},
            ("additional_property_not_allowed", "input", "Additional property sede is not allowed"),
        ),
    ],
)
def test_a_problem_is_told_in_gojsonschemas_words(
    value: dict[str, Any], problem: tuple[str, str, str]
) -> None:
    assert ModelSchema(openapi(paint)).check(value) == [Problem(*problem)]


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": "a"},
        {"prompt": "a", "image": None, "steps": 4.0, "guidance": 3, "more": {"x": [1]}},
        {
            "prompt": "a",
            "image": io.BytesIO(b"picture"),
            "masks": [Path("mask.png"), "https://example.com/m.png"],
        },
        {"prompt": "a", "image": "data:image/png;base64,AAAA", "size": "large"},
    ],
)
def test_an_input_that_fits_has_no_problems(value: dict[str, Any]) -> None:
    assert ModelSchema(openapi(paint)).check(value) == []


@pytest.mark.parametrize(
    ("schema", "value", "kinds"),
    [
        ({"multipleOf": 0.1}, 0.3, []),
        ({"multipleOf": 8}, 12, ["multiple_of"]),
        ({"minimum": 1, "exclusiveMinimum": True}, 1, ["number_gt"]),
        ({"maximum": 1, "exclusiveMaximum": True}, 1, ["number_lt"]),
        ({"pattern": "^a"}, "b", ["pattern"]),
        ({"maxLength": 1}, "ab", ["string_lte"]),
        ({"minItems": 1}, [], ["array_min_items"]),
        ({"maxItems": 1}, [1, 2], ["array_max_items"]),
        ({"const": 1}, True, ["const"]),
        ({"enum": [1]}, True, ["enum"]),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, 1.5, ["number_any_of"]),
        ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, 1, ["number_one_of"]),
        ({"type": ["string", "null"]}, None, []),
        ({"type": ["string", "null"]}, 1, ["invalid_type"]),
        ({"$ref": "#/nowhere/to/be"}, 1, []),
        ({"$ref": "#"}, 1, []),
        ({"type": "integer"}, object(), ["invalid_type"]),
        ({"type": "object"}, object(), ["invalid_type"]),  # whose type has the name of JSON's
    ],
)
def test_keywords_are_checked(schema: dict[str, Any], value: Any, kinds: list[str]) -> None:
    assert [problem.type for problem in check(value, schema)] == kinds


def test_strict_finds_inputs_that_the_schema_does_not_know() -> None:
    document = {"components": {"schemas": {"Input": {"type": "object", "properties": {"a": {}}}}}}
    assert ModelSchema(document).check({"b": 1}) == []
    assert [each.type for each in ModelSchema(document).check({"b": 1}, strict=True)] == [
        "additional_property_not_allowed"
    ]


@pytest.mark.parametrize("document", [None, {}, {"components": {"schemas": {}}}])
def test_a_model_without_schema_allows_everything(document: dict[str, Any] | None) -> None:
    model = ModelSchema(document)
    assert model.check({"anything": 1}, strict=True) == []
    assert not model.is_iterator
    assert not model.has_files
    assert model.required == ()
    assert model.map_files({"a": ["https://x"]}, str.upper) == {"a": ["https://x"]}


def test_kinds_of_output_are_known() -> None:
    def poet() -> ConcatenateIterator[str]: ...  # type: ignore[empty-body]

    assert ModelSchema(openapi(poet)).is_iterator
    assert ModelSchema(openapi(poet)).is_concatenated
    assert not ModelSchema(openapi(poet)).has_files
    assert ModelSchema(openapi(paint)).has_files
    assert not ModelSchema(openapi(paint)).is_iterator


def test_required_inputs_and_files_are_listed_in_x_order() -> None:
    properties = {
        "b": {"x-order": 1, "type": "string", "format": "uri"},
        "a": {"x-order": 0},
        "c": {"x-order": 2},
    }
    document = {"components": {"schemas": {"Input": {"properties": properties, "required": ["b", "a"]}}}}
    model = ModelSchema(document)
    assert model.required == ("a", "b")
    assert list(model.properties) == ["a", "b", "c"]
    assert model.file_inputs == {"b"}
    assert ModelSchema(openapi(paint)).file_inputs == {"image", "masks"}


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (Path, "u", "<u>"),
        (str, "https://u", "https://u"),
        (list[Path], ["a", "b"], ["<a>", "<b>"]),
        (Picture, {"image": "u", "title": "t", "more": 1}, {"image": "<u>", "title": "t", "more": 1}),
        (Pair, {"left": "u", "right": 1}, {"left": "<u>", "right": 1}),
        (Path | None, None, None),
        (list[Path] | Path, "https://u", "<https://u>"),
    ],
)
def test_files_are_found_where_the_schema_says(hint: Any, value: Any, expected: Any) -> None:
    schema = {"components": {"schemas": {"Output": returning(hint)}}}
    assert ModelSchema(schema).map_files(value, lambda url: f"<{url}>") == expected


def test_files_are_found_in_one_item_of_an_iterator() -> None:
    model = ModelSchema({"components": {"schemas": {"Output": returning(Iterator[Path])}}})
    assert model.map_files("u", str.upper, item=True) == "U"


def test_a_schema_that_refers_to_itself_ends() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Output"}}}
    assert not ModelSchema({"components": {"schemas": {"Output": tree}}}).has_files


def test_the_signature_has_required_inputs_first_and_defaults() -> None:
    signature = ModelSchema(openapi(paint)).signature()
    assert list(signature.parameters)[:2] == ["prompt", "image"]
    assert signature.parameters["prompt"].default is inspect.Parameter.empty
    assert signature.parameters["steps"].default == 4
    assert signature.parameters["steps"].annotation is int
    assert signature.parameters["image"].default is None
    assert signature.parameters["format"].annotation == Literal["jpg", "png"]
    assert signature.return_annotation == list[str]


def test_the_signature_says_what_comes_back() -> None:
    def poet() -> ConcatenateIterator[str]: ...  # type: ignore[empty-body]
    def frames() -> Iterator[Path]: ...  # type: ignore[empty-body]

    assert ModelSchema(openapi(poet)).signature().return_annotation is str
    assert ModelSchema(openapi(frames)).signature().return_annotation == Iterator[str]
    assert ModelSchema({}).signature().return_annotation is Any


GLANCED = {
    "type": "object",
    "required": ["prompt"],
    "properties": {
        "prompt": {"type": "string"},
        "seed": {"type": "integer", "nullable": True},
        "scale": {"type": "number", "minimum": 0, "maximum": 4},
        "fast": {"type": "boolean"},
        "size": {"allOf": [{"enum": ["s", "m"]}]},
        "any": {"description": "Whatever one likes."},
    },
}


@given(
    input=st.dictionaries(
        st.sampled_from([*GLANCED["properties"], "other", 1]),
        st.one_of(st.none(), st.booleans(), st.integers(-1, 5), st.floats(), st.sampled_from(["s", "l"])),
        max_size=4,
    ),
    closed=st.booleans(),
    combined=st.booleans(),
)
def test_a_glance_finds_what_a_look_at_all_of_it_finds(
    input: dict[Any, Any], closed: bool, combined: bool
) -> None:
    inputs: dict[str, Any] = {**GLANCED, "additionalProperties": not closed}
    if combined:
        inputs["anyOf"] = [{"required": ["seed"]}, {"required": ["fast"]}]
    schema = ModelSchema({"components": {"schemas": {"Input": inputs}}})
    assert schema.check(input) == check(input, schema.input, schema.document)
