"""Settings of a client, from its arguments, the environment and their defaults."""

from __future__ import annotations

import functools
import logging
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

from replicate_kit._formats.arguments import seconds, seconds_or_none, whole
from replicate_kit._formats.json_logs import JSONFormatter
from replicate_kit._formats.urls import URL
from replicate_kit._formats.wording import listed, with_safe_repr
from replicate_kit._user.tokens import kept_token, source_of_token
from replicate_kit.errors import ConfigError

__all__ = ["API_URL", "Config", "JSONFormatter"]

API_URL = "https://api.replicate.com/v1"
_ON, _OFF = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})


@with_safe_repr
@dataclass(frozen=True)
class Config:
    """Settings that a client is made with. What is None is read from the environment when it is needed.

    `timeout` is in seconds for each phase of a request (connect, read, write), `poll_interval` in seconds
    between two looks at a running prediction (0: no pause; None: looks are timed by how long others of its model took),
    `retries` how often at most a request is sent again.
    `file_encoding` is how files go into inputs: "inline" as data URLs, "upload", or "auto", which depends on
    their size and suffix. `add_version=False` says that `base_url` is complete, as that of a gateway is which
    stands for all of `https://api.replicate.com/v1`; else "/v1" is added to one that does not end with a version.
    `trusted_hosts` are hosts from which output files are fetched though they are in a private network, such
    as "files.corp.example", "*.corp.example" or, without TLS, "http://10.0.0.8:9000"; left out, they are those in
    REPLICATE_KIT_TRUSTED_HOSTS, separated by commas. `max_answer_bytes` is how large
    an answer of the API may be, or an event of a stream, and `max_file_bytes` a file: more of it is never read.
    `kept_for` is the origin whose token is used that `replicate-kit auth login` kept, where no other token is given. A
    client sets it for backends that ask for that (`Abilities.kept_token`).

    >>> Config(base_url="http://localhost:8000").base_url
    'http://localhost:8000/v1'
    >>> Config(base_url="https://gateway.example/v1/me/replicate", add_version=False).base_url
    'https://gateway.example/v1/me/replicate'
    """

    explicit_token: str | None = field(default=None, repr=False)
    base_url: str = field(default_factory=lambda: _base_url())
    backend: str = field(default_factory=lambda: (_env("BACKEND", ours=True) or "").strip() or "http")
    timeout: float = 60.0
    poll_interval: float | None = field(default_factory=lambda: _seconds("POLL_INTERVAL", 0.5))
    retries: int = 5
    file_encoding: Literal["auto", "inline", "upload"] = "auto"
    strict_plugins: bool = field(default_factory=lambda: _flag("STRICT_PLUGINS"))
    disabled_plugins: frozenset[str] = field(default_factory=lambda: _names("DISABLE_PLUGINS"))
    add_version: bool = field(default_factory=lambda: _flag("ADD_VERSION", default=True))
    trusted_hosts: tuple[str, ...] = field(
        default_factory=lambda: _hosts(sorted(_names("TRUSTED_HOSTS")), "REPLICATE_KIT_TRUSTED_HOSTS")
    )
    max_answer_bytes: int = 256 * 1024**2
    max_file_bytes: int = 64 * 1024**3
    http_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kept_for: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        sendable_token(self.explicit_token)
        object.__setattr__(self, "base_url", _api_root(self.base_url, add_version=self.add_version))
        self._read_numbers()
        object.__setattr__(self, "disabled_plugins", frozenset(listed(self.disabled_plugins)))
        object.__setattr__(self, "trusted_hosts", _hosts(self.trusted_hosts, "trusted_hosts"))
        if self.file_encoding not in ("auto", "inline", "upload"):
            raise ConfigError(
                f"file_encoding={self.file_encoding!r} is not one of 'auto', 'inline' and 'upload'."
            )

    def _read_numbers(self) -> None:
        """Check the numbers, and hold them as Python's own."""
        read = {
            "timeout": seconds("timeout", self.timeout, positive=True, kind=ConfigError),
            "poll_interval": seconds_or_none("poll_interval", self.poll_interval, kind=ConfigError),
            "retries": whole("retries", self.retries, 0, kind=ConfigError),
            "max_answer_bytes": whole(
                "max_answer_bytes", self.max_answer_bytes, 1, hint=" (bytes)", kind=ConfigError
            ),
            "max_file_bytes": whole(
                "max_file_bytes", self.max_file_bytes, 1, hint=" (bytes)", kind=ConfigError
            ),
        }
        for name, value in read.items():
            object.__setattr__(self, name, value)

    @property
    def api_token(self) -> str | None:
        """The token that was given, else REPLICATE_API_TOKEN as it is now, else the one that was kept, else None."""
        return self._token()[0]

    @property
    def token_source(self) -> str | None:
        """Where the token comes from, in words; None where there is none.

        >>> Config("r8_secret").token_source
        'an argument'
        """
        token, source = self._token()
        return source if token else None

    def _token(self) -> tuple[str | None, str | None]:
        """Find the token, and where it comes from."""
        if token := sendable_token(self.explicit_token):
            return token, "an argument"
        if token := sendable_token(_env("API_TOKEN"), "The API token in REPLICATE_API_TOKEN"):
            return token, "REPLICATE_API_TOKEN"
        if self.kept_for is None:
            return None, None
        kept = sendable_token(kept_token(self.kept_for), f"The API token that is kept for {self.kept_for}")
        return kept, source_of_token(self.kept_for) if kept else None

    @property
    def requires_token(self) -> bool:
        """Whether a request without a token is refused before it is sent: nobody else would add one."""
        return self.serves_replicate and self.http_options.get("auth") is None

    @property
    def serves_replicate(self) -> bool:
        """Whether the base URL is that of Replicate's own API, which answers nobody without a token."""
        return urlsplit(self.base_url).hostname == urlsplit(API_URL).hostname


_SENDABLE = re.compile(r"[!-~]*")


def sendable_token(token: str | None, name: str = "The API token") -> str | None:
    """Give a token as a header can carry it, None for an empty one; raise `ConfigError` for one that none can.

    `name` is what the error calls it. Its value is not shown.
    """
    if not isinstance(token, str | None):
        raise ConfigError(f"{name} is {type(token).__name__}, and not text. Pass it as a text.")
    token = (token or "").strip()
    if not _SENDABLE.fullmatch(token):
        raise ConfigError(
            f"{name} holds characters that cannot be sent, such as a space or a line break in its "
            "middle. Copy it again from https://replicate.com/account/api-tokens."
        )
    return token or None


def set_up_logging() -> None:
    """Do what REPLICATE_LOG asks: `info` tells of retries and of what becomes of predictions, `debug` of each request.

    Neither tells tokens, inputs or outputs. REPLICATE_KIT_LOG=json writes each line as a JSON object. Whoever sets up
    `logging` themselves needs no variable: the name of the logger is `replicate_kit`.
    """
    asked, as_json = (_env("LOG") or "").strip(), logs_json()
    level = {"info": logging.INFO, "debug": logging.DEBUG}.get(asked.lower())
    if asked and level is None:
        _warn(f"REPLICATE_LOG={asked!r} is neither 'info' nor 'debug', and has no effect.")
    if as_json:
        handler = logging.StreamHandler()
        handler.setFormatter(JSONFormatter())
        logging.basicConfig(handlers=[handler])
    elif level is not None:
        logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
    if level is not None:
        logging.getLogger("replicate_kit").setLevel(level)


def logs_json() -> bool:
    """Whether REPLICATE_KIT_LOG asks for log lines that are JSON; a warning names what it cannot ask for."""
    asked = (_env("LOG", ours=True) or "").strip()
    if asked and asked.lower() != "json":
        _warn(f"REPLICATE_KIT_LOG={asked!r} is not 'json', and has no effect.")
    return asked.lower() == "json"


@functools.cache
def _warn(message: str) -> None:
    """Warn once: clients may be made often."""
    logging.getLogger("replicate_kit").warning(message)


def _env(name: str, *, ours: bool = False) -> str | None:
    """Read a variable: REPLICATE_… as the official clients name it, REPLICATE_KIT_… where it is ours
    alone.
    """
    return os.environ.get(f"REPLICATE_KIT_{name}" if ours else f"REPLICATE_{name}")


def _flag(name: str, *, default: bool = False) -> bool:
    """Read one of our switches."""
    text = (_env(name, ours=True) or "").strip().lower()
    if text not in _ON | _OFF:
        raise ConfigError(
            f"REPLICATE_KIT_{name}={text!r} is neither on nor off. Set it to 1 or 0, or unset it."
        )
    return text in _ON if text else default


def _names(name: str) -> frozenset[str]:
    """Read one of our lists, separated by commas."""
    return frozenset(part.strip() for part in (_env(name, ours=True) or "").split(",") if part.strip())


def _seconds(name: str, example: float) -> float | None:
    """Read a number of seconds, 0 or more; None where there is none."""
    text = _env(name)
    if not (text and text.strip()):
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if 0 <= seconds < math.inf:
        return seconds
    raise ConfigError(
        f"REPLICATE_{name}={text!r} is not a number of seconds, 0 or more. Set it to a number such as {example}."
    )


def _base_url() -> str:
    """Read where the API is."""
    return (_env("BASE_URL") or "").strip() or API_URL


def _hosts(hosts: Iterable[str], where: str) -> tuple[str, ...]:
    """Read the names of hosts, or their origins; `where` they were named stands in the error."""
    named = (hosts,) if isinstance(hosts, str) else tuple(hosts)
    for each in named:
        if not isinstance(each, str) or not re.fullmatch(r"(https?://)?[^/?#@\s]+/?", each):
            raise ConfigError(
                f"{where} has {str(each).rpartition('@')[2]!r}, which is not a host. Use one such as "
                "'files.corp.example' or 'http://10.0.0.8:9000'."
            )
    return named


def _api_root(url: str, *, add_version: bool) -> str:
    """Accept the base URL with and without its version, as the official clients differ in it."""
    name = "REPLICATE_BASE_URL" if url == _base_url() != API_URL else "base_url"
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
    version = "/v1" if add_version and not re.search(r"/v\d+$", path) else ""
    return urlunsplit((parts.scheme, parts.netloc, path + version, "", ""))


def _parts(url: str) -> SplitResult | None:
    """Take a URL apart; None where it is none that a request could be sent to."""
    try:
        URL(url)
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except (ValueError, TypeError, AttributeError):  # an InvalidURL is a ValueError
        return None
