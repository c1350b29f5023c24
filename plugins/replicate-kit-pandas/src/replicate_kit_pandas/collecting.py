"""Put results where their rows are: a Series of outputs, or a DataFrame with what is known of each row."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype

from replicate_kit.batch import Result
from replicate_kit.errors import ReplicateError
from replicate_kit_pandas.options import Files

__all__ = ["Collector", "series_of"]

log = logging.getLogger("replicate_kit_pandas")

_DETAILS: Mapping[str, tuple[Any, Callable[[Result], Any]]] = {
    "output": (None, lambda result: result.output),
    "status": ("null", lambda result: result.status),
    "error": (None, lambda result: None if result.error is None else str(result.error)),
    "prediction_id": (None, lambda result: result.prediction_id),
    "seconds": (None, lambda result: result.seconds),
    "cached": (False, lambda result: bool(result.cached)),
    "cost": (None, lambda result: result.cost),
}
"""The columns: what stands in rows that did not run, and what is taken of the result of one that did."""

_DTYPES: Mapping[str, Any] = {
    "status": "text",
    "error": "text",
    "prediction_id": "text",
    "seconds": "float64",
    "cached": "bool",
    "cost": "float64",
}


class Collector:
    """Takes results in any order; gives what the caller asked for, at any time. `positions` are the rows that run."""

    def __init__(
        self, index: pd.Index[Any], positions: Sequence[int], *, details: bool, files: Files
    ) -> None:
        self._index, self._files = index, files
        names = tuple(_DETAILS) if details else ("output",)
        self._details = details
        self._columns = {name: [_DETAILS[name][0]] * len(index) for name in names}
        self._lists: set[int] = set()
        self._errors: dict[int, ReplicateError] = {}
        for position in positions if details else ():
            self._columns["status"][position] = "unfinished"

    def add(self, result: Result) -> None:
        """Put one result, where its row stands: its index is that of the row."""
        position = result.index
        for name, column in self._columns.items():
            column[position] = _DETAILS[name][1](result)
        if result.error is not None:
            self._errors[position] = result.error
        if _is_list_of_texts(result.output) and result.output == list(result.files):
            self._lists.add(position)

    @property
    def errors(self) -> pd.Series[Any]:
        """The errors so far, in the order of the rows, by their labels."""
        failed = sorted(self._errors)
        return pd.Series([self._errors[each] for each in failed], index=self._index[failed], dtype=object)

    def result(self) -> pd.Series[Any] | pd.DataFrame:
        """Make the Series or DataFrame of what has come."""
        take, columns = self._arranged()
        index = self._index if take is None else self._index[take]
        if not self._details:
            return series_of(columns["output"], index)
        made = {"output": series_of(_whole(_flat(columns["output"]), "output"), index)}
        for name, dtype in _DTYPES.items():
            is_text = dtype == "text"
            values = _whole(columns[name], name) if is_text else columns[name]
            made[name] = pd.Series(values, index=index, dtype=_text() if is_text else dtype)
        return pd.DataFrame(made, index=index)

    def _arranged(self) -> tuple[np.ndarray[Any, Any] | None, dict[str, list[Any]]]:
        """Arrange lists of files as was asked; also give which row each line is of, if there are several."""
        outputs = self._columns["output"]
        many = {row: outputs[row] for row in self._lists}
        if not any(many.values()):  # lists of nothing: nobody knows whether of files
            many = {}
        if self._files == "explode":
            return self._exploded(many)
        if self._files == "first" or (
            self._files == "auto" and all(len(each) <= 1 for each in many.values())
        ):
            outputs = outputs.copy()
            for row, urls in many.items():
                outputs[row] = urls[0] if urls else None
        return None, {**self._columns, "output": outputs}

    def _exploded(self, many: Mapping[int, list[Any]]) -> tuple[np.ndarray[Any, Any], dict[str, list[Any]]]:
        """Give each file a line of its own."""
        outputs = self._columns["output"]
        lines = [
            (row, each)
            for row, output in enumerate(outputs)
            for each in ((output or [None]) if row in many else [output])
        ]
        take = np.array([row for row, _ in lines], dtype=int)
        columns = {name: [values[row] for row in take] for name, values in self._columns.items()}
        return take, {**columns, "output": [each for _, each in lines]}


def _whole(values: list[Any], column: str) -> list[Any]:
    """Write halves of surrogate pairs as escapes, since neither Parquet nor CSV nor Arrow can hold them; say so."""
    whole = [_escaped(each) for each in values]
    changed = [row for row, (each, value) in enumerate(zip(whole, values, strict=True)) if each is not value]
    if changed:
        # Not a warning, which may be set up to be raised: the results are paid for.
        log.warning(
            "The column %r has half of a surrogate pair in %d of its texts, the first in line %d. No file of text can "
            "hold that, so it is written as an escape, such as \\ud83d. Without details=True, outputs are as the model "
            "gave them.",
            column,
            len(changed),
            changed[0],
        )
    return whole


def _escaped(value: Any) -> Any:
    """Write halves of surrogate pairs in a value as escapes; anything else stays what it is."""
    if isinstance(value, list):
        made = [_escaped(each) for each in value]
        return value if all(one is other for one, other in zip(made, value, strict=True)) else made
    if not isinstance(value, str) or value.isascii():
        return value
    whole = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value if whole == value else whole


@functools.cache
def _text() -> Any:
    """What this pandas, as it is set up, makes of texts: `str` or `object`."""
    return pd.Series(["text"]).dtype


def series_of(values: list[Any], index: pd.Index[Any]) -> pd.Series[Any]:
    """Make the Series `output`, of the dtype that all of the values fit in as they are."""
    kind = infer_dtype(values, skipna=True)
    dtype = _dtype(kind, has_nulls=any(each is None for each in values))
    series: pd.Series[Any]
    try:
        series = pd.Series(values, index=index, name="output", dtype=dtype)
    except (OverflowError, ValueError, TypeError):  # integers of more than 64 bits
        series = pd.Series(values, index=index, name="output", dtype=object)
    return series


def _dtype(kind: str, *, has_nulls: bool) -> Any:
    """Choose a dtype that changes no value: with nulls, whole numbers stay whole and truths stay truths."""
    match kind:
        case "string" | "empty":
            return _text()
        case "integer":
            return "Int64" if has_nulls else "int64"
        case "boolean":
            return "boolean" if has_nulls else "bool"
        case "floating" | "mixed-integer-float":
            return "float64"
        case _:
            return object


def _flat(values: list[Any]) -> list[Any]:
    """Write as JSON what no flat column can hold: structures, values of several kinds, and huge integers."""
    kind = infer_dtype(values, skipna=True)
    present = [each for each in values if each is not None]
    if kind == "integer" and all(-(2**63) <= each < 2**63 for each in present):
        return values
    if kind not in ("integer", "mixed", "mixed-integer") or all(map(_is_list_of_texts, present)):
        return values
    return [None if each is None else json.dumps(each, ensure_ascii=False, default=str) for each in values]


def _is_list_of_texts(value: Any) -> bool:
    """Whether a value is one that Parquet keeps as a list of strings."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
