"""Texts without secrets: what is shown, logged or kept names a place, and not the password that opens it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from replicate_kit._formats.patterns import pattern

__all__ = [
    "DEEPEST",
    "HIDDEN",
    "HIDDEN_INPUT",
    "LEAST_INPUT",
    "LEAST_OPTION",
    "SHORTEST",
    "cut",
    "input_secrets",
    "is_secret_input",
    "is_secret_name",
    "named",
    "redacted",
    "redacted_repr",
    "scrubbed",
    "secrets_of",
    "spellings",
    "without_secrets",
    "without_tokens",
]

HIDDEN = "***"
"""What stands for a secret where something has to."""

HIDDEN_INPUT = "[secret]"
"""What stands for a secret input."""

DEEPEST = 200  # levels; rows have no more

# Characters of a secret that is taken out of other texts: a shorter one stands in too many words.
SHORTEST = 3
_LEAST_PART = 6
LEAST_INPUT = 4  # the same for secret inputs, whose values may be anything
LEAST_OPTION = 8  # the same for options, which nobody but a library would write into an error

_TOKEN = pattern(r"\br8_\w{8,}")
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:"  # one letter is a drive
_PART = pattern(rf"(?:^|(?<=::)){_SCHEME}(?!:)/*")
_NEXT = pattern(rf"::(?={_SCHEME}|[A-Za-z][A-Za-z0-9+.-]*$)")
_PARAM = pattern(r"(?<=[?&;#])([^=&;?#/]+)=([^&;#]*)")
_SECRET = pattern(
    r"(?i)(^|[_.-])(auth|authorization|cookie|set-cookie|code|credentials?|jwt|key|pass|passwd|password|passphrase|pwd"
    r"|secret|session|sas|sig|sign|signature|tokens?)$|apikey$|accesskey$|authtoken$|password$|secret|signature$"
    r"|[a-z]token$|^x-(amz|goog|oss|cos|obs)-|^(aws)?accesskeyid$|credential|api[_-]?key|access[_-]?key|connection_?string"
)
_SECRET_INPUT = pattern(
    r"(?i)(^|[_. -])(api[_-]?key|(access|private|secret|license|subscription)[_-]?key(_?id)?|pass(wd|word|phrase)|pwd"
    r"|jwt|secrets?|credentials?|authorization|connection_?string"
    r"|(auth|access|api|bearer|refresh|session|user|read|write|hf|hugging_?face|civitai|wandb|github|gitlab|replicate"
    r"|openai|anthropic|slack|discord|telegram|bot|dropbox|aws)[_-]?token)$|^(api|access|auth)(key|token)$"
)
# Each name that the pattern finds has one of these in it.
_IN_SECRET_INPUTS = (
    "key",
    "pass",
    "pwd",
    "jwt",
    "secret",
    "credential",
    "authorization",
    "connection",
    "token",
)
# What stands in place of a password, where the name is the secret.
_NO_WORDS = frozenset({"x-oauth-basic", "x-access-token", ""})


def is_secret_name(name: str) -> bool:
    """Whether a parameter, option or header of this name holds a secret.

    >>> [is_secret_name(each) for each in ("X-Amz-Signature", "api_key", "sig", "max_tokens", "monkey", "page")]
    [True, True, True, False, False, False]
    """
    return name != "max_tokens" and not name.endswith("_tokens") and _SECRET.search(name) is not None


def is_secret_input(name: str) -> bool:
    """Whether an input of a model of this name holds a secret, though its schema does not say so.

    Only names that mean nothing else: a `key` may be that of a song, a `code` that of a language, a `token` a word.

    >>> [is_secret_input(each) for each in ("api_key", "hf_token", "password", "language_code", "key", "stop_token")]
    [True, True, True, False, False, False]
    """
    if name.isascii() and not any(map(name.lower().__contains__, _IN_SECRET_INPUTS)):
        return False  # as nearly all: to compile the pattern takes longer than a first request
    return _SECRET_INPUT.search(name) is not None


def redacted(url: str) -> str:
    """Give a URL, or a chain of them, without passwords, and without the values of signatures and keys in its query.

    The name of the user stays, as it says which place is meant; where there is no password but an empty one, the name
    is the secret. Paths and other texts stay as they are.

    >>> redacted("simplecache::sftp://me:p@ss@host/a"), redacted("az://box@account/a?sv=1&sig=9f")
    ('simplecache::sftp://me@host/a', 'az://box@account/a?sv=1&sig=***')
    """
    if not _may_hold(url):
        return url
    return "".join(start + shown + rest for start, shown, rest in map(_redacted, _parts(url)))


def named(url: str) -> str:
    """Give a URL as messages name it: without its user, and without its query and fragment, which may be a signature.

    >>> named("https://me:secret@files.test/out-0.png?signature=9f#a")
    'https://files.test/out-0.png'
    """
    start, _, rest = cut(url)
    return start + re.split("[?#]", rest, maxsplit=1)[0]


def secrets_of(url: str, options: Mapping[str, Any] | None = None) -> frozenset[str]:
    """The secrets in a URL and in the options of its storage, as they are written and as they are meant.

    >>> sorted(secrets_of("ftp://me:p%40ss@host/a"))
    ['p%40ss', 'p@ss']
    """
    found: set[str] = {*_values(options or {})}
    for each in _parts(url) if _may_hold(url) else ():
        _, credentials, rest = cut(each)
        name, colon, password = credentials.removesuffix("@").partition(":")
        found.update((name if password in _NO_WORDS else password,) if colon else ())
        found.update(value for key, value in _PARAM.findall(rest) if is_secret_name(unquote(key)))
    found |= {meant(each) for each in found for meant in (unquote, unquote_plus)}
    # Libraries that cut a password where it should have been escaped tell a part of it.
    found |= {part for each in found for part in re.split(r"[@/?#:]", each) if len(part) >= _LEAST_PART}
    return frozenset(each for each in found if len(each) >= SHORTEST)


def scrubbed(text: str, secrets: Collection[str], shown: str = HIDDEN) -> str:
    """Take secrets out of a text, however they are spelled in it.

    >>> scrubbed("530 login as me with hunter2 failed", {"hunter2"})
    '530 login as me with *** failed'
    """
    for each in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        for form in spellings(each):
            text = text.replace(form, shown)
    return text


def without_secrets(value: Any, declared: Collection[str] = ()) -> Any:
    """Copy a model's input for showing it, with `[secret]` for each secret in it, however deep.

    Secret are inputs that the schema declares so, and those whose names tell it.

    >>> without_secrets({"prompt": "sea", "api_key": "hunter2", "pin": 1234}, {"pin"})
    {'prompt': 'sea', 'api_key': '[secret]', 'pin': '[secret]'}
    """
    return _without(value, declared, 0)


def without_tokens(text: str) -> str:
    """Hide whatever looks like an API token of Replicate's.

    >>> without_tokens("as r8_abcdefghijklm")
    'as ***'
    """
    return _TOKEN.sub(HIDDEN, text)


def input_secrets(input: Any, declared: Collection[str] = ()) -> frozenset[str]:
    """The texts in a model's input that are secret, to be taken out of other texts that may quote them.

    >>> sorted(input_secrets({"prompt": "sea", "login": {"password": "hunter2", "user": "me"}}))
    ['hunter2']
    """
    found = {each.strip() for each in _secret_texts(input, declared, False, 0)}
    # One that stands in the mark itself would be hidden again and again.
    return frozenset(each for each in found if len(each) >= LEAST_INPUT and each not in HIDDEN_INPUT)


def redacted_repr(self: Any) -> str:
    """Show an object of a dataclass, its texts without secrets; to be used as `__repr__`."""
    shown = [
        f"{each.name}={_shown(getattr(self, each.name))}" for each in dataclasses.fields(self) if each.repr
    ]
    return f"{type(self).__name__}({', '.join(shown)})"


def _shown(value: object) -> str:
    """Show a value."""
    return repr(redacted(value)) if isinstance(value, str) else repr(value)


def _may_hold(url: str) -> bool:
    """Whether there is anything to look for; data URLs are long, and hold none."""
    return not url.startswith("data:") and ":" in url and ("@" in url or "=" in url)


def _parts(url: str) -> Iterator[str]:
    """Take a chain of URLs apart; what stands between two of them goes with the first."""
    start = 0
    for each in _NEXT.finditer(url):
        yield url[start : each.end()]
        start = each.end()
    yield url[start:]


def _redacted(part: str) -> tuple[str, str, str]:
    """The scheme of a URL, its user, and the rest of it."""
    start, credentials, rest = cut(part)
    name, colon, password = credentials.removesuffix("@").partition(":")
    if colon:
        credentials = f"{HIDDEN if password in _NO_WORDS else name}@"
    return start, credentials, _PARAM.sub(_param, rest) if start else rest


def cut(part: str) -> tuple[str, str, str]:
    """Cut a URL behind its scheme, and behind the `@` that ends its user and password, if it has these.

    Passwords with slashes and the like, which had to be escaped, are seen by what would be no port.
    """
    found = _PART.match(part)
    if found is None:
        return "", "", part
    start, inner = part[: found.end()], part[found.end() :]
    host = re.match(r"[^/?#]*", inner)
    authority = host[0] if host else ""
    end = authority.rfind("@") + 1
    if not end and not re.fullmatch(r"(\[[^]]*\]|[^:]*)(:\d*)?", authority):
        end = inner.rfind("@") + 1
    return start, inner[:end], inner[end:]


def _param(found: re.Match[str]) -> str:
    """Hide the value of a parameter that is a secret by its name."""
    return f"{found[1]}={HIDDEN}" if found[2] and is_secret_name(unquote(found[1])) else found[0]


def _values(options: Mapping[str, Any]) -> Iterator[str]:
    """The texts among the options that are secrets by their names."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _values(value)
        elif isinstance(value, str) and len(value) >= LEAST_OPTION and is_secret_name(str(name)):
            yield value


def spellings(text: str) -> tuple[str, ...]:
    """The ways in which texts, reprs, JSON and URLs spell a text."""
    plain = (text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    written = text.encode("utf-8", "surrogatepass")
    in_urls = (quote(written, safe=""), quote_plus(written))
    small = (re.sub("%..", lambda found: found[0].lower(), each) for each in in_urls)
    return tuple(dict.fromkeys((*plain, *in_urls, *small, *_in_html(text))))


def _in_html(text: str) -> Iterator[str]:
    """The ways in which a page spells a text."""
    mild = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield mild
    yield mild.replace('"', "&quot;").replace("'", "&#x27;")
    yield mild.replace('"', "&#34;").replace("'", "&#39;")


def _without(value: Any, declared: Collection[str], depth: int) -> Any:
    """Walk through an input."""
    if depth > DEEPEST:
        return HIDDEN_INPUT
    if isinstance(value, Mapping):
        return {
            name: HIDDEN_INPUT if _hides(name, each, declared) else _without(each, (), depth + 1)
            for name, each in value.items()
        }
    return [_without(each, (), depth + 1) for each in value] if isinstance(value, list | tuple) else value


def _hides(name: object, value: Any, declared: Collection[str]) -> bool:
    """Whether an input is not shown; None, and what is on or off, tells nothing."""
    if value is None or isinstance(value, bool):
        return False
    return name in declared or is_secret_input(str(name))


def _secret_texts(value: Any, declared: Collection[str], secret: bool, depth: int) -> Iterator[str]:
    """The texts in an input that are secret, or stand within what is."""
    if depth > DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _secret_texts(each, (), secret or _hides(name, each, declared), depth + 1)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secret_texts(each, (), secret, depth + 1)
    elif secret and isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
