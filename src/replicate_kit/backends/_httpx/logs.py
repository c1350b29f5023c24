"""What HTTP libraries log of our requests, without secrets: their own loggers tell more than ours do.

httpx names URLs with their query, where `params=` and signatures stand. hpack names each header of HTTP/2, the token's
too, and httpcore the password of a SOCKS proxy. Requests that others make by these libraries are logged as ever.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from replicate_kit._runtime.context import ScopedVariable
from replicate_kit.backends._options.libraries import Library

__all__ = ["filter_logs", "logged_without_secrets"]

_ours = ScopedVariable("replicate_kit_logged_without_secrets", default=False)
_filtered: set[str] = set()


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
    copy_with = getattr(value, "copy_with", None)  # a URL of one of the libraries
    return value if copy_with is None else copy_with(query=None, fragment=None, userinfo=b"")


def _not_ours(record: logging.LogRecord) -> bool:
    """Leave out what is said of our requests."""
    return not _ours.get()


def filter_logs(library: Library) -> None:
    """Keep secrets of our requests out of the logs of a library and of those that it stands on."""
    if library.name not in _filtered:
        _filtered.add(library.name)
        logging.getLogger(library.name).addFilter(_without_queries)
        for name in library.loggers:
            logging.getLogger(name).addFilter(_not_ours)
