"""What checkers see of the accessors of pandas. Nobody runs this file."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, assert_type

import pandas as pd

from replicate_kit.batch import Plan, Result
from replicate_kit_pandas import DataFrameAccessor, RowsFailed, SeriesAccessor, accessor_of, col, template


def check_accessors(series: pd.Series[str], frame: pd.DataFrame) -> None:
    assert_type(accessor_of(series), SeriesAccessor)
    assert_type(accessor_of(frame), DataFrameAccessor)


def check_results(series: pd.Series[str]) -> None:
    accessor = accessor_of(series)
    assert_type(accessor.run("acme/shout", {"times": 2}, into="text"), pd.Series[Any])
    assert_type(accessor.run("acme/shout", details=True, files="explode", journal="j.sqlite"), pd.DataFrame)
    assert_type(accessor.plan("acme/shout"), Plan)
    assert_type(accessor.iter("acme/shout", ordered=True), Iterator[tuple[Hashable, Result]])


async def check_async(frame: pd.DataFrame) -> None:
    accessor = accessor_of(frame)
    assert_type(await accessor.async_run("acme/shout", {"text": col("title")}), pd.Series[Any])
    assert_type(
        await accessor.async_run("acme/shout", {"text": template("{title}")}, details=True), pd.DataFrame
    )
    assert_type(await accessor.async_plan("acme/shout"), Plan)
    async for label, result in accessor.async_iter("acme/shout"):
        assert_type(label, Hashable)
        assert_type(result, Result)


def check_retry(frame: pd.DataFrame, error: RowsFailed) -> None:
    accessor = accessor_of(frame)
    assert_type(error.statuses, pd.Series[Any])
    assert_type(accessor.run("acme/shout", retry=frame), pd.Series[Any])
    assert_type(accessor.run("acme/shout", retry=error, details=True), pd.DataFrame)
    assert_type(accessor.run("acme/shout", retry="failed"), pd.Series[Any])
    assert_type(accessor.run("acme/shout", retry=("failed", "expired")), pd.Series[Any])
    assert_type(accessor.plan("acme/shout", retry=error), Plan)
    accessor.run("acme/shout", retry="succeeded")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    accessor.run("acme/shout", retry=frame["output"])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


def check_options(frame: pd.DataFrame) -> None:
    accessor_of(frame).run("acme/shout", seed=42)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    accessor_of(frame).run("acme/shout", files="some")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
