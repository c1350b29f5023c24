"""What the API answers when something is wrong, in the words it was recorded with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from replicate_kit._formats.wording import bounded, did_you_mean
from replicate_kit.schema import Problem

__all__ = [
    "LONGEST",
    "HTTPProblem",
    "bad_request",
    "insufficient_credit",
    "invalid_input",
    "invalid_version",
    "no_model",
    "not_found",
    "refused",
    "throttled",
    "too_large",
    "too_long",
    "unauthenticated",
]


class HTTPProblem(Exception):
    """An answer that is an error: its status, its body, and headers beside the usual ones."""

    def __init__(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, dict(headers or {})


_NOT_FOUND = "The requested resource could not be found."
_MOST_NAMED = 20  # models

LONGEST = 2_000  # characters of what is said of a request, which may repeat what was sent


def unauthenticated(detail: str) -> HTTPProblem:
    """401: no token, or one that is not known."""
    return HTTPProblem(401, {"title": "Unauthenticated", "detail": detail, "status": 401})


def insufficient_credit() -> HTTPProblem:
    """402: nothing can be created until credit is bought."""
    detail = (
        "You have insufficient credit to run this model. Go to https://replicate.com/account/billing#billing to "
        "purchase credit. Once you purchase credit, please wait a few minutes before trying again."
    )
    return HTTPProblem(402, {"title": "Insufficient credit", "detail": detail, "status": 402})


def not_found(detail: str = _NOT_FOUND) -> HTTPProblem:
    """404; this one has no title."""
    return HTTPProblem(404, {"detail": bounded(detail, LONGEST), "status": 404})


def no_model(name: str, known: Sequence[str]) -> HTTPProblem:
    """404: there is no such model. Whoever misspelt one is told, beyond the API's own words, which there are,
    the newest first.
    """
    if not known:
        return not_found(f"{_NOT_FOUND} The simulator has no models.")
    shown = ", ".join(known[: -_MOST_NAMED - 1 : -1])
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    return not_found(f"{_NOT_FOUND} The simulator has {shown}{more}.{did_you_mean(name, known)}")


def bad_request(detail: str) -> HTTPProblem:
    """400: the request cannot be read."""
    return HTTPProblem(400, {"detail": bounded(detail, LONGEST), "status": 400})


def refused(status: int, detail: str, title: str | None = None) -> HTTPProblem:
    """Any other error that is one sentence."""
    # The API's description has neither 403 nor 409. What can be read and is refused all the same gets 422.
    titled = {"title": title} if title else {}
    return HTTPProblem(status, {**titled, "detail": bounded(detail, LONGEST), "status": status})


def invalid_version() -> HTTPProblem:
    """422: the version is unknown, or somebody else's."""
    detail = "The specified version does not exist (or perhaps you don't have permission to use it?)"
    return refused(422, detail, "Invalid version or not permitted")


def invalid_input(problems: Sequence[Problem]) -> HTTPProblem:
    """422: the input or the body does not fit its schema."""
    body = {
        "detail": "".join(f"- {problem}\n" for problem in problems),
        "status": 422,
        "title": "Input validation failed",
        "invalid_fields": [problem._asdict() for problem in problems],
    }
    return HTTPProblem(422, body)


def too_large() -> HTTPProblem:
    """413: a file has more bytes than one may have."""
    return HTTPProblem(413, {"detail": "Files must be less than 100MB in size"})


def too_long(limit: int) -> HTTPProblem:
    """413: any other body has more bytes than one may have."""
    size = f"{limit // 1024**2}MB"
    return refused(413, f"Bodies must be less than {size} in size. Upload large files, and send their URLs.")


def throttled(seconds: int, why: str = "") -> HTTPProblem:
    """429: wait for `seconds`."""
    detail = f"Request was throttled. {why}Your rate limit resets in ~{seconds}s."
    return HTTPProblem(
        429, {"detail": detail, "status": 429, "retry_after": seconds}, {"retry-after": str(seconds)}
    )
