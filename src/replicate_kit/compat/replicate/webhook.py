"""Webhooks: the secret that signs them, and whether one that came is true."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from replicate_kit._blocking import blocking
from replicate_kit.compat.replicate.resource import Namespace, Resource
from replicate_kit.records import Field
from replicate_kit.signing import SignatureError, verify

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
            raise ValueError("Missing webhook signing secret. Pass that of webhooks.default.secret().")
        if request is not None:
            if headers or body:
                raise ValueError("Pass a request, or headers and body, not both.")
            headers, body = request.headers, request.content
        id, timestamp, signature = _told(headers)
        if not body:
            raise MissingWebhookBodyError("Missing webhook body")
        if not secret.key.startswith("whsec_"):
            raise InvalidSecretKeyError("The secret key does not have the form whsec_….")
        _check_age(timestamp, tolerance)
        raw = body.encode() if isinstance(body, str) else body
        try:
            verify(id, timestamp, raw, signature, [secret.key], now=0, tolerance=None)
        except SignatureError as error:
            raise InvalidSignatureError(f"Webhook signature is invalid: {error}") from error


def _told(headers: Mapping[str, str] | None) -> list[str]:
    """Take the id, time and signature from the headers."""
    found = {name.lower(): value for name, value in (headers or {}).items()}
    for name in ("id", "timestamp", "signature"):
        if not found.get(f"webhook-{name}"):
            raise MissingWebhookHeaderError(f"Missing webhook {name}")
    return [found[f"webhook-{name}"] for name in ("id", "timestamp", "signature")]


def _check_age(timestamp: str, tolerance: int | None) -> None:
    """Refuse what is too old."""
    try:
        age = abs(time.time() - int(timestamp))
    except ValueError:
        raise InvalidTimestampError(f"The webhook's timestamp {timestamp!r} is not a number.") from None
    if tolerance is not None and age > tolerance:
        raise InvalidTimestampError(f"The webhook is {age:.0f} s away from now, more than {tolerance} s.")
