"""How long a service may fail, and what counts as that."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from types import SimpleNamespace

import pytest

from replicate_kit.batch._engine import patience
from replicate_kit.batch._engine.patience import Patience
from replicate_kit.errors import ConnectFailed, ConnectionLost


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """Has a service fail at some moments; gives those that a run went on after."""

    def fails(waits: Patience, *moments: float, works: float | None = None) -> list[float]:
        went_on = []
        for moment in moments:
            monkeypatch.setattr(
                patience, "time", SimpleNamespace(monotonic=lambda moment=moment: 1000.0 + moment)
            )
            if works is not None and moment > works:
                waits.is_over()
                works = None
            try:
                pause = waits.happened(ConnectionLost("no answer"))
            except ConnectionLost:
                return went_on
            assert 0 < pause <= 15.0
            went_on.append(moment)
        return went_on

    return fails


@pytest.mark.parametrize(
    ("moments", "went_on"),
    [
        ((0, 10, 20, 40, 61), 4),  # down for longer than a minute
        ((0, 0.01, 0.02, 61), 4),  # what failed together was one failure
        ((0, 61), 2),  # two that have little to do with each other
        ((0, 3600), 2),
        ((0, 61, 122), 2),  # three are enough
        ((0, 59, 61), 2),
    ],
)
def test_a_service_is_down_that_fails_again_and_again(
    fails: Callable[..., list[float]], moments: tuple[float, ...], went_on: int
) -> None:
    assert len(fails(Patience(60.0), *moments)) == went_on


def test_what_works_in_between_begins_anew(fails: Callable[..., list[float]]) -> None:
    moments = (0, 20, 40, 70, 80, 100)
    assert len(fails(Patience(60.0), *moments)) == 3
    assert len(fails(Patience(60.0), *moments, works=50)) == 6


@pytest.mark.parametrize("patience_for", [0.5, 60.0, 600.0])
@pytest.mark.parametrize("rows", [1, 2, 5, 64, 1000])
def test_a_service_is_down_for_however_many_rows_it_fails(
    monkeypatch: pytest.MonkeyPatch, rows: int, patience_for: float
) -> None:
    waits, now = Patience(patience_for), 1000.0
    monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=lambda: now))
    tries = [
        now + patience_for * n / rows / 10 for n in range(rows)
    ]  # one after the other, and each after its pause

    def fail_for_ever() -> None:
        nonlocal now
        while True:
            now = heappop(tries)
            heappush(tries, now + waits.happened(ConnectionLost("no answer")))

    with pytest.raises(ConnectionLost):
        fail_for_ever()
    assert patience_for < now - 1000 <= 1.5 * patience_for


def test_what_waiting_cannot_help_ends_a_run_at_once() -> None:
    failure = ConnectFailed("there is no such host")
    failure.temporary = False
    with pytest.raises(ConnectFailed):
        Patience(60.0).happened(failure)
