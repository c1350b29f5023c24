"""What HTTP libraries log of our requests, without secrets: their own loggers tell more than ours do.

httpx names URLs with their query, where `params=` and signatures stand. hpack names each header of HTTP/2, the token's
too, and httpcore the password of a SOCKS proxy. Requests that others make by these libraries are logged as ever.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

import httpx

from replicate_kit._runtime.context import ScopedVariable

__all__ = ["logged_without_secrets"]

_ours = ScopedVariable("replicate_kit_logged_without_secrets", default=False)


def logged_without_secrets() -> AbstractContextManager[None]:
    """Keep secrets of the requests of a block out of the logs of HTTP libraries."""
    return _ours.within(True)


def _without_queries(record: logging.LogRecord) -> bool:
    """Log a request without the query of its URL."""
    if _ours.get() and isinstance(record.args, tuple):
        record.args = tuple(map(_plain, record.args))
    return True


def _plain(value: object) -> object:
    """A URL without what may be secret in it."""
    if isinstance(value, httpx.URL):
        return value.copy_with(query=None, fragment=None, userinfo=b"")
    return value


def _not_ours(record: logging.LogRecord) -> bool:
    """Leave out what is said of our requests."""
    return not _ours.get()


logging.getLogger("httpx").addFilter(_without_queries)
for _name in ("hpack.hpack", "hpack.table", "httpcore.socks"):
    logging.getLogger(_name).addFilter(_not_ours)
