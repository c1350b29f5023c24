"""Tables of rows in files: CSV, TSV, JSON lines and Parquet, read and written a row at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import click

from replicate_kit._replacing import replacing

__all__ = ["Row", "check_format", "read_columns", "read_rows", "write_rows"]

Row: TypeAlias = dict[str, Any]

_BATCH = 4096  # rows that Parquet is read and written by


def check_format(path: Path) -> str:
    """Tell how a table is written, by its name's end; a usage error for one that is not known."""
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise click.UsageError(f"{path}: tables end in {', '.join(_READERS)}, not in {suffix or 'nothing'}.")
    if suffix == ".parquet":
        _parquet()
    return suffix


def read_rows(path: Path) -> Iterator[Row]:
    """Give the rows of a table as dicts; an empty cell of a CSV is None."""
    return _READERS[check_format(path)](path)


def read_columns(path: Path) -> list[str]:
    """Name the columns of a table: by its header or schema, or as its first rows have them in JSON lines."""
    suffix = check_format(path)
    if suffix == ".parquet":
        return list(_parquet().read_schema(path).names)
    if suffix in (".csv", ".tsv"):
        with open(path, encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, delimiter="\t" if suffix == ".tsv" else ","), [])
    return list(dict.fromkeys(name for row in islice(read_rows(path), _BATCH) for name in row))


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as a table, whole or not at all."""
    write = _WRITERS[check_format(path)]
    with replacing(path) as partial:
        write(partial, columns, rows)


def _read_csv(path: Path, delimiter: str = ",") -> Iterator[Row]:
    """Read a CSV with a header; spreadsheets put a byte order mark before it."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        for row in reader:
            if None in row or None in row.values():
                raise click.ClickException(
                    f"{path}, line {reader.line_num}: the row has not as many cells as the header."
                )
            yield {name: cell if cell != "" else None for name, cell in row.items()}


def _read_tsv(path: Path) -> Iterator[Row]:
    return _read_csv(path, "\t")


def _read_lines(path: Path) -> Iterator[Row]:
    """Read one JSON object a line; empty lines count for nothing."""
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _object(path, number, line)


def _object(path: Path, number: int, line: str) -> Row:
    """Read one line."""
    try:
        found = json.loads(line)
    except ValueError as error:
        raise click.ClickException(f"{path}, line {number}: not JSON ({error}).") from None
    if not isinstance(found, dict):
        raise click.ClickException(f"{path}, line {number}: not a JSON object.")
    return found


def _read_parquet(path: Path) -> Iterator[Row]:
    """Read a Parquet file, a batch of rows at a time."""
    with _parquet().ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH):
            yield from batch.to_pylist()


def _write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], delimiter: str = ","
) -> None:
    """Write a CSV; what is no single value is JSON in it."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)


def _write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    _write_csv(path, columns, rows, "\t")


def _cell(value: Any) -> Any:
    """One value as a CSV has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else value


def _write_lines(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            chosen = {name: row.get(name) for name in columns}
            file.write(json.dumps(chosen, ensure_ascii=False, default=str) + "\n")


def _write_parquet(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a Parquet file. Types are found from all rows, a batch at a time: a column may begin with nulls."""
    arrow, remaining = import_module("pyarrow"), iter(rows)
    batches = [arrow.table({name: arrow.array([], arrow.null()) for name in columns})]
    while taken := list(islice(remaining, _BATCH)):
        batches.append(arrow.table({name: [row.get(name) for row in taken] for name in columns}))
    _parquet().write_table(arrow.concat_tables(batches, promote_options="permissive"), path)


def _parquet() -> Any:
    """Import what reads and writes Parquet: an optional part, asked for by name."""
    try:
        return import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise click.ClickException(
            "Parquet needs pyarrow. Install it with: pip install pyarrow\nOr use a table in CSV or JSON lines."
        ) from None


_READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_lines,
    ".ndjson": _read_lines,
    ".parquet": _read_parquet,
}
_WRITERS: Mapping[str, Callable[[Path, Sequence[str], Iterable[Mapping[str, Any]]], None]] = {
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".jsonl": _write_lines,
    ".ndjson": _write_lines,
    ".parquet": _write_parquet,
}
