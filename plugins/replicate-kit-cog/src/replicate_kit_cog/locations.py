"""Which servers are meant: by the backend's argument, an option, a variable or the base URL."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from replicate_kit.config import API_URL, Config
from replicate_kit.errors import ConfigError, InvalidURL
from replicate_kit.transport import URL

__all__ = ["OPTIONS", "VARIABLE", "servers_of", "urls"]

OPTIONS = frozenset({"cert", "proxy", "trust_env", "verify"})
"""The options of the HTTP library that a client may have."""

VARIABLE = "REPLICATE_KIT_COG_SERVERS"
_ADVICE = (
    "Pass base_url=, such as 'http://gpu-1:5000', or several as servers=['http://gpu-1:5000', 'http://gpu-2:5000'], or "
    f"set {VARIABLE} to their URLs, separated by commas."
)


def urls(given: object) -> tuple[str, ...]:
    """Read the roots of servers: one, or several; raises `ConfigError` for what is none.

    >>> urls(["http://gpu-1:5000/", "http://gpu-2:5000"])
    ('http://gpu-1:5000', 'http://gpu-2:5000')
    """
    listed = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else []
    found = tuple(dict.fromkeys(_root(each) for each in listed))
    if not found:
        raise ConfigError(f"servers={given!r:.80} names no Cog server. {_ADVICE}")
    return found


def servers_of(config: Config) -> tuple[str, ...]:
    """Give the servers of a client whose backend was named and not made."""
    if (given := config.http_options.get("servers")) is not None:
        return urls(given)
    if config.base_url != Config(base_url=API_URL).base_url:
        return urls(re.sub(r"/v1$", "", config.base_url) if config.add_version else config.base_url)
    if listed := [each.strip() for each in os.environ.get(VARIABLE, "").split(",") if each.strip()]:
        return urls(listed)
    raise ConfigError(f"The backend 'cog' has to know where the servers are. {_ADVICE}")


def _root(url: object) -> str:
    """Check one URL."""
    try:
        read = URL(url.strip()) if isinstance(url, str) else None
    except InvalidURL:
        read = None
    if read is None or read.scheme not in ("http", "https"):
        raise ConfigError(
            f"{str(url).rpartition('@')[2]!r:.80} is not the http(s) URL of a Cog server. {_ADVICE}"
        )
    return str(read).rstrip("/")
