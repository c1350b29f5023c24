"""The accessors pass what every accessor has to pass, in one partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pytest

from replicate_kit import Client
from replicate_kit.serving import Server
from replicate_kit.simulator import Simulator
from replicate_kit.testing.suites import AccessorSuite


def plain(values: Any) -> list[Any]:
    """The values of a Series, with None for what pandas has for nulls."""
    return [None if pd.isna(each) else each for each in values]


class TestDataFrame(AccessorSuite):
    def table(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        return dd.from_pandas(pd.DataFrame(columns), npartitions=1)

    def run(self, table: Any, model: str, input: Mapping[str, Any] | None, **options: Any) -> Any:
        return table.replicate.run(model, input, **options).compute(scheduler="threads")

    def outputs(self, result: Any) -> list[Any]:
        return plain(result)

    def columns(self, result: Any) -> Mapping[str, Sequence[Any]]:
        return {name: plain(result[name]) for name in result}

    @pytest.fixture
    def journal(self, request: pytest.FixtureRequest) -> str:
        return f"memory://{request.node.name}"

    @pytest.fixture
    def given(self, journal: str) -> Mapping[str, Any]:
        return {"journal": journal, "send_token": True, "creates_per_minute": 60_000}

    @pytest.fixture
    def server(self) -> Iterator[Server]:
        with Server(self.publish, https=False) as server:
            yield server

    @pytest.fixture
    def simulator(self, server: Server) -> Simulator:
        return server.simulator

    @pytest.fixture
    def client(self, server: Server) -> Iterator[Client]:
        with Client("r8_test", base_url=server.url, poll_interval=0.01) as client:
            yield client
