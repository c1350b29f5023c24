"""Who may use the API, control the server, and look at its page.

A page of another site can have a browser send requests here, which run the user's functions. Browsers tell: by
`Origin`, by `Sec-Fetch-Site`, and by a foreign `Host` where the page had a name of its own lead here (DNS rebinding).
Programs that are no browsers send neither of the first two, and the name by which they were told to come.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.requests import Request

from replicate_kit.serving._origins import origin_parts

if TYPE_CHECKING:
    from replicate_kit.serving._served import Served

__all__ = ["HEADER", "control_refusal", "is_allowed_page", "refusal"]

HEADER = "x-control-secret"
# Browsers say "none" where the user typed the address.
_OWN_SITE = ("none", "same-origin")


def refusal(server: Served, scope: Any, *, by_url: bool) -> str | None:
    """Why a request may not use the API, or None if it may.

    With `by_url` the URL itself is the secret, as that of an output file: any page that has it may show or read what
    is there, as with Replicate's own. All else is for programs, the page of the server, and the pages that it was
    told to allow.
    """
    if not server.origins.is_meant(scope):
        return _foreign_host(scope)
    if by_url or is_allowed_page(server, scope) or _is_own_site(server, scope):
        return None
    return _foreign_page(scope)


def control_refusal(server: Served, request: Request) -> str | None:
    """Why a request may not control the server, or None: it comes from this machine, or has the secret."""
    given = request.headers.get(HEADER) or request.query_params.get("secret") or ""
    # The secret comes first: with it a request may come from anywhere, also through a proxy of another name.
    if hmac.compare_digest(given.encode(), server.secret.encode()):
        return None
    if server.guarded or not _is_local(request):
        return f"Only for this machine. From elsewhere send the secret as the header {HEADER}, or ?secret=."
    if not server.origins.is_meant(request.scope):
        return _foreign_host(request.scope)
    return None if _is_own_site(server, request.scope) else _foreign_page(request.scope)


def is_allowed_page(server: Served, scope: Any) -> bool:
    """Whether a page sent a request that may use the API though it is of another site."""
    origins = Headers(scope=scope).getlist("origin")
    # Browsers send one origin. Of two, nobody could say which one counts.
    return len(origins) == 1 and ("*" in server.allowed_origins or _key(origins[0]) in server.allowed_origins)


def _key(origin: str) -> Any:
    return origin_parts(origin) or origin


def _is_own_site(server: Served, scope: Any) -> bool:
    """Whether a request is of no page, or of one of the server's own."""
    headers = Headers(scope=scope)
    return all(server.origins.is_own_page(scope, each) for each in headers.getlist("origin")) and all(
        each in _OWN_SITE for each in headers.getlist("sec-fetch-site")
    )


def _foreign_host(scope: Any) -> str:
    host = Headers(scope=scope).get("host", "")[:100]
    return (
        f"The request is for the host {host!r}, and this server does not go by that name. If it should, start it with "
        "--allow-host NAME, or Server(allow_hosts=[…])."
    )


def _foreign_page(scope: Any) -> str:
    origin = Headers(scope=scope).get("origin", "of another site")[:100]
    return (
        f"The request comes from a web page ({origin}), and pages of other sites may not use this server. If this one "
        "should, start it with --allow-origin ORIGIN, or Server(allow_origins=[…])."
    )


def _is_local(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
