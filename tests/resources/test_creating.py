"""The headers that say for how long: what is sent is what was meant."""

from __future__ import annotations

import math
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit import Client
from replicate_kit.errors import InputError
from replicate_kit.resources._jobs.creating import cancel_after_header, prefer_header
from replicate_kit.simulator._api.exchange import Call
from replicate_kit.testing.suites import Drive

DURATIONS = st.builds(
    lambda hours, minutes, seconds, unit: f"{hours}h{minutes}m{seconds}{unit}",
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(5, 99),
    st.sampled_from(["s", ""]),
)


def as_the_api_reads_it(headers: dict[str, str]) -> int | None:
    """What the simulator makes of the headers, which keeps to the API's description."""
    request = httpx.Request("POST", "https://api.test/v1/predictions", headers=headers)
    return Call.cancel_after(type("Asked", (), {"request": request})())  # type: ignore[arg-type]


@given(st.integers(5, 1_000_000) | st.floats(5, 1_000_000))
def test_seconds_arrive_as_seconds_and_never_fewer(seconds: float) -> None:
    assert as_the_api_reads_it(cancel_after_header(seconds)) == math.ceil(seconds)


@given(DURATIONS)
def test_a_text_arrives_as_it_is(text: str) -> None:
    assert cancel_after_header(f" {text} ") == {"Cancel-After": text}
    assert as_the_api_reads_it({"Cancel-After": text}) is not None


@pytest.mark.parametrize(
    "duration",
    [0, 4.99, -1, float("nan"), float("inf"), 1e300, True, "", "4s", "soon", "1d", "1m 30s", "٦٠", [60]],
)
def test_what_is_no_time_is_refused_before_it_is_sent(connect: Any, drive: Drive, duration: Any) -> None:
    client, requests = connect({})
    with pytest.raises(InputError, match="Pass seconds, 5 or more"):
        drive(client.predictions.async_create("f" * 64, {}, cancel_after=duration))
    assert requests == []


@given(st.integers())
def test_a_wait_is_sent_as_it_is_or_refused(seconds: int) -> None:
    if 1 <= seconds <= 60:
        assert prefer_header(seconds) == {"Prefer": f"wait={seconds}"}
    else:
        with pytest.raises(InputError, match="from 1 to 60"):
            prefer_header(seconds)


def test_neither_is_sent_unless_it_is_asked_for() -> None:
    assert prefer_header(False) == cancel_after_header(None) == {}
    assert prefer_header(True) == {"Prefer": "wait"}


def test_the_api_ends_what_takes_longer(client: Client) -> None:
    created = client.predictions.create(model="demo/slow", input={"seconds": 60}, cancel_after="1m")
    assert created.deadline is not None
    assert (created.deadline - created.created_at).total_seconds() == pytest.approx(60, abs=1)
    created.cancel()
