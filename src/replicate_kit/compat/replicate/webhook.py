"""Webhooks: the secret that signs them, and whether one that came is true."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Iterator, Mapping
from typing import Any

from replicate_kit._runtime.blocking import blocking
from replicate_kit.compat.replicate.resource import Namespace, Resource
from replicate_kit.records import Field

__all__ = [
    "InvalidSecretKeyError",
    "InvalidSignatureError",
    "InvalidTimestampError",
    "MissingWebhookBodyError",
    "MissingWebhookHeaderError",
    "WebhookSigningSecret",
    "WebhookValidationError",
    "Webhooks",
]


class WebhookSigningSecret(Resource):
    """What the API signs webhooks with."""

    key: Field[str] = Field()


class WebhookValidationError(ValueError):
    """A webhook that is not to be trusted."""


class MissingWebhookHeaderError(WebhookValidationError):
    """A header of webhooks is missing."""


class InvalidSecretKeyError(WebhookValidationError):
    """The secret is not one."""


class MissingWebhookBodyError(WebhookValidationError):
    """The body is missing."""


class InvalidTimestampError(WebhookValidationError):
    """The webhook is too old, or from the future."""


class InvalidSignatureError(WebhookValidationError):
    """The signature does not fit."""


class Webhooks(Namespace):
    """Operations on webhooks."""

    class Default(Namespace):
        """The account's default webhook."""

        async def async_secret(self) -> WebhookSigningSecret:
            """Fetch the secret that signs the account's webhooks."""
            return await self._fetch(WebhookSigningSecret, "GET", "webhooks/default/secret")

        secret = blocking(async_secret)

    @property
    def default(self) -> Webhooks.Default:
        """The account's default webhook."""
        return self.Default(self._client)

    @staticmethod
    def validate(
        request: Any = None,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
        secret: WebhookSigningSecret | None = None,
        tolerance: int | None = None,
    ) -> None:
        """Return if a webhook is true: an httpx request, or its headers and body; else raise a
        `WebhookValidationError`. `tolerance` is how old it may be, in seconds; None does not look.
        """
        if not secret:
            raise ValueError("Missing webhook signing secret")
        if request and (headers or body):
            raise ValueError("Only one of request or headers/body can be provided")
        if request and request.headers:
            headers, body = request.headers, request.content
        id, timestamp, signatures = _told(headers)
        if not body:
            raise MissingWebhookBodyError("Missing webhook body")
        _check_age(timestamp, tolerance)
        raw = body.encode() if isinstance(body, str) else body
        signed = _signed(secret.key, b".".join((id.encode(), timestamp.encode(), raw)))
        if not any(hmac.compare_digest(each, signed) for each in _given(signatures)):
            raise InvalidSignatureError("Webhook signature is invalid")


def _told(headers: Mapping[str, str] | None) -> list[str]:
    """Take the id, time and signatures from the headers."""
    if not headers:
        raise MissingWebhookHeaderError("Missing webhook headers")
    found = {name.lower(): value for name, value in headers.items()}
    for name in ("id", "timestamp", "signature"):
        if not found.get(f"webhook-{name}"):
            raise MissingWebhookHeaderError(f"Missing webhook {name}")
    return [found[f"webhook-{name}"] for name in ("id", "timestamp", "signature")]


def _check_age(timestamp: str, tolerance: int | None) -> None:
    """Refuse what is too old, or too far ahead."""
    if tolerance is not None and abs(int(time.time()) - int(timestamp)) > tolerance:
        raise InvalidTimestampError(
            f"Webhook timestamp is outside the allowed tolerance of {tolerance} seconds"
        )


def _signed(key: str, content: bytes) -> bytes:
    """The signature of a content by a secret, which has two parts: what it is for, and itself in base64."""
    parts = key.split("_")
    if len(parts) != 2:
        raise InvalidSecretKeyError(f"Invalid secret key format: {key}")
    return hmac.digest(base64.b64decode(parts[1]), content, "sha256")


def _given(signatures: str) -> Iterator[bytes]:
    """Read signatures one by one, each with its version before it."""
    for each in signatures.split():
        version, *rest = each.split(",")
        if not rest:
            raise InvalidSignatureError(f"Invalid signature format: {version}")
        yield base64.b64decode(rest[0])
