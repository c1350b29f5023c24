"""How a prediction is asked for: what to run, and the headers that say for how long."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from replicate_kit import errors
from replicate_kit.records import parse_duration
from replicate_kit.refs import Reference

if TYPE_CHECKING:
    from replicate_kit.session import Session

__all__ = ["cancel_after_header", "deadline_seconds", "prefer_header", "reference_of", "the_one"]


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


def prefer_header(wait: bool | int) -> dict[str, str]:
    """Ask the API to hold its answer. It takes 1 to 60 seconds (its OpenAPI description, header Prefer)."""
    if wait is False or wait is None:
        return {}
    if wait is True:
        return {"Prefer": "wait"}
    if isinstance(wait, int) and 1 <= wait <= 60:
        return {"Prefer": f"wait={wait}"}
    raise errors.InputError(
        f"wait={wait!r} is not True, False or a whole number of seconds from 1 to 60. "
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
            f"cancel_after={cancel_after!r} is less than the 5 seconds that the API asks for at least, or no "
            "time at all. Pass seconds, such as 90, or a text such as '1h30m45s'."
        )
    # A part of a second is a whole one: the prediction has at least the time that was asked for.
    return math.ceil(seconds)


_LONGEST = 10_000_000  # seconds; no prediction takes months


def _seconds(duration: float | str) -> float:
    """Read a number of seconds, or a text such as 1h30m45s; 0 for what is neither."""
    if isinstance(duration, str):
        return parse_duration(duration)
    return duration if isinstance(duration, int | float) and not isinstance(duration, bool) else 0
