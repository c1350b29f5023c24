"""Leaving the results when every row is done already, and nobody has asked for the last of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.batch import Batch, Plan, Progress


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


def _refuse(plan: Plan) -> None:
    raise ValueError("That is too much.")


@pytest.mark.parametrize("start", [next, Batch.start, Batch.__enter__, list], ids=lambda each: each.__name__)
@pytest.mark.parametrize("leave", [Batch.close, Batch.__del__], ids=lambda each: each.__name__)
def test_a_run_whose_plan_was_refused_shows_nothing_later(
    start: Callable[[Batch], object], leave: Callable[[Batch], object]
) -> None:
    seen: list[Progress] = []
    options: Any = {"on_plan": _refuse, "progress": seen.append}
    batch = Client(backend="mock").map("demo/poet", [{"prompt": "sea"}, {"prompt": "hill"}], **options)
    with pytest.raises(ValueError, match="too much"):
        start(batch)
    leave(batch)
    assert not seen
