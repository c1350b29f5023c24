"""What checkers know of batches: read by mypy and pyright, never run."""

from __future__ import annotations

from typing import assert_type

import pandas as pd
import polars as pl

from replicate_kit import AsyncBatch, Batch, Budget, Client, Plan, Progress, Result
from replicate_kit.batch import MapOptions, MapSettings
from replicate_kit.errors import ReplicateError


def tables(client: Client, frame: pd.DataFrame, series: pd.Series[str], polars: pl.DataFrame) -> None:
    assert_type(client.map("a/b", frame), Batch)
    assert_type(client.map("a/b", series), Batch)
    assert_type(client.map("a/b", polars), Batch)
    assert_type(client.map("a/b", ["sea", "hills"]), Batch)
    assert_type(client.plan("a/b", frame), Plan)


def blocking(client: Client) -> None:
    rows = [{"prompt": "sea"}]
    assert_type(client.map("a/b", rows, journal="j.sqlite", retry=("failed",), budget=Budget(money=3)), Batch)
    for result in client.map("a/b", (row for row in rows), errors="raise", on_interrupt="detach"):
        assert_type(result, Result)
        assert_type(result.error, ReplicateError | None)
    with client.map("a/b", rows, progress=lambda progress: None) as batch:
        assert_type(batch, Batch)
        assert_type(batch.plan, Plan | None)
        assert_type(batch.progress, Progress)
    assert_type(client.plan("a/b", rows, price=0.1), Plan)
    client.map("a/b", rows, journal="j.sqlite", budget=Budget(predictions=3, per="journal"))
    options: MapOptions = {"retry": "failed", "ordered": False}
    settings: MapSettings = {"ordered": False}
    assert_type(client.map("a/b", rows, **options), Batch)
    assert_type(client.map("a/b", rows, **settings), Batch)
    Budget(money=3, per="week")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.map("a/b", rows, errors="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.plan("a/b", rows, ordered=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def asynchronous(client: Client) -> None:
    async with client.async_map("a/b", [], save_to="s3://bucket/x/") as batch:
        assert_type(batch, AsyncBatch)
        async for result in batch:
            assert_type(result, Result)
    assert_type(await client.async_plan("a/b", []), Plan)
