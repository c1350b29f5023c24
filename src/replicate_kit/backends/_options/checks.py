"""The options of a library that a caller gives: what is wrong with them is said before a connection is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from replicate_kit.backends._options.certificates import tls_context
from replicate_kit.backends._options.libraries import OPTIONS, Library
from replicate_kit.backends._options.proxies import is_host, proxies, without_credentials
from replicate_kit.errors import ConfigError

__all__ = ["check_http_options", "check_kinds", "usable"]

_OF_TLS = frozenset({"verify", "cert"})


def check_http_options(options: Mapping[str, Any], library: Library) -> None:
    """Raise `ConfigError` or `MissingExtraError` for values of httpx options that no connection can be made with.

    What the environment says is looked at when the first connection is opened.
    """
    check_kinds(options, library)
    proxies({**options, "trust_env": False}, library, "")
    if _OF_TLS & options.keys():
        tls_context(options, library)


def check_kinds(options: Mapping[str, Any], library: Library) -> None:
    """Refuse options that are not what they have to be."""
    for name in sorted(OPTIONS & options.keys()):
        library.check_own(f"{name}=", options[name])
    if not isinstance(options.get("trust_env", True), bool):
        raise ConfigError(f"trust_env={options['trust_env']!r} must be True or False.")
    if not isinstance(options.get("max_redirects", 0), int):
        raise ConfigError(f"max_redirects={options['max_redirects']!r} is not a whole number.")
    if options.get("http2") and find_spec("h2") is None:
        raise ConfigError(
            f"http2=True needs the package h2. Install it with: pip install '{library.name}[http2]'"
        )
    mounts = options.get("mounts")
    if not isinstance(mounts, Mapping | None):
        raise ConfigError(
            f"mounts= must be a dict of URL patterns and transports, not {type(mounts).__name__}."
        )
    _check_transport("transport=", options.get("transport"), library)
    for pattern, transport in (mounts or {}).items():
        _check_pattern(pattern, library)
        _check_transport(f"mounts[{pattern!r}]", transport, library)


def _check_pattern(pattern: object, library: Library) -> None:
    """Refuse what is no pattern of URLs as the library has them."""
    try:
        host = library.module.URL(pattern).host.removeprefix("*") if isinstance(pattern, str) else ""
        readable = "://" in str(pattern) and (not host or is_host(host))
    except (library.module.InvalidURL, ValueError):
        readable = False
    if not readable:
        raise ConfigError(
            f"mounts= has the key {without_credentials(pattern)!r}, which is not a pattern such as 'all://api.example.com'."
        )


def _check_transport(name: str, transport: object, library: Library) -> None:
    """Refuse what cannot carry a request."""
    library.check_own(name, transport)
    able = ("handle_request", "handle_async_request")
    if transport is not None and not any(hasattr(transport, each) for each in able):
        raise ConfigError(
            f"{name} must be a transport of {library.name}, such as {library.name}.HTTPTransport(…), not "
            f"{type(transport).__name__}."
        )


@contextmanager
def usable(options: Mapping[str, Any], library: Library) -> Iterator[None]:
    """Say which options a client of the library was to be made with, where it cannot be."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, ImportError, OSError, library.module.InvalidURL) as error:
        names = ", ".join(f"{name}=" for name in options) or "the environment's settings"
        raise ConfigError(f"No connection can be made with {names}: {error}. Correct them.") from error
