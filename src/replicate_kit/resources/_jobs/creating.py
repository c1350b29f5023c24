"""How a prediction is asked for: what to run, and the headers that say for how long."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args
from urllib.parse import urlsplit

from replicate_kit import errors
from replicate_kit._formats.arguments import choices, finite, flag
from replicate_kit._formats.redacting import redacted
from replicate_kit._formats.references import Reference
from replicate_kit.config import API_URL
from replicate_kit.records import parse_duration

if TYPE_CHECKING:
    from replicate_kit._http.session import Session

__all__ = [
    "EVENTS",
    "WebhookEvent",
    "cancel_after_header",
    "check_webhook",
    "create_of",
    "deadline_seconds",
    "events_filter",
    "mapping_of",
    "prefer_header",
    "reference_of",
    "the_one",
]

WebhookEvent = Literal["start", "output", "logs", "completed"]
"""The events of `webhook_events_filter` in the API's OpenAPI description."""

EVENTS: tuple[WebhookEvent, ...] = get_args(WebhookEvent)


def reference_of(thing: Any, session: Session, *, deployment: bool = False) -> Reference:
    """See what is meant by a text, a Reference, or a record that has one."""
    if isinstance(thing, str):
        # A deployment's own name has no prefix where it is clear that a deployment is meant.
        prefixed = f"deployments/{thing}" if deployment and thing.count("/") == 1 else thing
        return session.hooks.parse_reference(prefixed)
    ref = thing if isinstance(thing, Reference) else getattr(thing, "reference", None)
    if isinstance(ref, Reference):
        return ref
    raise errors.InvalidReference(
        f"{thing!r} does not name what to run. Pass 'owner/name', 'owner/name:version', "
        "'deployments/owner/name', "
        "a version id, or a Model, Version or Deployment."
    )


def the_one(*, session: Session, **named: Any) -> Reference:
    """Take the one thing that was named to be run."""
    given = {key: value for key, value in named.items() if value is not None}
    if len(given) != 1:
        raise errors.InputError(
            f"Pass exactly one of version, model and deployment, not {' and '.join(given) or 'none of them'}."
        )
    ((kind, thing),) = given.items()
    return reference_of(thing, session, deployment=kind == "deployment")


def create_of(ref: Reference, body: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Give the path and the JSON by which a prediction is asked for of what a reference names."""
    if ref.version is not None:
        return "predictions", {"version": ref.version, **body}
    return f"{ref.path}/predictions", body


def prefer_header(wait: bool | int) -> dict[str, str]:
    """Ask the API to hold its answer. It takes 1 to 60 seconds (its OpenAPI description, header Prefer)."""
    wait = flag(wait)
    if wait is False or wait is None:
        return {}
    if wait is True:
        return {"Prefer": "wait"}
    seconds = finite(wait)
    if seconds is not None and seconds.is_integer() and 1 <= seconds <= 60:
        return {"Prefer": f"wait={seconds:.0f}"}
    raise errors.InputError(
        f"wait={wait!r:.80} is not True, False or a whole number of seconds from 1 to 60. "
        "To wait longer, use run(…, timeout=…) or wait()."
    )


def cancel_after_header(cancel_after: float | str | None) -> dict[str, str]:
    """Ask the API to end the prediction after a time of at least 5 s (its OpenAPI description,
    Cancel-After).
    """
    if cancel_after is None:
        return {}
    seconds = deadline_seconds(cancel_after)
    return {"Cancel-After": cancel_after.strip() if isinstance(cancel_after, str) else f"{seconds}s"}


def deadline_seconds(cancel_after: float | str) -> int:
    """Check how long a prediction may take, and give that in whole seconds.

    >>> deadline_seconds("1h30m"), deadline_seconds(7.5)
    (5400, 8)
    """
    seconds = _seconds(cancel_after)
    if not 5 <= seconds < _LONGEST:
        raise errors.InputError(
            f"cancel_after={cancel_after!r:.80} cannot be used. Pass seconds, 5 or more, such as 90, or a text such as "
            "'1h30m45s'."
        )
    # A part of a second is a whole one: the prediction has at least the time that was asked for.
    return math.ceil(seconds)


_LONGEST = 10_000_000  # seconds; no prediction takes months


def _seconds(duration: float | str) -> float:
    """Read a number of seconds, or a text such as 1h30m45s; 0 for what is neither."""
    if isinstance(duration, str):
        return parse_duration(duration)
    return finite(duration) or 0


def mapping_of(input: Any) -> Mapping[str, Any]:
    """See the inputs in a mapping, or in a dataclass, which a program may keep them in; raises `InputError` for others.

    >>> mapping_of(None), mapping_of({"prompt": "sea"})
    ({}, {'prompt': 'sea'})
    """
    if input is None:
        return {}
    if is_dataclass(input) and not isinstance(input, type):
        return {each.name: getattr(input, each.name) for each in fields(input)}
    if isinstance(input, Mapping):
        return input
    # What holds other values may hold secrets.
    named = repr(input)[:80] if isinstance(input, str | int | float) else f"a {type(input).__name__}"
    raise errors.InputError(
        f"input is {named}, not a mapping. Pass the model's inputs by name: {{'prompt': …}}."
    )


def check_webhook(webhook: Any, session: Session) -> None:
    """Refuse what no event can be sent to. Replicate sends to https alone (its OpenAPI description); servers of one's
    own, and the mock, to http as well.
    """
    secure = session.base_url.host == urlsplit(API_URL).hostname
    if webhook is not None and not _is_address(webhook, ("https",) if secure else ("https", "http")):
        shown = redacted(webhook).partition("?")[0] if isinstance(webhook, str) else webhook
        raise errors.InputError(
            f"webhook={shown!r:.80} cannot be used. Pass the whole URL that events are sent to, without spaces, such "
            f"as 'https://example.com/hook'{'; the API sends to https only' if secure else ''}. Nothing was created."
        )


def _is_address(webhook: Any, schemes: tuple[str, ...]) -> bool:
    """Whether it is a URL with a host."""
    try:
        parts = urlsplit(webhook) if isinstance(webhook, str) else None
        webhook.encode()
    except (ValueError, AttributeError):  # of the former, UnicodeEncodeError is one
        return False
    return (
        parts is not None and parts.scheme in schemes and bool(parts.hostname) and " " not in webhook.strip()
    )


def events_filter(events: Iterable[str] | None) -> list[WebhookEvent] | None:
    """Read which events a webhook is told; None where that was not said."""
    return cast("list[WebhookEvent] | None", choices("webhook_events_filter", events, EVENTS))
