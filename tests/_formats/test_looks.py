"""When to look: how many looks it takes, and how late an end is seen, on a clock that only looks move."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit._formats.looks import Durations, Times, given_pause, unknown_pause

DURATION = st.floats(0.01, 3000.0)
SHORT = st.floats(0.01, 100.0)
QUANTUM = 1e-6  # seconds; what floats leave out


def seen(end: float, pause: Callable[[float], float], *, trip: float = 0.0) -> tuple[int, float]:
    """Look until the end is seen; how many looks that took, and how late it was. `trip` is how long each takes."""
    passed, looks = 0.0, 0
    while True:
        wait = pause(passed)
        assert wait > 0
        passed, looks = passed + wait, looks + 1
        if passed >= end:
            return looks, passed - end
        passed += trip


def times(*runs: float) -> Times:
    known = Times(*runs[:1])
    for each in runs[1:]:
        known = known.and_then(each)
    return known


def slack(run: float) -> float:
    return 0.01 + run / 1000 + QUANTUM


@given(DURATION)
def test_while_nothing_is_known_an_end_is_seen_a_tenth_late_at_most(end: float) -> None:
    looks, late = seen(end, unknown_pause)
    assert late <= min(max(0.1, end / 10), 5.0) + QUANTUM
    assert looks <= 55 + end / 5


@given(st.floats(0.01, 30.0), st.integers(1, 40), st.floats(0.0, 0.1))
def test_what_always_takes_alike_is_seen_at_once_with_two_looks(end: float, count: int, trip: float) -> None:
    looks, late = seen(end, times(*[end] * count).pause, trip=min(trip, end / 3))
    assert looks <= 3
    assert late <= slack(end)


@given(st.floats(30.0, 3000.0))
def test_what_takes_long_is_looked_at_for_early_failures(end: float) -> None:
    looks, late = seen(end, times(end).pause)
    assert looks <= 3 + end / 15
    assert late <= slack(end)


@given(st.lists(SHORT, min_size=1, max_size=20), SHORT)
def test_however_long_it_takes_it_is_seen(known: list[float], end: float) -> None:
    all_known = times(*known)
    looks, late = seen(end, all_known.pause)
    longest = all_known.looks[-1]
    if end > longest:
        assert late <= max(0.05, end / 10, longest / 200) + QUANTUM
    else:
        assert (
            late <= max(15.0, longest / 5) + QUANTUM
        )  # times that lie near each other have no look between them
    # One for each time that is known, and a few between and after those.
    assert looks <= 12 * (len(known) + 1) + 60


@given(st.lists(SHORT, min_size=1, max_size=7, unique=True))
def test_no_other_looks_cost_less(runs: list[float]) -> None:
    count, chosen = len(runs), Times(*runs).looks
    price = max(0.02, 0.01 * sorted(runs)[count // 2])
    after = sorted(run + 0.01 + run / 1000 for run in runs)

    def cost(looks: tuple[float, ...]) -> float:
        total = 0.0
        for run in runs:
            first = next(each for each in looks if each >= run + slack(run) - 2 * QUANTUM)
            total += first - run + price * (looks.index(first) + 1)
        return total

    subsets = (each for size in range(count) for each in combinations(after[:-1], size))
    assert cost(chosen) <= min(cost((*each, after[-1])) for each in subsets) + QUANTUM


@given(
    st.lists(st.floats(0.9, 1.1), min_size=20, max_size=20),
    st.sampled_from([0.5, 2.0, 20.0]),
)
def test_a_spread_of_times_costs_few_looks(factors: list[float], middle: float) -> None:
    known = times(*(middle * each for each in factors))
    found = [seen(middle * each, known.pause) for each in factors]
    assert fmean(looks for looks, _ in found) <= 6
    assert fmean(late for _, late in found) <= 0.05 * middle + 0.02


@given(st.floats(1.0, 3.0), st.floats(60.0, 180.0), st.lists(st.booleans(), min_size=20, max_size=20))
def test_warm_runs_and_cold_ones_are_both_seen_in_time(warm: float, cold: float, kinds: list[bool]) -> None:
    known = times(*(cold if each else warm for each in kinds))
    # Of a few in a row that are unlike all before it is assumed that they are the ones to come.
    if cold in known._runs:
        looks, late = seen(cold, known.pause)
        assert late <= max(slack(cold), cold / 10)
        assert looks <= 30
    if known._runs.count(warm) > 2:
        looks, late = seen(warm, known.pause)
        assert looks <= 3
        assert late <= slack(warm)


@given(SHORT, SHORT, st.integers(1, 30))
def test_a_model_whose_times_change_is_known_anew_after_three(
    before: float, after: float, count: int
) -> None:
    known = times(*[before] * count)
    for number in range(10):
        looks, late = seen(after, known.pause)
        if number >= 3:
            # Times that are almost those of before are no change, but then they are no later than those.
            alike = max(before, after) <= 1.11 * min(before, after)
            assert late <= (slack(before) + abs(before - after) if alike else slack(after))
            assert looks <= 5 + after / 15
        known = known.and_then(after)


@given(SHORT, st.floats(0.0, 300.0))
def test_the_queue_is_looked_at_as_often_as_an_end_may_come(run: float, queued: float) -> None:
    known, passed, looks = times(run), 0.0, 0
    while passed < queued:
        pause = known.queue_pause(passed)
        passed, looks = passed + pause, looks + 1
        assert pause <= max(0.1, passed / 10, run * 0.51 + 0.01)
    # The end is seen in time wherever a start is found before it.
    assert passed <= queued + max(0.1, min(queued / 8, 5.0), run * 0.51 + 0.01)
    assert looks <= 60 + queued / 5


@pytest.mark.parametrize("interval", [0.01, 0.5, 2.0, 60.0])
@given(passed=DURATION)
def test_an_interval_that_was_given_is_kept(interval: float, passed: float) -> None:
    pause = given_pause(interval, passed)
    assert interval <= pause <= max(interval, min(passed / 20, 5.0))


def test_kinds_are_apart_and_their_number_is_bounded() -> None:
    durations = Durations()
    durations.note("a", 1.0)
    durations.note("b", 2.0)
    assert [each and each.looks for each in map(durations.of, "abc")] == [
        times(1.0).looks,
        times(2.0).looks,
        None,
    ]
    for number in range(5000):
        durations.note(number, 1.0)
    assert len(durations._known) <= 1000


@pytest.mark.parametrize("ran", [-1.0, float("nan"), float("inf"), 1e300])
def test_what_no_prediction_takes_is_not_noted(ran: float) -> None:
    durations = Durations()
    durations.note("a", ran)
    assert durations.of("a") is None


KINDS: dict[str, Callable[[float, float], float]] = {
    "not known": lambda passed, least: unknown_pause(passed, least=least),
    "in the queue": lambda passed, least: Times(0.3).queue_pause(passed, least),
    "longer than known": lambda passed, least: Times(0.3).pause(passed, least),
    "of two kinds": lambda passed, least: Times(0.3, 0.31, 9.0).pause(passed, least),
}


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(1, 200), st.floats(0.0, 2.0))
def test_however_many_wait_all_together_keep_to_the_rate_of_an_account(
    kind: str, count: int, spread: float
) -> None:
    durations, at = Durations(), list[float]()
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(durations.waiting())
        for number in range(count):
            passed = 0.0
            while passed < 20.0:
                passed += KINDS[kind](passed, durations.least_pause)
                at.append(spread * number / count + passed)
    assert durations.least_pause == 0.0
    # Two looks of each may come together, at times that are known; the API allows 3000 a minute, a hundred at once.
    assert max(sum(start <= each < start + 4.0 for each in at) for start in range(20)) <= 4 * 50 + 2 * count


def test_whoever_waits_is_counted_until_the_wait_ends_however_it_ends() -> None:
    durations = Durations()
    found = list[float]()

    def wait() -> None:
        with durations.waiting(), durations.waiting():
            found.append(durations.least_pause)
            raise KeyError

    with pytest.raises(KeyError):
        wait()
    assert [*found, durations.least_pause] == [2 / 40, 0.0]
