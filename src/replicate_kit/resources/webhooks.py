"""Webhooks: the secret that signs them, and whether one that came is what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from replicate_kit._formats.arguments import seconds_or_none
from replicate_kit._moved import with_moved_names
from replicate_kit._runtime.blocking import blocking
from replicate_kit.errors import InvalidWebhook
from replicate_kit.records import Field, Record
from replicate_kit.resources._resource import Resource
from replicate_kit.resources.predictions import Prediction
from replicate_kit.resources.trainings import Training
from replicate_kit.signing import TOLERANCE, SignatureError, verify

__all__ = ["DefaultWebhook", "WebhookSecret", "Webhooks"]


class WebhookSecret(Record):
    """The secret that the API signs an account's webhooks with. Its `repr` does not show it."""

    key: Field[str] = Field(default="")

    def __repr__(self) -> str:
        return "<WebhookSecret: hidden>"


class DefaultWebhook(Resource):
    """The account's default webhook: `client.webhooks.default`."""

    async def async_secret(self) -> WebhookSecret:
        """Fetch the secret that signs the account's webhooks. Keep it: it seldom changes. Calls at the same time
        share one request.

        >>> from replicate_kit import Client
        >>> Client(backend="mock").webhooks.default.secret().key.startswith("whsec_")
        True
        """
        json = await self.session.single_flight("webhooks/default/secret", self._fetch_secret, self.session)
        return self._load(WebhookSecret, json)

    async def _fetch_secret(self) -> tuple[Any, float]:
        """Ask for the secret; the next call asks again, because it may be replaced at any time."""
        return await self.session.fetch("GET", "webhooks/default/secret"), 0.0

    secret = blocking(async_secret)


@with_moved_names
class Webhooks(Resource):
    """Operations on webhooks: `client.webhooks`."""

    @property
    def default(self) -> DefaultWebhook:
        """The account's default webhook."""
        return DefaultWebhook(self.session)

    def validate(
        self,
        headers: Any = None,
        body: str | bytes | None = None,
        secret: str | WebhookSecret | Iterable[str | WebhookSecret] | None = None,
        *,
        request: Any = None,
        tolerance: float | None = TOLERANCE,
    ) -> Prediction | Training:
        """Check that a webhook came from the API, recently and unchanged; give the event that it tells of.

        `headers` is any mapping (names in any case) and `body` the raw body, as text or bytes; or pass as `request`
        what has both as `headers` and `content`: an `httpx.Request` that has been read, or one of
        `replicate_kit.transport`. `secret` may be several, while one is being replaced by another.
        `tolerance` is how old the webhook may be, in seconds (the default is that of Standard Webhooks); None
        turns that check off, and with it the protection from somebody who sends it a second time. Sends
        nothing and needs no token.

        Raises `InvalidWebhook` for anything that is not to be trusted.

        >>> from replicate_kit import Client
        >>> headers = {
        ...     "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        ...     "webhook-timestamp": "1614265330",
        ...     "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ... }
        >>> secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        >>> event = Client(backend="mock").webhooks.validate(headers, '{"test": 2432232314}', secret, tolerance=None)
        >>> event["test"]
        2432232314
        """
        tolerance = seconds_or_none("tolerance", tolerance, endless=True, kind=InvalidWebhook)
        raw, found = _received(headers, body, request)
        try:
            verify(
                found["webhook-id"],
                found["webhook-timestamp"],
                raw,
                found["webhook-signature"],
                _keys(secret),
                now=datetime.now(UTC).timestamp(),
                tolerance=tolerance,
            )
        except (SignatureError, UnicodeError, OverflowError) as error:
            raise InvalidWebhook(f"{error} Answer with status 400 and do not act on it.") from error
        return self._event(raw)

    def _event(self, body: bytes) -> Prediction | Training:
        """Make the record of what a trusted webhook tells of."""
        try:
            event = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InvalidWebhook("The webhook's body is not JSON, although its signature fits.") from error
        if not isinstance(event, dict):
            raise InvalidWebhook(
                "The webhook's body is not a prediction or training, although its signature fits."
            )
        kind = Training if _is_training(event) else Prediction
        return kind(event, self.session)


def _is_training(event: Mapping[str, Any]) -> bool:
    """Tell a training from a prediction: only a training has a destination, a path of its own, or gives
    weights.
    """
    output = event.get("output")
    weights = isinstance(output, dict) and {"version", "weights"} <= output.keys()
    urls = event.get("urls")
    path = re.search(r"/trainings/", str(urls.get("get", ""))) if isinstance(urls, dict) else None
    return "destination" in event or weights or path is not None


def _received(headers: Any, body: Any, request: Any) -> tuple[bytes, dict[str, str]]:
    """Take the raw body and the headers that matter, however they were passed."""
    if request is None and hasattr(headers, "content"):
        raise InvalidWebhook("Pass a request by name: validate(request=…, secret=…).")
    try:
        if request is not None:
            headers, body = request.headers, request.content
        raw = body.encode() if isinstance(body, str) else bytes(memoryview(body or b""))
        return raw, _headers(headers)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        if isinstance(error, InvalidWebhook):
            raise
        raise InvalidWebhook(
            f"This is no request that could be checked ({error}). Pass its headers as a mapping and its raw "
            "body as text or bytes, or a request that has been read, with `headers` and `content`."
        ) from error


def _headers(headers: Any) -> dict[str, str]:
    """Take the headers that matter from any mapping, in any case, as text or bytes."""
    found = {_text(name).lower(): _text(value) for name, value in dict(headers or {}).items()}
    missing = {"webhook-id", "webhook-timestamp", "webhook-signature"} - found.keys()
    if missing:
        raise InvalidWebhook(
            f"The request has no {' and no '.join(sorted(missing))}, so it is not a webhook of the API. "
            "Pass the headers and the raw body of the request as they came."
        )
    return found


def _text(value: str | bytes) -> str:
    """Read a header, which some servers give as bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _keys(secret: Any) -> list[str]:
    """Take one secret or several."""
    several = not isinstance(secret, str | WebhookSecret) and isinstance(secret, Iterable)
    secrets: list[Any] = [*secret] if several else [secret] if secret else []
    if wrong := [type(each).__name__ for each in secrets if not isinstance(each, str | WebhookSecret)]:
        raise InvalidWebhook(
            f"A secret is text, not {wrong[0]}. Pass the key of client.webhooks.default.secret()."
        )
    return [each.key if isinstance(each, WebhookSecret) else each for each in secrets]
