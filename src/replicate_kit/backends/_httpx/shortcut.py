"""Whether a request may go straight to a transport of the library's, past what its client does around that.

For requests of ours that is a fourth of all, and nobody sees it, unless an option asks for it, the library's log is
read, or somebody has put something in its place: what mocks, records or traces httpx does so in many ways.
"""

from __future__ import annotations

import functools
import logging
import sys
from types import FunctionType

from replicate_kit.backends._options.libraries import Library

__all__ = ["is_plain"]

# What a request passes on its way through a client, and what makes that client.
_STEPS = (
    "__init__",
    "_init_transport",
    "_send_handling_auth",
    "_send_handling_redirects",
    "_send_single_request",
    "_transport_for_url",
    "send",
)


def is_plain(library: Library) -> bool:
    """Whether the library's client is as it was made, and nobody reads what it logs."""
    kind, home = library.module.AsyncClient, sys.modules.get(f"{library.name}._client")
    if kind is not getattr(home, "AsyncClient", None):
        return False
    written_in = getattr(home, "__file__", None)
    for name in _STEPS:
        step = getattr(kind, name, None)
        # By its very type: proxies of functions show everything else of what they stand for.
        if type(step) is not FunctionType or step.__code__.co_filename != written_in:
            return False
    return not _log(library.name).isEnabledFor(logging.INFO)


@functools.cache
def _log(name: str) -> logging.Logger:
    """The log of a library, of which each request is a line."""
    return logging.getLogger(name)
