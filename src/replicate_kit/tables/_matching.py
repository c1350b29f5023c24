"""Which of a model's inputs a series fills, and whether the names in `input=` are those of the model."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from replicate_kit._formats.wording import did_you_mean, shown_names
from replicate_kit.errors import InputError
from replicate_kit.schema import ModelSchema
from replicate_kit.tables._markers import col, is_bound

__all__ = ["are_whole", "check_names", "conversions", "input_of_series", "input_of_table", "whole"]


def input_of_series(
    schema: ModelSchema | None,
    name: object,
    input: Mapping[str, Any],
    into: str | None,
    model: object,
    advice: str = "Name it with into=.",
) -> Mapping[str, Any]:
    """Add the series to the inputs that were given: under `into`, else under its own name, else as the only
    required input that is still open.

    Where something in `input` is made of the series already, it need not fill another one. Raises `InputError`
    that lists the model's inputs where it cannot be told which one is meant.
    """
    filled = into or _by_name(schema, name, input) or _only_open(schema, input)
    if filled is None and any(map(is_bound, input.values())):
        return input
    if filled is None or filled in input:
        raise InputError(_unclear(schema, name, input, filled, model, advice))
    return {**input, filled: col("")}


def input_of_table(
    schema: ModelSchema | None,
    columns: Iterable[Hashable],
    model: object,
    advice: str = "Say what fills them: input={'prompt': col('…')}.",
) -> Mapping[str, Any]:
    """Fill the inputs that have the names of columns; a null leaves out one that is not required.

    Raises `InputError` that lists the model's inputs where no column has the name of one.
    """
    names = list(dict.fromkeys(columns))
    known = schema.properties if schema else {}
    found = {name: col(name, optional=name not in _required(schema)) for name in known if name in names}
    if found:
        return found
    listing = _inputs(schema) if schema else f"The API shows no schema of {model}."
    raise InputError(
        f"No column has the name of an input of {model}, so nothing was created. {advice} "
        f"{listing} The columns are: {shown_names(names)}."
    )


def _required(schema: ModelSchema | None) -> tuple[str, ...]:
    """The inputs that must be given."""
    return schema.required if schema else ()


def _by_name(schema: ModelSchema | None, name: object, input: Mapping[str, Any]) -> str | None:
    """The input that has the name of the series."""
    known = schema.properties if schema else ()
    return name if isinstance(name, str) and name in known and name not in input else None


def _only_open(schema: ModelSchema | None, input: Mapping[str, Any]) -> str | None:
    """The one required input that nothing fills yet."""
    required = [name for name in _required(schema) if name not in input]
    return required[0] if len(required) == 1 else None


def _unclear(
    schema: ModelSchema | None,
    name: object,
    input: Mapping[str, Any],
    filled: str | None,
    model: object,
    advice: str,
) -> str:
    """Say why the series fills no input, and what to write."""
    if filled is not None:
        return (
            f"The series and input= both fill {filled!r}, so nothing was created. Leave it out of input=, or name "
            "another with into=. To use the series inside a text, write "
            f"input={{{filled!r}: template('… {{}} …')}} without into=."
        )
    if schema is None:
        return (
            f"The API shows no schema of {model}, so it is not known which input the series {name!r} fills, and "
            f"nothing was created. {advice}"
        )
    given = f" besides {shown_names(input)}" if input else ""
    return (
        f"It is unclear which input of {model} the series {name!r} fills{given}, so nothing was created. "
        f"{advice} {_inputs(schema)}"
    )


def check_names(schema: ModelSchema | None, input: Iterable[str], model: object) -> None:
    """Refuse inputs that the model does not have; raises `InputError` that lists those that it has."""
    known = schema.properties if schema else {}
    unknown = [name for name in input if name not in known] if known else []
    if schema and unknown:
        raise InputError(
            f"{model} has no input {shown_names(map(repr, unknown))}, so nothing was created."
            f"{did_you_mean(unknown[0], known)} {_inputs(schema)} To send it all the same, pass check_input=False."
        )


def _inputs(schema: ModelSchema) -> str:
    """List a model's inputs."""
    required = schema.required
    names = [f"{name} (required)" if name in required else name for name in schema.properties]
    return f"Its inputs are: {shown_names(names)}."


def conversions(schema: ModelSchema | None) -> dict[str, Callable[[Any], Any]]:
    """What cells become for the inputs that they fill: a column of whole numbers that has nulls often holds floats,
    which are made whole again.
    """
    known = schema.properties if schema else {}
    return {name: whole for name, each in known.items() if each.get("type") == "integer"}


def are_whole(values: Iterable[float | None]) -> bool:
    """Whether all numbers of a column are whole: it is one of whole numbers, then, whose host has floats alone.

    From 2**53 on a float stands for several whole numbers, and nobody knows which of them was meant.
    """
    return all(each is None or (each.is_integer() and abs(each) < 2**53) for each in values)


def whole(value: Any) -> Any:
    """Make a whole number of a float that is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
