"""How fast a run goes, on a clock of its own."""

from __future__ import annotations

import random

import hypothesis.strategies as st
import pytest
from hypothesis import given

from replicate_kit import Budget
from replicate_kit.batch._engine.limits import Bucket, Ticket, Window, stated_limit
from replicate_kit.batch._money.pricing import Account, Price, Spent


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


class Service:
    """A server with a token bucket of its own, that answers after a while."""

    def __init__(self, clock: Clock, rate: float, burst: float, *, headers: bool = True) -> None:
        self.clock, self.rate, self.burst, self.headers = clock, rate, burst, headers
        self.level, self.at = burst, 0.0
        self.admitted = self.refused = 0

    def ask(self) -> tuple[int, dict[str, str]]:
        self.level = min(self.burst, self.level + (self.clock.time - self.at) * self.rate)
        self.at = self.clock.time
        if self.level < 1:
            self.refused += 1
            return 429, {}
        self.level -= 1
        self.admitted += 1
        return 201, {"ratelimit-remaining": str(int(self.level))} if self.headers else {}


def simulate(service: Service, bucket: Bucket, clock: Clock, seconds: float, latency: float) -> None:
    """Send as fast as the bucket allows, with answers that come later."""
    dice = random.Random(1)
    answers: list[tuple[float, int, dict[str, str], Ticket]] = []
    while clock.time < seconds:
        for due in [each for each in answers if each[0] <= clock.time]:
            answers.remove(due)
            if due[1] == 429:
                bucket.refused(1.0)
            else:
                bucket.told(due[2], due[3])
        if not bucket.ready_in():
            ticket = bucket.take()
            answers.append((clock.time + latency * dice.uniform(0.5, 1.5), *service.ask(), ticket))
        clock.time += 0.001


@pytest.mark.parametrize("latency", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("rate", [10.0, 60.0])
def test_the_allowed_rate_is_used_and_hardly_anything_refused(rate: float, latency: float) -> None:
    clock = Clock()
    service, bucket = Service(clock, rate, 60), Bucket(10.0, 10.0, clock)
    simulate(service, bucket, clock, 60.0, latency)
    allowed = 60 + rate * 60.0
    assert service.admitted >= 0.95 * allowed
    assert service.refused <= 0.01 * service.admitted


def test_a_server_that_says_nothing_is_asked_at_the_known_rate() -> None:
    clock = Clock()
    service, bucket = Service(clock, 10.0, 20, headers=False), Bucket(10.0, 10.0, clock)
    simulate(service, bucket, clock, 60.0, 0.1)
    assert service.refused == 0
    assert service.admitted >= 600


def test_a_slower_limit_is_learned_from_refusals() -> None:
    clock = Clock()
    service, bucket = Service(clock, 5.0, 5, headers=False), Bucket(10.0, 10.0, clock)
    simulate(service, bucket, clock, 120.0, 0.05)
    assert bucket.rate < 8.0
    assert service.admitted >= 0.5 * 5.0 * 120


def test_a_refusal_closes_the_bucket_for_as_long_as_it_says() -> None:
    clock = Clock()
    bucket = Bucket(10.0, 10.0, clock)
    bucket.refused(30.0)
    assert bucket.ready_in() == pytest.approx(30.0)
    clock.time = 29.9
    assert bucket.ready_in() == pytest.approx(0.1)
    clock.time = 30.1
    assert not bucket.ready_in()


def test_a_stated_limit_is_kept() -> None:
    clock = Clock()
    bucket = Bucket(10.0, 10.0, clock)
    stated = stated_limit(
        "…is reduced to 6 requests per minute with a burst of 1 requests while you have less…"
    )
    assert stated == (0.1, 1.0)
    bucket.refused(7.0, stated)
    clock.time = 7.0
    assert not bucket.ready_in()
    bucket.take()
    assert bucket.ready_in() == pytest.approx(10.0)
    assert stated_limit("Request was throttled. Your rate limit resets in ~30s.") is None


@pytest.mark.parametrize("latency", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("burst", [1.0, 2.0, 5.0])
def test_a_small_burst_is_used_at_its_rate(burst: float, latency: float) -> None:
    clock = Clock()
    service, bucket = Service(clock, 0.1, burst), Bucket(10.0, 10.0, clock)
    service.level = 0.0
    bucket.refused(10.0, (0.1, burst))  # as the server states it
    simulate(service, bucket, clock, 600.0, latency)
    assert service.admitted >= 0.8 * 0.1 * 590
    assert service.refused <= 0.1 * service.admitted


def test_a_pause_for_another_reason_leaves_the_rate_as_it_is() -> None:
    clock = Clock()
    bucket = Bucket(10.0, 10.0, clock)
    bucket.pause(2.0)
    assert bucket.ready_in() == pytest.approx(2.0)
    assert bucket.rate == 10.0


def test_a_request_that_was_not_sent_is_given_back() -> None:
    bucket = Bucket(1.0, 1.0, Clock())
    bucket.take()
    assert bucket.ready_in()
    bucket.give_back()
    assert not bucket.ready_in()


def test_headers_that_are_no_numbers_teach_nothing() -> None:
    bucket = Bucket(1.0, 1.0, Clock())
    bucket.told({"ratelimit-remaining": "plenty"}, bucket.take())
    assert bucket.ready_in() > 0


def test_the_window_grows_with_completions_and_shrinks_when_overloaded() -> None:
    window = Window()
    start = window.size
    window.in_flight = 500  # it is used to the full
    for _ in range(100):
        window.ended()
    assert window.size == start + 100
    window.overloaded()
    assert window.size == int((start + 100) * 0.7)
    window.overloaded()  # nothing has ended since: the same overload
    assert window.size == int((start + 100) * 0.7)
    cut = window.size
    for _ in range(cut):
        window.ended()
    assert cut + 1 <= window.size + 1 <= cut + 3  # one more a window from here


def test_a_window_without_a_limit_grows_as_long_as_nothing_is_refused() -> None:
    window = Window()
    window.in_flight = 100_000
    for _ in range(5000):
        window.ended()
    assert window.size == 64 + 5000


@pytest.mark.parametrize("limit", [1, 256, 5000])
def test_a_limit_of_the_users_is_allowed_from_the_beginning(limit: int) -> None:
    assert Window(limit).size == limit


def test_the_window_never_exceeds_the_users_limit_and_never_closes() -> None:
    window = Window(3)
    window.in_flight = 3
    assert not window.free
    for _ in range(50):
        window.ended()
    assert window.size == 3
    for _ in range(50):
        window.overloaded()
        window.ended()
    assert window.size >= 1


def test_an_unused_window_does_not_grow() -> None:
    window = Window()
    start = window.size
    for _ in range(100):
        window.ended()
    assert window.size == start


@given(
    money=st.floats(0.1, 50.0),
    each=st.floats(0.01, 5.0),
    second=st.floats(0.0, 0.1),
    ends=st.lists(st.floats(0.0, 100.0), max_size=60),
)
def test_a_account_is_never_overdrawn(money: float, each: float, second: float, ends: list[float]) -> None:
    account = Account(Budget(money=money), Price(each, second or None, 100.0))
    held = 0
    for seconds in ends:
        while account.reserve():
            held += 1
        if held:
            account.settle(seconds)
            held -= 1
        assert account.spent.money <= money * 1.000001


def test_a_account_counts_predictions_and_seconds() -> None:
    account = Account(Budget(predictions=2, seconds=25.0), Price(longest=10.0))
    assert account.reserve()
    assert account.reserve()
    assert not account.reserve()
    account.settle(4.0)
    assert not account.reserve()  # two predictions
    account.release()
    assert account.reserve()
    assert account.waits
    assert account.spent == Spent(1, 4.0, 0.0)


@given(
    limit=st.floats(1.0, 500.0),
    most=st.floats(0.5, 20.0),
    used=st.lists(st.floats(0.0, 1.0), max_size=60),
    before=st.floats(0.0, 30.0),
)
def test_a_budget_of_a_metric_is_never_overdrawn_and_has_room_for_what_it_says(
    limit: float, most: float, used: list[float], before: float
) -> None:
    price = Price(mosts={"tokens": most, "pictures": 1.0})
    account = Account(Budget(metrics={"tokens": limit}), price, Spent(1, 0.0, 0.0, {"tokens": before}))
    fits, held = account.room(1000), 0
    for share in used:
        while account.reserve():
            held += 1
        assert not account.room(9)
        if held:
            account.settle(1.0, {"tokens": share * most})
            held -= 1
        assert before + account.spent.metrics.get("tokens", 0.0) <= max(before, limit * 1.000001)
    assert not used or fits <= held + account.spent.predictions


def test_sums_have_the_metrics_that_are_known_of_all() -> None:
    some, others = Spent(2, 1.0, 0.0, {"a": 1.0, "b": 2.0}), Spent(3, 1.0, 0.0, {"b": 3.0, "c": 4.0})
    assert some.plus(*others).metrics == {"b": 5.0}
    assert some.plus(*Spent()).metrics == Spent().plus(*some).metrics == some.metrics
    assert some.known({"a": 9.0, "c": 9.0}).metrics == {"a": 1.0, "b": 2.0, "c": 18.0}


def test_the_most_that_a_prediction_costs_is_its_deadline() -> None:
    assert Price(second=0.01, longest=60.0).most == pytest.approx(0.6)
    assert Price(second=0.01).most == pytest.approx(18.0)
    assert Price(each=0.5).most == 0.5
    assert Price().most is None
