"""Times to wait that are none are refused before anything is created."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.errors import InputError
from replicate_kit.simulator import Simulator

WRONG = pytest.mark.parametrize(
    "timeout", [-1, -0.001, float("nan"), -float("inf"), "5", True, [1], datetime.timedelta(seconds=1)]
)


@WRONG
def test_nothing_is_created_with_a_timeout_that_is_no_time(simulator: Simulator, timeout: Any) -> None:
    with Client(backend=simulator) as client:
        with pytest.raises(InputError, match=r"timeout=.* cannot be used\. Pass seconds, 0 or more"):
            client.run("demo/poet", {"prompt": "sea"}, timeout=timeout)
        with pytest.raises(InputError, match="cannot be used"):
            asyncio.run(client.async_run("demo/poet", {"prompt": "sea"}, timeout=timeout))
    assert simulator.calls["models.predictions.create"] == 0


@WRONG
def test_nor_is_it_waited_for(client: Client, timeout: Any) -> None:
    prediction = client.predictions.create("demo/poet", {"prompt": "sea"})
    with pytest.raises(InputError, match="cannot be used"):
        prediction.wait(timeout=timeout)
    prediction.wait()


def test_any_number_of_seconds_will_do(client: Client) -> None:
    for timeout in (60, 60.5, float("inf"), None):
        assert client.run("demo/poet", {"prompt": "sea"}, timeout=timeout)
        client.predictions.create("demo/poet", {"prompt": "sea"}).wait(timeout=timeout)
