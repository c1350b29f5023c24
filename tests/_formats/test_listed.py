"""One text where several are taken is one of them, everywhere, and never its letters."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit._formats.wording import listed
from replicate_kit._plugins.registry import _TOLD, Plugins
from replicate_kit.batch import journals
from replicate_kit.config import Config
from replicate_kit.errors import ConfigError
from replicate_kit.serving._origins import checked_hosts, checked_origins
from replicate_kit.signing import sign, verify
from replicate_kit.simulator import Simulator

ROWS = [{"prompt": "sea", "failure_rate": 1}, {"prompt": "fox", "failure_rate": 0}]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("failed", ["failed"]),
        (b"a", [b"a"]),
        (("a", "b"), ["a", "b"]),
        ({"a"}, ["a"]),
        (iter("ab"), ["a", "b"]),
    ],
)
def test_a_text_is_one_of_several(given: Any, found: list[Any]) -> None:
    assert listed(given) == found


@pytest.mark.parametrize("retry", ["failed", ["failed"], ("failed",), {"failed"}])
def test_rows_are_retried_by_one_state_or_several(tmp_path: Path, retry: Any) -> None:
    client, journal = Client(backend="mock"), tmp_path / "j.sqlite"
    for _ in client.map("demo/flaky", ROWS, journal=journal, retries=0):
        pass
    assert client.plan("demo/flaky", ROWS, journal=journal, retry=retry, retries=0).to_pay == 1
    assert client.plan("demo/flaky", ROWS, journal=journal, retries=0).to_pay == 0
    assert journals.retry(journal, retry) == 1


@pytest.mark.parametrize("wrong", ["faild", ["faild"]])
def test_a_state_that_there_is_not_is_named_whole(tmp_path: Path, wrong: Any) -> None:
    client, journal = Client(backend="mock"), tmp_path / "j.sqlite"
    for _ in client.map("demo/flaky", ROWS, journal=journal, retries=0):
        pass
    with pytest.raises(ConfigError, match="retry='faild' must be one of"):
        client.plan("demo/flaky", ROWS, journal=journal, retry=wrong)
    with pytest.raises(ConfigError, match="'faild'"):
        journals.retry(journal, wrong)
    for use in (
        lambda: list(journals.entries(journal, wrong)),
        lambda: journals.prune(journal, states=wrong),
    ):
        with pytest.raises(ConfigError, match=r"'faild' is no state of a row. Did you mean 'failed'"):
            use()


def test_entries_and_prune_take_one_state(tmp_path: Path) -> None:
    journal: Any = tmp_path / "j.sqlite"
    for _ in Client(backend="mock").map("demo/flaky", ROWS, journal=journal, retries=0):
        pass
    assert [each["state"] for each in journals.entries(journal, "failed")] == ["failed"]
    with pytest.raises(ConfigError, match="may be paid for"):
        journals.prune(journal, states="intent")
    assert journals.prune(journal, states="failed") == 1


@pytest.mark.parametrize("events", ["completed", ["completed"], ("completed",)])
def test_one_event_of_a_webhook_is_sent_whole(events: Any) -> None:
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(201, json={"id": "abc", "status": "starting"})

    with Client("token", transport=httpx.MockTransport(answer)) as client:
        options: Any = {"webhook": "https://a.example", "webhook_events_filter": events}
        client.predictions.create("0" * 64, {"prompt": "sea"}, **options)
        client.trainings.create("a/b", version="0" * 64, destination="a/c", input={}, **options)
    assert len(sent) == 2
    assert all(b'"webhook_events_filter":["completed"]' in each.replace(b" ", b"") for each in sent)


def test_one_name_one_token_and_one_secret_are_whole() -> None:
    assert Config(disabled_plugins="pandas").disabled_plugins == {"pandas"}  # type: ignore[arg-type]
    with Client("r8_secret", backend=Simulator(tokens="r8_secret")) as client:
        assert client.accounts.current().username
    assert checked_hosts("mock.example") == {"mock.example"}
    assert len(checked_origins("http://localhost:5173")) == 1
    secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    verify("msg", "1", b"{}", sign("msg", 1, b"{}", secret), secret, now=1.0)


@pytest.mark.parametrize("given", ["pandas", ["pandas"], b"pandas"])
def test_the_name_of_a_plugin_is_no_plugin(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"plugins= takes objects with hooks, and .*pandas.* is a text"):
        Client(backend="mock", plugins=given)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("opentelemtry", "names 'opentelemtry', and there is no such plugin. Did you mean 'opentelemetry'?"),
        ("fsspec, fsspek", "names 'fsspek', and there is no such plugin. Did you mean 'fsspec'?"),
        ("wombat", "names 'wombat', and there is no such plugin. `replicate-kit plugins` lists"),
        ("fsspec", None),
        ("fsspec,opentelemetry,", None),
        ("builtin", None),
        ("", None),
    ],
)
def test_a_plugin_that_is_left_out_and_not_there_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, names: str, told: str | None
) -> None:
    monkeypatch.setenv("REPLICATE_KIT_DISABLE_PLUGINS", names)
    _TOLD.clear()
    with caplog.at_level(logging.WARNING, "replicate_kit"):
        for _ in range(3):
            Plugins(Config(backend="mock"))
    found = [record.getMessage() for record in caplog.records if "DISABLE" in record.getMessage()]
    assert len(found) == (told is not None)
    assert told is None or told in found[0]
