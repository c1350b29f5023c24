"""Signatures: Standard Webhooks (https://www.standardwebhooks.com) and signed file downloads. No I/O, no
clock.

A secret is `whsec_` and the base64 of a key. What is signed is `{id}.{timestamp}.{body}` with HMAC-SHA256, so
that neither the body nor its age can be changed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Iterator

from replicate_kit._formats.wording import listed

__all__ = ["SignatureError", "sign", "sign_download", "verify", "verify_download"]

TOLERANCE = 300
"""How far a webhook's timestamp may be from now, in seconds (Standard Webhooks)."""


class SignatureError(ValueError):
    """A message is not what its signature says, or the signature, its time or the secret cannot be read."""


def sign(id: str, timestamp: int, body: bytes, secret: str) -> str:
    """Sign a webhook: `v1,` and the base64 of the signature.

    >>> secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    >>> sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', secret)
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    return "v1," + base64.b64encode(_digest(id, str(timestamp), body, _key(secret))).decode()


def verify(
    id: str,
    timestamp: str,
    body: bytes,
    signatures: str,
    secrets: Iterable[str],
    *,
    now: float,
    tolerance: float | None = TOLERANCE,
) -> None:
    """Return if one of `signatures` (a `webhook-signature` header) was made with one of `secrets`.

    Else raise `SignatureError`. `now` is the time in unix seconds. `tolerance` bounds, in seconds, how old
    (or early) the message may be, which protects from its being sent again by somebody else; `None` turns
    that off.
    """
    _check_age(timestamp, now, tolerance)
    given = list(_given(signatures))
    expected = [_digest(id, timestamp, body, _key(secret)) for secret in listed(secrets)]
    if not expected:
        raise SignatureError(
            "No secret was given. Pass the key that GET /webhooks/default/secret answers with."
        )
    # Every pair is compared, whether or not one matched: the time it takes must not tell which.
    matches = [hmac.compare_digest(one, other) for one in given for other in expected]
    if not any(matches):
        raise SignatureError("No signature fits. Check the secret, and pass the body exactly as it came.")


def _check_age(timestamp: str, now: float, tolerance: float | None) -> None:
    """Refuse a message from too long ago, or from the future."""
    try:
        age = now - int(timestamp)
    except ValueError:
        raise SignatureError(
            f"The webhook's timestamp {timestamp!r} is not a whole number of seconds."
        ) from None
    if tolerance is not None and abs(age) > tolerance:
        when = f"{age:.0f} s old" if age > 0 else f"{-age:.0f} s in the future"
        raise SignatureError(f"The webhook is {when}. Check this machine's clock, or raise tolerance.")


def _given(signatures: str) -> Iterator[bytes]:
    """Read the version 1 signatures of a header; other versions are not ours to judge."""
    for part in signatures.split():
        version, _, text = part.partition(",")
        if version == "v1":
            try:
                yield base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                continue


def _key(secret: str) -> bytes:
    """Read the key out of a secret."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError(
            "The secret is not base64. Pass all of it; it looks like whsec_MfKQ9r8G…."
        ) from None


def _digest(id: str, timestamp: str, body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)


def sign_download(owner: str, id: str, expiry: int, secret: str) -> str:
    """Sign the download of the file `id` of `owner` until `expiry` (unix seconds): base64 of an HMAC-SHA256.

    >>> sign_download("mattt", "cneqzikepnug6xezperrr4z55o", 1708515345, "secret")
    '5h/+sPj5rY7iVgAzKddyblXZ6MOfLFicFgdBesnUi8U='
    """
    return base64.b64encode(
        hmac.digest(secret.encode(), f"{owner} {id} {expiry}".encode(), hashlib.sha256)
    ).decode()


def verify_download(owner: str, id: str, expiry: int, signature: str, secret: str, *, now: float) -> None:
    """Return if `signature` allows the download at `now` (unix seconds); else raise `SignatureError`."""
    expected = sign_download(owner, id, expiry, secret)
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        raise SignatureError("The signature does not fit the file, its owner and the expiry.")
    if now > expiry:
        raise SignatureError("The download link has expired. Ask for a new one.")
