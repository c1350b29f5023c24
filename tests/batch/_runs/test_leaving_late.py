"""Leaving the results when every row is done already, and nobody has asked for the last of them."""

from __future__ import annotations

import time

import pytest

from replicate_kit import Client


def test_leaving_a_run_that_is_done_ends_it() -> None:
    client = Client(backend="mock")
    with client.map("demo/poet", [{"prompt": "sea"}, {"prompt": "hill"}]) as batch:
        while batch.progress.done < 2:
            time.sleep(0.01)
        next(batch)
    assert batch.progress.done == 2


def test_results_that_are_over_are_collected_after_modules_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the program ends, with results in a global that a large library has kept until then."""
    batch = Client(backend="mock").map("demo/poet", ["sea"])
    assert len(list(batch)) == 1
    monkeypatch.setattr("replicate_kit.batch._runs.streams.threading", None)
    batch.__del__()
