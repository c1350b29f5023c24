"""Settings of a client; the only module that reads environment variables."""

from __future__ import annotations

import functools
import logging
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

from replicate_kit.errors import ConfigError

__all__ = ["Config", "set_up_logging"]

API_URL = "https://api.replicate.com/v1"
_ON, _OFF = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True)
class Config:
    """Settings that a client is made with. What is None is read from the environment when it is needed.

    `timeout` is in seconds for each phase of a request (connect, read, write), `poll_interval` in seconds
    between two looks at a running prediction, `retries` how often at most a request is sent again.
    `file_encoding` is how files go into inputs: "inline" as data URLs, "upload", or "auto", which depends on
    their size.

    >>> Config(base_url="http://localhost:8000").base_url
    'http://localhost:8000/v1'
    """

    explicit_token: str | None = field(default=None, repr=False)
    base_url: str = field(default_factory=lambda: _base_url())
    backend: str = field(default_factory=lambda: (_env("BACKEND", ours=True) or "").strip() or "http")
    timeout: float = 60.0
    poll_interval: float = field(default_factory=lambda: _seconds("POLL_INTERVAL", 0.5))
    retries: int = 5
    file_encoding: Literal["auto", "inline", "upload"] = "auto"
    strict_plugins: bool = field(default_factory=lambda: _flag("STRICT_PLUGINS"))
    disabled_plugins: frozenset[str] = field(default_factory=lambda: _names("DISABLE_PLUGINS"))
    http_options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", _api_root(self.base_url))
        for name in ("timeout", "poll_interval"):
            _positive(name, getattr(self, name))
        if not isinstance(self.retries, int) or self.retries < 0:
            raise ConfigError(f"retries={self.retries!r} is not a whole number of attempts, 0 or more.")
        if self.file_encoding not in ("auto", "inline", "upload"):
            raise ConfigError(
                f"file_encoding={self.file_encoding!r} is not one of 'auto', 'inline' and 'upload'."
            )

    @property
    def api_token(self) -> str | None:
        """The token that was given, else REPLICATE_API_TOKEN as it is now, else None."""
        token = (self.explicit_token or _env("API_TOKEN") or "").strip()
        if not re.fullmatch(r"[!-~]*", token):
            raise ConfigError(
                "The API token holds characters that cannot be sent, such as a space or a line break in its "
                "middle. Copy it again from https://replicate.com/account/api-tokens."
            )
        return token or None

    @property
    def serves_replicate(self) -> bool:
        """Whether the base URL is that of Replicate's own API, which answers nobody without a token."""
        return urlsplit(self.base_url).hostname == urlsplit(API_URL).hostname


def set_up_logging() -> None:
    """Do what REPLICATE_LOG asks: `info` tells of retries and of what becomes of predictions, `debug` of each request.

    Neither tells tokens, inputs or outputs. Whoever sets up `logging` themselves needs no variable: the name of
    the logger is `replicate_kit`.
    """
    asked = (_env("LOG") or "").strip()
    level = {"info": logging.INFO, "debug": logging.DEBUG}.get(asked.lower())
    if asked and level is None:
        _warn(f"REPLICATE_LOG={asked!r} is neither 'info' nor 'debug', and has no effect.")
    if level is not None:
        logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
        logging.getLogger("replicate_kit").setLevel(level)


@functools.cache
def _warn(message: str) -> None:
    """Warn once: clients may be made often."""
    logging.getLogger("replicate_kit").warning(message)


def _env(name: str, *, ours: bool = False) -> str | None:
    """Read a variable: REPLICATE_… as the official clients name it, REPLICATE_KIT_… where it is ours
    alone.
    """
    return os.environ.get(f"REPLICATE_KIT_{name}" if ours else f"REPLICATE_{name}")


def _flag(name: str) -> bool:
    """Read one of our switches."""
    text = (_env(name, ours=True) or "").strip().lower()
    if text not in _ON | _OFF:
        raise ConfigError(f"REPLICATE_KIT_{name}={text!r} is neither on nor off. Set it to 1, or unset it.")
    return text in _ON


def _names(name: str) -> frozenset[str]:
    """Read one of our lists, separated by commas."""
    return frozenset(part.strip() for part in (_env(name, ours=True) or "").split(",") if part.strip())


def _seconds(name: str, default: float) -> float:
    """Read a number of seconds."""
    text = (_env(name) or "").strip()
    try:
        seconds = float(text or default)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(
            f"REPLICATE_{name}={text!r} is not a positive number of seconds. Set it to a number such as {default}."
        )
    return seconds


def _base_url() -> str:
    """Read where the API is."""
    text = (_env("BASE_URL") or "").strip()
    return _api_root(text, "REPLICATE_BASE_URL") if text else API_URL


def _positive(name: str, value: float) -> None:
    """Refuse what cannot be a length of time."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise ConfigError(f"{name}={value!r} is not a positive number of seconds.")


def _api_root(url: str, name: str = "base_url") -> str:
    """Accept the base URL with and without its version, as the official clients differ in it.

    `name` is what the caller gave it by.
    """
    url = url.strip() if isinstance(url, str) else url
    parts = _parts(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        shown = "…" if "@" in str(url) else repr(url)
        raise ConfigError(f"{name}={shown} is not an http(s) URL. Use one such as {API_URL!r}.")
    if parts.username or parts.password:
        raise ConfigError(
            f"{name} holds a user name or password. Pass credentials as headers={{'Authorization': …}} "
            "instead."
        )
    path = parts.path.rstrip("/")
    version = "" if re.search(r"/v\d+$", path) else "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path + version, "", ""))


def _parts(url: str) -> SplitResult | None:
    """Take a URL apart; None where it is none that a request could be sent to."""
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 and _is_name(parts.hostname or "", url) else None
    except (ValueError, TypeError, AttributeError):
        return None


def _is_name(host: str, url: str) -> bool:
    """Whether the host of a URL may be the name or the number of one."""
    if host.isascii():
        return not re.search(r"[\s%<>\"'\\^`{|}]", host)
    import httpx  # which has rules for other names, and is not loaded for all who only ask for settings

    try:
        return bool(httpx.URL(url).host)
    except httpx.InvalidURL:
        return False
