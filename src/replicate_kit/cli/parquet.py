"""Parquet, read and written a batch of rows at a time; pyarrow is an optional part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import click

from replicate_kit.cli.cells import as_text

__all__ = ["import_parquet", "read_parquet", "read_types", "write_parquet"]

_BATCH = 4096  # rows that are read and written at once


def read_types(path: Path) -> list[tuple[str, Any]]:
    """Name the columns of a file, with their types."""
    with _opened(path) as file:
        return [(field.name, field.type) for field in file.schema_arrow]


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """Give the rows of a file as dicts."""
    with _opened(path) as file:
        for batch in file.iter_batches(_BATCH):
            yield from batch.to_pylist()


def write_parquet(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], types: Mapping[str, Any]
) -> None:
    """Write rows as a file. `types` are those of columns that have one, as pyarrow's or by their names.

    The others get the type that fits all of their values: a column may begin with nulls. One whose values are of
    several kinds has them as the texts that a CSV would have, so that nothing that was paid for cannot be written.
    """
    arrow, parquet = _arrow(), import_parquet()
    chunks: dict[str, list[Any]] = {name: [] for name in columns}
    remaining = iter(rows)
    while taken := list(islice(remaining, _BATCH)):
        for name, column in chunks.items():
            column.append(_array([row.get(name) for row in taken], types.get(name)))
    joined = {name: _joined(column, types.get(name)) for name, column in chunks.items()}
    parquet.write_table(arrow.table(joined), path)


def _array(values: list[Any], type: Any) -> Any:
    """Make a part of a column."""
    arrow = _arrow()
    try:
        made = arrow.array(values, type)
    except (arrow.ArrowException, OverflowError):
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
        raise click.ClickException(f"{path} cannot be read as Parquet: {error}") from None


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
