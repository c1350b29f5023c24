"""Settings of a client; the only module that reads environment variables."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

from replicate_kit.errors import ConfigError

__all__ = ["Config", "set_up_logging"]

API_URL = "https://api.replicate.com/v1"


@dataclass(frozen=True)
class Config:
    """Settings that a client is made with. What is None is read from the environment when it is needed.

    `timeout` is in seconds for each phase of a request (connect, read, write), `poll_interval` in seconds
    between two looks at a running prediction, `retries` how often at most a request is sent again.
    `file_encoding` is how files go into inputs: "inline" as data URLs, "upload", or "auto", which depends on
    their size. `trusted_hosts` are hosts from which output files are fetched though they are in a private network, such
    as "files.corp.example", "*.corp.example" or, without TLS, "http://10.0.0.8:9000". `max_answer_bytes` is how large
    an answer of the API may be, or an event of a stream, and `max_file_bytes` a file: more of it is never read.

    >>> Config(base_url="http://localhost:8000").base_url
    'http://localhost:8000/v1'
    """

    explicit_token: str | None = field(default=None, repr=False)
    base_url: str = field(default_factory=lambda: _env("BASE_URL") or API_URL)
    backend: str = field(default_factory=lambda: _env("BACKEND", ours=True) or "http")
    timeout: float = 60.0
    poll_interval: float = field(default_factory=lambda: _seconds("POLL_INTERVAL", 0.5))
    retries: int = 5
    file_encoding: Literal["auto", "inline", "upload"] = "auto"
    strict_plugins: bool = field(default_factory=lambda: _flag("STRICT_PLUGINS"))
    disabled_plugins: frozenset[str] = field(default_factory=lambda: _names("DISABLE_PLUGINS"))
    trusted_hosts: tuple[str, ...] = ()
    max_answer_bytes: int = 256 * 1024**2
    max_file_bytes: int = 64 * 1024**3
    http_options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", _api_root(self.base_url))
        for name in ("timeout", "poll_interval"):
            _positive(name, getattr(self, name))
        if not isinstance(self.retries, int) or self.retries < 0:
            raise ConfigError(f"retries={self.retries!r} is not a whole number of attempts, 0 or more.")
        object.__setattr__(self, "trusted_hosts", _hosts(self.trusted_hosts))
        for name in ("max_answer_bytes", "max_file_bytes"):
            _whole(name, getattr(self, name))
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
    level = {"info": logging.INFO, "debug": logging.DEBUG}.get((_env("LOG") or "").strip().lower())
    if level is not None:
        logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
        logging.getLogger("replicate_kit").setLevel(level)


def _env(name: str, *, ours: bool = False) -> str | None:
    """Read a variable: REPLICATE_… as the official clients name it, REPLICATE_KIT_… where it is ours
    alone.
    """
    return os.environ.get(f"REPLICATE_KIT_{name}" if ours else f"REPLICATE_{name}")


def _flag(name: str) -> bool:
    """Read one of our switches."""
    return (_env(name, ours=True) or "").lower() in ("1", "true", "yes", "on")


def _names(name: str) -> frozenset[str]:
    """Read one of our lists, separated by commas."""
    return frozenset(part.strip() for part in (_env(name, ours=True) or "").split(",") if part.strip())


def _seconds(name: str, default: float) -> float:
    """Read a number of seconds."""
    text = _env(name)
    try:
        return float(text) if text else default
    except ValueError:
        raise ConfigError(
            f"REPLICATE_{name}={text!r} is not a number of seconds. Set it to a number such as {default}."
        ) from None


def _positive(name: str, value: float) -> None:
    """Refuse what cannot be a length of time."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise ConfigError(f"{name}={value!r} is not a positive number of seconds.")


def _whole(name: str, value: object) -> None:
    """Refuse what cannot be a number of bytes."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name}={value!r} is not a whole number of bytes, 1 or more.")


def _hosts(hosts: Iterable[str]) -> tuple[str, ...]:
    """Read the names of hosts, or their origins."""
    named = (hosts,) if isinstance(hosts, str) else tuple(hosts)
    for each in named:
        if not isinstance(each, str) or not re.fullmatch(r"(https?://)?[^/?#@\s]+/?", each):
            raise ConfigError(
                f"trusted_hosts has {each!r}, which is not a host. Use one such as 'files.corp.example' or "
                "'http://10.0.0.8:9000'."
            )
    return named


def _api_root(url: str) -> str:
    """Accept the base URL with and without its version, as the official clients differ in it."""
    parts = _parts(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"base_url={url!r} is not an http(s) URL. Use one such as {API_URL!r}.")
    if parts.username or parts.password:
        raise ConfigError(
            "base_url holds a user name or password. Pass credentials as headers={'Authorization': …} "
            "instead."
        )
    path = parts.path.rstrip("/")
    version = "" if re.search(r"/v\d+$", path) else "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path + version, "", ""))


def _parts(url: str) -> SplitResult | None:
    """Take a URL apart; None where its address or port is malformed."""
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:
        return None
