"""Plugins that watch predictions are told the same by batches as by single runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from replicate_kit import Client, hookimpl
from replicate_kit.backends.mock import MockBackend

from .conftest import Service, numbers


class Watching:
    """Notes what is told of each prediction: its status before and after."""

    def __init__(self) -> None:
        self.told: dict[str, list[tuple[str | None, str]]] = {}

    @hookimpl
    def replicate_prediction_changed(self, prediction: Any, previous: Any) -> None:
        before = None if previous is None else previous.status
        self.told.setdefault(prediction.id, []).append((before, prediction.status))


@pytest.fixture
def watching() -> Watching:
    return Watching()


def test_a_batch_tells_of_its_predictions_as_a_run_does(service: Service, watching: Watching) -> None:
    options: Any = {"plugins": [watching], "poll_interval": 0.01}
    with Client(backend=MockBackend(service.simulator), **options) as client:
        service.gate.set()
        client.run("acme/patient", {"n": 0})
        (single,) = watching.told.values()
        watching.told.clear()
        list(client.map("acme/patient", numbers(5, 1), progress=False))
    assert len(watching.told) == 5
    for told in watching.told.values():
        assert told[0][0] is None
        assert told[-1][1] == single[-1][1] == "succeeded"
        assert Counter(after for _, after in told).most_common(1)[0][1] == 1  # each change once


def test_what_is_waited_for_is_told_as_well(service: Service, watching: Watching) -> None:
    options: Any = {"plugins": [watching], "poll_interval": 0.01}
    with Client(backend=MockBackend(service.simulator), **options) as client:
        batch = client.map("acme/patient", numbers(3), progress=False)
        batch.start()
        while service.creates < 3:
            pass
        service.gate.set()
        results = list(batch)
    assert {each.prediction_id for each in results} == set(watching.told)
    assert all(told[-1][1] == "succeeded" and len(told) >= 2 for told in watching.told.values())
