"""The secrets among a client's own options: what it adds to each request, and the passwords of proxies."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from replicate_kit._formats.patterns import pattern
from replicate_kit._formats.redacting import (
    LEAST_INPUT,
    LEAST_OPTION,
    SHORTEST,
    cut,
    is_secret_name,
    secrets_of,
)

__all__ = ["WORDS", "option_secrets"]

WORDS = pattern(r"[A-Za-z]+([ ._/-][A-Za-z]+)*")  # what stands in other texts for reasons of its own
_PLAIN = frozenset({"accept", "content-type", "user-agent", "host", "prefer"})  # headers that tell no secret


def option_secrets(options: Mapping[str, Any]) -> frozenset[str]:
    """The texts among the options of a client that nobody else may see: of its headers, params, cookies and auth.

    What a caller adds to requests may be a secret, whatever its name; short values and common words are none.

    >>> sorted(option_secrets({"headers": {"X-Team": "surf", "X-Key": "abc", "X-Own": "Bearer 0123456789"}}))
    ['0123456789', 'Bearer 0123456789', 'abc']
    """
    found = {each for name in ("headers", "params", "cookies") for each in _own_texts(options.get(name))}
    found |= {each for each in _auth_texts(options.get("auth")) if len(each) >= LEAST_INPUT}
    return frozenset(found).union(*map(_proxy_texts, (options.get("proxy"), *_proxies_of_environment())))


def _own_texts(given: Any) -> Iterator[str]:
    """The secrets among headers, params or cookies."""
    found = getattr(given, "multi_items", getattr(given, "items", None))
    pairs = found() if found is not None else given if isinstance(given, list | tuple) else ()
    for name, value in (each for each in pairs if isinstance(each, tuple | list) and len(each) == 2):
        name, value = (
            each.decode("latin-1") if isinstance(each, bytes) else str(each) for each in (name, value)
        )
        least = SHORTEST if is_secret_name(name) else LEAST_OPTION
        plain = "://" in value or WORDS.fullmatch(value)
        if len(value) >= least and not (plain and not is_secret_name(name)) and name.lower() not in _PLAIN:
            yield value
            scheme, _, rest = value.partition(" ")
            if scheme.isalpha() and len(rest) >= least:
                yield rest


def _proxies_of_environment() -> list[str]:
    """The proxies that the environment names; only those that hold a password matter."""
    return [each for name, each in os.environ.items() if name.lower().endswith("_proxy") and "@" in each]


def _proxy_texts(proxy: Any) -> frozenset[str]:
    """The secrets of a proxy: in its URL, or of httpx's object, and as its header has them."""
    url = str(getattr(proxy, "url", proxy or ""))
    _, credentials, _ = cut(url if "://" in url else f"http://{url}")
    pairs = [
        tuple(map(unquote, credentials.removesuffix("@").partition(":")[::2])),
        getattr(proxy, "auth", None),
    ]
    texts = {each for pair in pairs if pair and pair[1] for each in _auth_texts(pair)}
    return secrets_of(url) | {each for each in texts if len(each) >= LEAST_INPUT}


def _auth_texts(auth: Any) -> Iterator[str]:
    """The secrets of `auth=`: a pair, or one of httpx's objects."""
    if isinstance(auth, tuple | list) and len(auth) == 2:
        name, password = (each.decode("latin-1") if isinstance(each, bytes) else str(each) for each in auth)
        yield password
        yield base64.b64encode(f"{name}:{password}".encode()).decode()
    for value in (getattr(auth, name, None) for name in ("_auth_header", "_password")):
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if isinstance(text, str):
            yield text.removeprefix("Basic ")
            if text.startswith("Basic "):
                yield base64.b64decode(text[6:]).decode("latin-1").partition(":")[2]
