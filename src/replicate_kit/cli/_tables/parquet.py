"""Parquet, read and written a batch of rows at a time; pyarrow is an optional part."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import click

from replicate_kit._formats.wording import escaped
from replicate_kit.cli._cells import HALF, Remarks, as_text, has_half
from replicate_kit.cli._tables.unreadable import TableError

__all__ = ["import_parquet", "read_parquet", "read_types", "write_parquet"]

_BATCH = 4096  # rows that are read and written at once


def read_types(path: Path) -> list[tuple[str, Any]]:
    """Name the columns of a file, with their types."""
    with _opened(path) as file:
        return [(field.name, field.type) for field in file.schema_arrow]


def read_parquet(path: Path) -> Generator[dict[str, Any]]:
    """Give the rows of a file as dicts."""
    with _opened(path) as file:
        for batch in file.iter_batches(_BATCH):
            yield from batch.to_pylist()


def write_parquet(
    file: BinaryIO,
    names: Mapping[str, str],
    rows: Iterable[Mapping[str, Any]],
    types: Mapping[str, Any],
    remarks: Remarks,
) -> None:
    """Write rows as a file. `names` are the columns, with the names that they have there; `types` are those of columns
    that have one, as pyarrow's or by their names.

    The others get the type that fits all of their values: a column may begin with nulls. One whose values are of
    several kinds has them as the texts that a CSV would have, so that nothing that was paid for cannot be written.
    """
    arrow = _arrow()
    chunks: dict[str, list[Any]] = {name: [] for name in names}
    remaining, first = iter(rows), 1
    while taken := list(islice(remaining, _BATCH)):
        for name, column in chunks.items():
            values = _without_halves([row.get(name) for row in taken], name, first, remarks)
            column.append(_array(values, types.get(name)))
        first += len(taken)
    joined = {names[name]: _joined(column, types.get(name)) for name, column in chunks.items()}
    _write(arrow.table(joined), file)


def _write(table: Any, file: BinaryIO) -> None:
    """Write a table; columns of types that Parquet turns out not to know, as texts."""
    parquet, arrow = import_parquet(), _arrow()
    try:
        parquet.write_table(table, file)
    except arrow.ArrowException:
        file.seek(0)
        file.truncate()
        texts = {name: _texts(table.column(name).to_pylist()) for name in table.column_names}
        parquet.write_table(arrow.table(texts), file)


def _without_halves(values: list[Any], name: str, first: int, remarks: Remarks) -> list[Any]:
    """Write halves of surrogate pairs as escapes, wherever they stand; most columns have none."""
    try:
        halves = {position for position, each in enumerate(values) if has_half(each)}
    except RecursionError:
        return [as_text(each) for each in values]
    for position in sorted(halves):
        remarks.note(HALF, f"row {first + position}, column {name!r}")
    return [_escaped(each) if position in halves else each for position, each in enumerate(values)]


def _escaped(value: Any) -> Any:
    """Write halves of surrogate pairs in a value as escapes."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, Mapping):
        return {_escaped(key): _escaped(each) for key, each in value.items()}
    return list(map(_escaped, value)) if isinstance(value, list | tuple) else value


def _array(values: list[Any], type: Any) -> Any:
    """Make a part of a column."""
    arrow = _arrow()
    try:
        made = arrow.array(values, type)
        made.validate(full=True)  # bytes beside texts in a list are taken for texts, whatever they are
    except (arrow.ArrowException, OverflowError, ValueError, TypeError, RecursionError):
        return _texts(values)
    return made if _can_be_written(made.type) else _texts(values)


def _texts(values: list[Any]) -> Any:
    """Make a part of a column of texts."""
    arrow = _arrow()
    return arrow.array([as_text(each) for each in values], arrow.string())


def _can_be_written(type: Any) -> bool:
    """Whether Parquet knows a type: it has no structures without fields."""
    types = _arrow().types
    if types.is_struct(type):
        return type.num_fields > 0 and all(_can_be_written(each.type) for each in type)
    return not types.is_list(type) or _can_be_written(type.value_type)


def _joined(parts: list[Any], type: Any) -> Any:
    """Join the parts of a column, which need not have the same type."""
    arrow = _arrow()
    if not parts:
        return arrow.array([], type or arrow.null())
    tables = [arrow.table({"column": part}) for part in parts]
    try:
        return arrow.concat_tables(tables, promote_options="permissive").column(0)
    except arrow.ArrowException:
        return arrow.chunked_array([_texts(part.to_pylist()) for part in parts])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file to be read."""
    parquet = import_parquet()
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except _arrow().ArrowException as error:
        raise TableError(
            f"{path} cannot be read as Parquet: {str(error).rstrip('.')}. Write it anew, or name another file."
        ) from None


def _arrow() -> Any:
    """Import pyarrow."""
    return import_module("pyarrow")


def import_parquet() -> Any:
    """Import what reads and writes Parquet: an optional part, asked for by name."""
    try:
        return import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise click.ClickException(
            "Parquet needs pyarrow. Install it with: pip install pyarrow\nOr use a table in CSV or JSON lines."
        ) from None
