from __future__ import annotations

import base64
import datetime
import json
import time

import pytest
import standardwebhooks

from replicate_kit.signing import SignatureError, sign, sign_download, verify, verify_download

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIME, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_sign_gives_the_published_vector() -> None:
    assert sign(ID, TIME, BODY, SECRET) == SIGNATURE


def test_verify_accepts_what_was_signed() -> None:
    verify(ID, str(TIME), BODY, SIGNATURE, [SECRET], now=TIME + 299)


def test_verify_accepts_any_of_several_signatures_and_secrets() -> None:
    other = "whsec_" + base64.b64encode(b"another key").decode()
    header = f"v2,abc v1,not-base64! {sign(ID, TIME, BODY, other)} {SIGNATURE}"
    verify(ID, str(TIME), BODY, header, [SECRET], now=TIME)
    verify(ID, str(TIME), BODY, SIGNATURE, [other, SECRET], now=TIME)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"body": BODY + b" "}, "No signature fits"),
        ({"id": "msg_other"}, "No signature fits"),
        ({"signatures": ""}, "No signature fits"),
        ({"signatures": SIGNATURE.replace("v1,", "v1a,")}, "No signature fits"),
        ({"timestamp": "soon"}, "not a whole number"),
        ({"timestamp": str(TIME + 1)}, "No signature fits"),
        ({"secrets": []}, "No secret was given"),
        ({"secrets": ["whsec_***"]}, "not base64"),
        ({"now": TIME + 301}, "301 s old"),
        ({"now": TIME - 301}, "301 s in the future"),
    ],
)
def test_verify_refuses(change: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"id": ID, "timestamp": str(TIME), "body": BODY, "signatures": SIGNATURE}
    given |= {"secrets": [SECRET], "now": TIME, **change}
    with pytest.raises(SignatureError, match=message):
        verify(**given)  # type: ignore[arg-type]


def test_verify_without_tolerance_accepts_any_age() -> None:
    verify(ID, str(TIME), BODY, SIGNATURE, [SECRET], now=TIME + 10**6, tolerance=None)


def test_an_independent_implementation_agrees() -> None:
    now = int(time.time())
    when = datetime.datetime.fromtimestamp(now, datetime.UTC)
    assert standardwebhooks.Webhook(SECRET).sign(ID, when, BODY.decode()) == sign(ID, now, BODY, SECRET)
    headers = {
        "webhook-id": ID,
        "webhook-timestamp": str(now),
        "webhook-signature": sign(ID, now, BODY, SECRET),
    }
    assert standardwebhooks.Webhook(SECRET).verify(BODY, headers) == json.loads(BODY)


def test_a_download_signature_lasts_until_its_expiry() -> None:
    signature = sign_download("mattt", "some-file", TIME, "secret")
    verify_download("mattt", "some-file", TIME, signature, "secret", now=TIME)
    with pytest.raises(SignatureError, match="expired"):
        verify_download("mattt", "some-file", TIME, signature, "secret", now=TIME + 1)


@pytest.mark.parametrize(
    ("owner", "id", "expiry"), [("x", "some-file", TIME), ("mattt", "y", TIME), ("mattt", "some-file", 0)]
)
def test_a_download_signature_fits_one_file_of_one_owner(owner: str, id: str, expiry: int) -> None:
    signature = sign_download("mattt", "some-file", TIME, "secret")
    with pytest.raises(SignatureError, match="does not fit"):
        verify_download(owner, id, expiry, signature, "secret", now=TIME)
