"""Webhooks: what is trusted, whatever form it comes in, and that nothing else is."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from replicate_kit import Client, Prediction
from replicate_kit.errors import InvalidWebhook
from replicate_kit.resources.trainings import Training
from replicate_kit.resources.webhooks import WebhookSecret
from replicate_kit.signing import sign
from replicate_kit.testing.suites import Drive
from replicate_kit.transport import Once, Request

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = json.dumps({"id": "p1", "status": "succeeded", "output": ["é"]}, ensure_ascii=False)
client = Client("r8_secret")  # nothing is sent: no backend is needed


def signed(body: str | bytes = BODY, *, age: float = 0, secret: str = SECRET) -> dict[str, str]:
    """The headers of a webhook that was sent `age` seconds ago."""
    sent, raw = int(time.time() - age), body.encode() if isinstance(body, str) else body
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(sent),
        "webhook-signature": sign("msg_1", sent, raw, secret),
    }


def test_the_secret_is_fetched_and_not_shown(drive: Drive) -> None:
    with Client(backend="mock") as mock:
        secret = drive(mock.webhooks.default.async_secret())
    assert secret.key.startswith("whsec_")
    assert repr(secret) == "<WebhookSecret: hidden>"


@pytest.mark.parametrize("body", [BODY, BODY.encode(), bytearray(BODY.encode()), memoryview(BODY.encode())])
def test_the_body_may_be_text_or_bytes(body: Any) -> None:
    event = client.webhooks.validate(signed(), body, SECRET)
    assert isinstance(event, Prediction)
    assert (event.id, event.status, event["output"]) == ("p1", "succeeded", ["é"])


def as_message(headers: Mapping[str, str]) -> http.client.HTTPMessage:
    message = http.client.HTTPMessage()
    for name, value in headers.items():
        message[name] = value
    return message


@pytest.mark.parametrize(
    "form",
    [
        dict,
        httpx.Headers,
        as_message,
        lambda headers: {name.title(): value for name, value in headers.items()},
        lambda headers: {name.upper(): value for name, value in headers.items()},
        lambda headers: {name.encode(): value.encode() for name, value in headers.items()},
        lambda headers: list(headers.items()),
    ],
)
def test_headers_may_be_any_mapping_in_any_case(form: Callable[[Any], Any]) -> None:
    assert client.webhooks.validate(form(signed()), BODY, SECRET).id == "p1"


@pytest.mark.parametrize("kind", [httpx.Request, Request])
def test_a_request_is_enough(kind: Any) -> None:
    request = kind("POST", "https://example.com/hook", headers=signed(), content=BODY)
    assert client.webhooks.validate(request=request, secret=SECRET).id == "p1"


@pytest.mark.parametrize("made_with", [OLD, SECRET])
def test_secrets_may_be_rotated(made_with: str) -> None:
    secrets = (OLD, WebhookSecret({"key": SECRET}))
    assert client.webhooks.validate(signed(secret=made_with), BODY, secrets).id == "p1"


def test_one_of_several_signatures_is_enough() -> None:
    headers = signed()
    headers["webhook-signature"] = f"v1a,xyz v1,{'A' * 43}= {headers['webhook-signature']}"
    assert client.webhooks.validate(headers, BODY, SECRET).id == "p1"


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still."""
    now = float(int(time.time()))
    monkeypatch.setattr(time, "time", lambda: now)

    class Still:
        @staticmethod
        def now(_: Any = None) -> Any:
            import datetime

            return datetime.datetime.fromtimestamp(now, datetime.UTC)

    monkeypatch.setattr("replicate_kit.resources.webhooks.datetime", Still)


@pytest.mark.parametrize("age", [299, 300, -299, -300])
def test_up_to_five_minutes_are_tolerated(stopped: None, age: float) -> None:
    assert client.webhooks.validate(signed(age=age), BODY, SECRET).id == "p1"


@pytest.mark.parametrize(("age", "text"), [(301, "301 s old"), (-301, "301 s in the future")])
def test_what_is_older_or_younger_is_refused(stopped: None, age: float, text: str) -> None:
    with pytest.raises(InvalidWebhook, match=text):
        client.webhooks.validate(signed(age=age), BODY, SECRET)
    assert client.webhooks.validate(signed(age=age), BODY, SECRET, tolerance=302).id == "p1"
    assert client.webhooks.validate(signed(age=age), BODY, SECRET, tolerance=None).id == "p1"


@pytest.mark.parametrize(
    "change",
    [
        {"body": BODY + " "},
        {"body": BODY.replace("é", "e")},
        {"body": None},
        {"body": 7},
        {"body": "\ud800"},
        {"body": b"\xff\xfe"},
        {"headers": None},
        {"headers": 7},
        {"headers": ["webhook-id"]},
        {"headers": {}},
        {"headers": {"webhook-id": "msg_1"}},
        {"secret": None},
        {"secret": OLD},
        {"secret": "whsec_not base64!"},
        {"secret": "whsec_é"},
        {"secret": [7]},
        {"secret": ()},
        {"webhook-id": "msg_2"},
        {"webhook-id": "\ud800"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": "v1,not base64"},
        {"webhook-signature": "v2,AAAA"},
    ],
    ids=str,
)
def test_anything_malformed_is_one_kind_of_error(change: dict[str, Any]) -> None:
    given: dict[str, Any] = {"headers": signed(), "body": BODY, "secret": SECRET}
    for name, value in change.items():
        (given if name in given else given["headers"])[name] = value
    with pytest.raises(InvalidWebhook, match=r"Pass|Check|pass|status 400"):
        client.webhooks.validate(**given)


@pytest.mark.parametrize(
    "request_of_chunks",
    [
        httpx.Request("POST", "https://example.com", headers=signed(), content=iter([b"x"])),
        Request("POST", "https://example.com", headers=signed(), body=Once(iter([b"x"]))),
    ],
    ids=["httpx", "ours"],
)
def test_a_request_that_was_not_read_is_one_too(request_of_chunks: Any) -> None:
    with pytest.raises(InvalidWebhook, match="has been read"):
        client.webhooks.validate(request=request_of_chunks, secret=SECRET)


@pytest.mark.parametrize("body", ["", "hello", "[]", "7", "[" * 3000])
def test_a_signed_body_that_is_no_event_is_refused(body: str) -> None:
    with pytest.raises(InvalidWebhook, match="although its signature fits"):
        client.webhooks.validate(signed(body), body, SECRET)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"id": "t1", "destination": "me/mine"}, Training),
        ({"id": "t1", "output": {"version": "a/b:c", "weights": "https://x.test/w"}}, Training),
        ({"id": "t1", "urls": {"get": "https://api.replicate.com/v1/trainings/t1"}}, Training),
        ({"id": "p1", "urls": {"get": "https://api.replicate.com/v1/predictions/p1"}}, Prediction),
        ({"id": "p1", "output": {"version": 1}}, Prediction),
        ({"id": "p1", "urls": ["odd"]}, Prediction),
        ({}, Prediction),
    ],
)
def test_a_training_is_told_from_a_prediction(event: dict[str, Any], kind: type) -> None:
    body = json.dumps(event)
    assert type(client.webhooks.validate(signed(body), body, SECRET)) is kind


@given(st.dictionaries(st.text(), st.text()), st.binary() | st.text(), st.text() | st.lists(st.text()))
@example({"webhook-id": "", "webhook-timestamp": "0", "webhook-signature": "v1,"}, b"", "")
def test_nothing_that_comes_raises_anything_else(headers: Any, body: Any, secret: Any) -> None:
    with pytest.raises(InvalidWebhook):
        client.webhooks.validate(headers, body, secret)


@given(
    st.text(st.characters(codec="latin-1"), max_size=20),
    st.text(max_size=20),
    st.text(st.characters(codec="ascii"), max_size=60),
    st.binary(max_size=20),
)
def test_no_headers_that_are_complete_raise_anything_else(
    id: str, time: str, signature: str, body: bytes
) -> None:
    headers = {"webhook-id": id, "webhook-timestamp": time, "webhook-signature": f"v1,{signature}"}
    with pytest.raises(InvalidWebhook):
        client.webhooks.validate(headers, body, SECRET, tolerance=None)
