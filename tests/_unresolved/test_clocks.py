"""What the times that a server shows say of its clock."""

from __future__ import annotations

import pytest

from replicate_kit._unresolved.clocks import Clocks, Span

HOUR = 3600.0


def test_dates_give_bounds_that_follow_the_servers_clock() -> None:
    compared = Clocks()
    now = compared.now()
    assert not compared.compared
    assert compared.theirs(Span(now, now)) == pytest.approx((now - 120.0, now + 120.0))
    compared.dated(now + 100.0, now - 3.0)
    assert compared.compared
    assert compared.theirs(Span(now, now + 10.0)) == pytest.approx((now - 2.0, now + 116.0), abs=0.5)
    compared.created(now + 100.0, now - 3.0)
    assert compared.theirs(Span(now, now + 10.0)) == pytest.approx((now + 98.0, now + 116.0), abs=0.5)
    compared.dated(now - 50.0, now)
    assert compared.theirs(Span(now, now)) == pytest.approx((now - 52.0, now - 47.0), abs=0.5)


def test_where_a_gateway_writes_the_dates_both_clocks_count() -> None:
    compared = Clocks()
    now = compared.now()
    compared.dated(now + HOUR, now)
    compared.created(now, now)
    assert compared.theirs(Span(now, now)) == pytest.approx((now - 2.0, now + HOUR + 3.0), abs=0.5)
    compared.dated(now + 1.0, now)
    compared.created(now + 0.5, now)
    assert compared.theirs(Span(now, now)) == pytest.approx((now - 1.0, now + 4.0), abs=0.5)


def test_between_two_clocks_no_time_is_read() -> None:
    compared = Clocks()
    now = compared.now()
    assert compared.readings(Span(now, now)) == [pytest.approx((now - 2.0, now + 2.0))]
    compared.dated(now + HOUR, now)
    by_date, by_ours = compared.readings(Span(now, now))
    assert by_date == pytest.approx((now + HOUR - 2.0, now + HOUR + 3.0), abs=0.5)
    assert by_ours == pytest.approx((now - 2.0, now + 2.0))
    compared.created(now + HOUR, now)
    assert len(compared.readings(Span(now, now))) == 1
