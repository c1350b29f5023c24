"""A table and what was said of a model's inputs → the inputs of its rows, or one clear error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from replicate_kit.errors import InputError
from replicate_kit.schema import ModelSchema
from replicate_kit.tables._adapters import columns_of, is_dataset
from replicate_kit.tables._checking import check_constants, check_kind
from replicate_kit.tables._columns import Columns, OneColumn, is_null
from replicate_kit.tables._filling import Table
from replicate_kit.tables._markers import col
from replicate_kit.tables._matching import check_names, conversions, input_of_series, input_of_table
from replicate_kit.tables._rows import Rows, fill

__all__ = ["bind", "rows_of"]

_INTO_OF_TABLE = (
    "into={0!r} is for a Series. For a table, say which column fills the input: input={{{0!r}: col('…')}}. Nothing was "
    "created."
)

_NAME_IT = "Pass a list of mappings, such as [{'prompt': …}]."
_RENAME = "Rename a column to the name of the input that it fills, or pass a list of mappings."


def bind(
    table: Any,
    input: Mapping[str, Any] | None = None,
    schema: ModelSchema | None = None,
    *,
    model: object = "the model",
    into: str | None = None,
    check_input: bool = True,
    dedupe: bool = True,
    convert: Mapping[str, Callable[[Any], Any]] | None = None,
) -> Rows:
    """Give the inputs of the rows of a table; rows with a null in what they are made of are left out.

    `table` is `Columns`, `OneColumn`, or a table of pandas, polars or Arrow. `input` says what fills each of the
    model's inputs: `col`, `template`, a function of a row, or a constant. Without it columns fill the inputs of their
    names, which `schema` tells, and a series fills the one that `into` names, that has its name, or that alone is
    required.

    `model` is what messages call the model. `check_input` refuses names that the model does not have, `dedupe` an
    `input` that would be the same in all rows. `convert` has, for some inputs, a function that cells go through;
    without it floats that are whole become whole numbers where `schema` asks for those.

    Raises `InputError`, before anything is spent, where it is unclear what is meant, for columns that are not there,
    and for functions and templates that fail.

    >>> from replicate_kit.tables import Cells, OneColumn, bind
    >>> list(bind(OneColumn("prompt", Cells.of(["sea", None])), into="prompt"))
    [{'prompt': 'sea'}]
    """
    check_kind(input)
    if not isinstance(table, Columns | OneColumn):
        table = _seen(table)
    if isinstance(table, OneColumn):
        input = input_of_series(schema, table.name, input or {}, into, model)
    elif into is not None:
        raise InputError(_INTO_OF_TABLE.format(into))
    else:
        input = input_of_table(schema, table.names, model) if input is None else input
        check_constants(input, table.names, dedupe=dedupe)
    if check_input:
        check_names(schema, input, model)
    return fill(table, input, conversions(schema) if convert is None else convert)


def _seen(data: Any) -> Table:
    """See a table as columns; raises `InputError` for what is none."""
    if (table := columns_of(data)) is None:
        raise InputError(
            f"The table is a {type(data).__name__}. Pass Columns, OneColumn, or a table of pandas, polars or Arrow."
        )
    return table


def rows_of(
    data: Any, schema: ModelSchema | None = None, *, model: object = "the model"
) -> Iterable[Any] | None:
    """Give one input for each row of a table or series of pandas, polars or Arrow, or of a dataset of Hugging Face;
    None for anything else.

    Columns fill the inputs of their names, all of them where the model shows no schema. A series fills the one that
    has its name, or that alone is required, unless it has the rows themselves in it. A null is left out. Raises
    `InputError` where no column has the name of an input.
    """
    if is_dataset(data):
        return _rows_of_dataset(data, schema, model)
    table = columns_of(data)
    if table is None:
        return None
    if isinstance(table, OneColumn):
        if any(isinstance(each, Mapping) for each in table.cells("").values):
            return list(table.cells("").values)
        filled = input_of_series(schema, table.name, {}, None, model, _NAME_IT)
        (name,) = filled
        cells = table.cells("")
        table = Columns([name], lambda _: cells, len(table), table.label)
        names = [name]
    elif schema is None or not schema.properties:
        names = [str(each) for each in table.names]
    else:
        names = list(input_of_table(schema, table.names, model, _RENAME))
    return fill(table, {name: col(name, optional=True) for name in names}, conversions(schema))


def _rows_of_dataset(data: Any, schema: ModelSchema | None, model: object) -> Iterable[dict[str, Any]]:
    """Read a dataset row by row, and of its columns the model's inputs alone; one that streams may not know them."""
    if data.column_names and schema and schema.properties:
        data = data.select_columns(list(input_of_table(schema, data.column_names, model, _RENAME)))
    convert = conversions(schema)
    return (
        {name: convert.get(name, _as_it_is)(cell) for name, cell in row.items() if not is_null(cell)}
        for row in data
    )


def _as_it_is(cell: Any) -> Any:
    """Leave a cell alone."""
    return cell
