"""Accounts with less than $5 of credit: 6 creates a minute with a burst of 1; here 240, so that nobody waits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from replicate_kit import Client
from replicate_kit.simulator import RateLimits

from .conftest import Service, numbers

COUNT = 5


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A service for such an account."""
    return make_service(rate_limits=RateLimits(low_credit_creates=240), credit=4.0)


def by_run(client: Client) -> list[Any]:
    return [client.run("acme/double", each) for each in numbers(COUNT)]


def by_map(client: Client) -> list[Any]:
    results = list(client.map("acme/double", numbers(COUNT)))
    assert {each.error for each in results} == {None}
    return [each.output for each in results]


def by_pandas(client: Client) -> list[Any]:
    column = pd.Series(range(COUNT)).replicate.run("acme/double", client=client, progress=False)
    return [int(each) for each in column]


def by_polars(client: Client) -> list[Any]:
    column: Any = pl.Series("n", range(COUNT))
    return [int(each) for each in column.replicate.run("acme/double", client=client, progress=False)]


@pytest.mark.parametrize("way", [by_run, by_map, by_pandas, by_polars])
def test_each_way_to_run_lives_with_little_credit(
    service: Service, way: Callable[[Client], list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    with service.client() as client, caplog.at_level(logging.INFO, "replicate_kit"):
        assert way(client) == [0, 2, 4, 6, 8]
    assert service.creates == COUNT
    if way is by_run:
        assert "429, sent again in" in caplog.text
        return
    (said,) = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert "may create only 240 predictions a minute" in said
    assert "Your rate limit for creating predictions is reduced" in said
    assert "https://replicate.com/account/billing" in said


def test_what_was_paid_slowly_is_not_paid_again(service: Service, journal: Path) -> None:
    with service.client() as client:
        list(client.map("acme/double", numbers(2), journal=journal))
        results = list(client.map("acme/double", numbers(4), journal=journal))
    assert [(each.output, each.cached) for each in results] == [(0, True), (2, True), (4, False), (6, False)]
    assert service.creates == 4
