"""The error that an answer of the API stands for: its kind, what the API says, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from replicate_kit.errors import (
    APIError,
    AuthenticationError,
    InsufficientCredit,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    ValidationError,
)

if TYPE_CHECKING:
    from replicate_kit.transport import Request

__all__ = ["api_error"]

_BY_STATUS: dict[int, type[APIError]] = {
    401: AuthenticationError,
    402: InsufficientCredit,
    403: PermissionDenied,
    404: NotFound,
    422: ValidationError,
    429: RateLimited,
}

_NEXT_STEP = {
    401: "Check the API token (https://replicate.com/account/api-tokens): `replicate-kit auth status` says where it "
    "comes from. Client(backend='mock') needs none.",
    402: "Add credit at https://replicate.com/account/billing and {again}.",
    403: "Check that the token's account may use this model or deployment.",
    404: "Check the spelling of the name or id, and that the token's account may see it.",
    405: "What stands at base_url does not take requests of this kind. A gateway may not pass them on.",
    407: "A proxy on the way asks for a user name and password: write them into its URL (HTTP_PROXY, or proxy=).",
    422: "Correct {input} and {again}.",
    429: "Wait, or send fewer requests at a time; client.map keeps to the account's limits by itself.",
    501: "What stands at base_url does not take requests of this kind. A gateway may not pass them on.",
}


def api_error(
    *,
    status: int,
    body: Any,
    headers: Mapping[str, str],
    where: str,
    retry_after: float | None = None,
    request: Request | None = None,
) -> APIError:
    """Make the error for an answer of the API. `where` names the operation in the message."""
    problem = body if isinstance(body, dict) else {}
    title, detail = _text(problem.get("title")), _text(problem.get("detail"))
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else APIError)
    said = (detail or title or _excerpt(body) or "no explanation").strip()
    message = f"{where}: {status} {said}"
    if step := _next_step(status, headers, request):
        message = f"{message}\n{step}"
    return kind(
        message,
        status=status,
        title=title,
        detail=detail,
        body=body,
        headers=headers,
        retry_after=retry_after,
        request=request,
    )


def _next_step(status: int, headers: Mapping[str, str], request: Request | None) -> str | None:
    """What to do about an answer."""
    if 300 <= status < 400 and "location" in headers:
        return f"The API is elsewhere: {headers['location']!r}. Set base_url to its root."
    step = _NEXT_STEP.get(status)
    if step is None:
        return None
    if request is None or request.method == "POST":
        return step.format(input="the input", again="run it again: nothing was created")
    return step.format(input="what was passed", again="send it again: nothing was changed")


def _text(value: Any) -> str | None:
    """Take a text, or nothing."""
    return value if isinstance(value, str) and value else None


def _excerpt(body: Any) -> str:
    """Show the start of a body that explains nothing by itself, on one line; of a page, its title."""
    text = body if isinstance(body, str) else "" if body is None else str(body)
    if re.search(r"[\0-\x08\x0e-\x1f\x7f\ufffd]", text[:1000]):
        return "with a body that is no text"
    if re.match(r"\s*<(!doctype|html|head|body)\b", text, re.IGNORECASE):
        text = _said_by_page(text[:100_000])
    return re.sub(r"\s+", " ", text).strip()[:200]


def _said_by_page(page: str) -> str:
    """Give what a gateway or a proxy says on a page: its title, or else all of its text.

    Each pattern reads a page once, however many of its elements and tags do not end.
    """
    import html  # which nobody else needs

    said = _element(page, "title") or _element(page, "h1")
    if said is None:
        said = re.sub(r"(?is)<(script|style)\b.*?(?:</\1>|\Z)", " ", page)
    return html.unescape(re.sub(r"<[^<>]*>", " ", said))


def _element(page: str, name: str) -> str | None:
    """Give what is in the first element of a name; None where there is none, or it does not end."""
    begin = re.search(rf"<{name}\b[^<>]*>", page, re.IGNORECASE)
    end = begin and re.compile(f"</{name}", re.IGNORECASE).search(page, begin.end())
    return page[begin.end() : end.start()] if begin and end else None
