"""A cluster of two processes: workers that die, futures that are canceled, files, progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pytest

from replicate_kit.simulator import Simulator

from .kills import kill


def prompts(count: int, npartitions: int = 4) -> Any:
    return dd.from_pandas(
        pd.Series([f"row {n}" for n in range(count)], name="prompt"), npartitions=npartitions
    )


def until(done: Callable[[], object]) -> None:
    """Wait until something is so; the time limit of tests ends what waits for ever."""
    while not done():
        time.sleep(0.01)


def statuses(simulator: Simulator) -> list[str]:
    return [each["status"] for each in simulator.recent(1000)]


def test_a_table_is_paid_once_whoever_asks_again(
    dask_client: Any, simulator: Simulator, options: dict[str, Any]
) -> None:
    # Asked for by the same graph, Dask would give what it still has, and run nothing.
    one, other, later = (prompts(20).replicate.run("acme/shout", details=True, **options) for _ in range(3))
    first, second = dask_client.gather(dask_client.compute([one, other]))
    assert first["output"].tolist() == [f"ROW {n}!" for n in range(20)]
    pd.testing.assert_frame_equal(first.drop(columns="cached"), second.drop(columns="cached"))
    assert later.compute()["cached"].all()
    assert one.persist().compute()["output"].tolist() == first["output"].tolist()
    assert simulator.created == 20


def test_workers_save_the_files(dask_client: Any, options: dict[str, Any], tmp_path: Path) -> None:
    result = prompts(4, 2).replicate.run("demo/painter", save_to=tmp_path, **options).compute()
    assert sorted(result) == sorted(str(each) for each in tmp_path.iterdir())


def test_nothing_is_called_before_something_is_computed(
    dask_client: Any, simulator: Simulator, options: dict[str, Any]
) -> None:
    result = prompts(8).replicate.run("acme/shout", **options)
    assert len(repr(result) + str(result.dtype)) > 0
    assert (simulator.created, list(simulator.requests)) == (0, [])
    assert len(result.head(2)) == 2  # of the first partition
    assert simulator.created == 2


def test_canceled_futures_cancel_their_predictions(
    dask_client: Any, simulator: Simulator, options: dict[str, Any]
) -> None:
    future = dask_client.compute(prompts(8, 2).replicate.run("acme/long", **options))
    until(lambda: statuses(simulator).count("processing") == 8)
    future.cancel()
    until(lambda: statuses(simulator) == ["canceled"] * 8)


def test_the_driver_sees_the_progress(
    dask_client: Any, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    said = ""

    def shown() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return "20/20" in said

    result = prompts(20).replicate.run("acme/slow", progress=True, concurrency=2, **options)
    assert len(result.compute()) == 20
    until(shown)


def test_each_worker_needs_a_token(dask_client: Any, options: dict[str, Any]) -> None:
    client = type(options["client"])("r8_test")  # of Replicate's own API
    changed = {**options, "client": client, "send_token": False}
    with pytest.raises(Exception, match="no API token"):
        prompts(2).replicate.run("acme/shout", **changed).compute()


def test_a_worker_that_dies_has_nothing_paid_twice_and_no_row_lost(dask_client: Any) -> None:
    assert kill(dask_client, moments=2, rows=40) == (2, 0)
