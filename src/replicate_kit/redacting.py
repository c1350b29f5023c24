"""Texts without secrets: what is shown, logged or kept names a place, and not the password that opens it."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from replicate_kit._context import Within

__all__ = [
    "HIDDEN",
    "HIDDEN_INPUT",
    "WORDS",
    "clean_error",
    "hidden_in_errors",
    "input_secrets",
    "is_secret_input",
    "is_secret_name",
    "option_secrets",
    "quoted",
    "redacted",
    "redacted_repr",
    "scrubbed",
    "secrets_hidden",
    "secrets_of",
    "without_secrets",
]

HIDDEN = "***"
"""What stands for a secret where something has to."""

HIDDEN_INPUT = "[secret]"
"""What stands for a secret input."""

_Kind = tuple[Callable[[], Collection[str]], str]
_hiding: ContextVar[tuple[_Kind, ...]] = ContextVar("replicate_kit_hiding", default=())

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:"  # one letter is a drive
_PART = re.compile(rf"(?:^|(?<=::)){_SCHEME}(?!:)/*")
_NEXT = re.compile(rf"::(?={_SCHEME}|[A-Za-z][A-Za-z0-9+.-]*$)")
_PARAM = re.compile(r"(?<=[?&;#])([^=&;?#/]+)=([^&;#]*)")
_SECRET = re.compile(
    r"(?i)(^|[_.-])(auth|authorization|cookie|set-cookie|code|credentials?|jwt|key|pass|passwd|password|passphrase|pwd"
    r"|secret|session|sas|sig|sign|signature|tokens?)$|apikey$|accesskey$|authtoken$|password$|secret|signature$"
    r"|[a-z]token$|^x-(amz|goog|oss|cos|obs)-|^(aws)?accesskeyid$|credential|api[_-]?key|access[_-]?key|connection_?string"
)
_SECRET_INPUT = re.compile(
    r"(?i)(^|[_. -])(api[_-]?key|(access|private|secret|license|subscription)[_-]?key(_?id)?|pass(wd|word|phrase)|pwd"
    r"|jwt|secrets?|credentials?|authorization|connection_?string"
    r"|(auth|access|api|bearer|refresh|session|user|read|write|hf|hugging_?face|civitai|wandb|github|gitlab|replicate"
    r"|openai|anthropic|slack|discord|telegram|bot|dropbox|aws)[_-]?token)$|^(api|access|auth)(key|token)$"
)
# What stands in place of a password, where the name is the secret.
_NO_WORDS = frozenset({"x-oauth-basic", "x-access-token", ""})
_SHORTEST = (
    3  # characters of a secret that is taken out of other texts: a shorter one stands in too many words
)
_LEAST_PART = 6
_LEAST_INPUT = 4  # the same for secret inputs, whose values may be anything
_LEAST_OPTION = 8  # the same for options, which nobody but a library would write into an error


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


def secrets_of(url: str, options: Mapping[str, Any] | None = None) -> frozenset[str]:
    """The secrets in a URL and in the options of its storage, as they are written and as they are meant.

    >>> sorted(secrets_of("ftp://me:p%40ss@host/a"))
    ['p%40ss', 'p@ss']
    """
    found: set[str] = {*_values(options or {})}
    for each in _parts(url) if _may_hold(url) else ():
        _, credentials, rest = _cut(each)
        name, colon, password = credentials.removesuffix("@").partition(":")
        found.update((name if password in _NO_WORDS else password,) if colon else ())
        found.update(value for key, value in _PARAM.findall(rest) if is_secret_name(unquote(key)))
    found |= {meant(each) for each in found for meant in (unquote, unquote_plus)}
    # Libraries that cut a password where it should have been escaped tell a part of it.
    found |= {part for each in found for part in re.split(r"[@/?#:]", each) if len(part) >= _LEAST_PART}
    return frozenset(each for each in found if len(each) >= _SHORTEST)


def scrubbed(text: str, secrets: Collection[str], shown: str = HIDDEN) -> str:
    """Take secrets out of a text, however they are spelled in it.

    >>> scrubbed("530 login as me with hunter2 failed", {"hunter2"})
    '530 login as me with *** failed'
    """
    for each in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        for form in _spellings(each):
            text = text.replace(form, shown)
    return text


def without_secrets(value: Any, declared: Collection[str] = ()) -> Any:
    """Copy a model's input for showing it, with `[secret]` for each secret in it, however deep.

    Secret are inputs that the schema declares so, and those whose names tell it.

    >>> without_secrets({"prompt": "sea", "api_key": "hunter2", "pin": 1234}, {"pin"})
    {'prompt': 'sea', 'api_key': '[secret]', 'pin': '[secret]'}
    """
    return _without(value, declared, 0)


def input_secrets(input: Any, declared: Collection[str] = ()) -> frozenset[str]:
    """The texts in a model's input that are secret, to be taken out of other texts that may quote them.

    >>> sorted(input_secrets({"prompt": "sea", "login": {"password": "hunter2", "user": "me"}}))
    ['hunter2']
    """
    found = {each.strip() for each in _secret_texts(input, declared, False, 0)}
    # One that stands in the mark itself would be hidden again and again.
    return frozenset(each for each in found if len(each) >= _LEAST_INPUT and each not in HIDDEN_INPUT)


def option_secrets(options: Mapping[str, Any]) -> frozenset[str]:
    """The texts among the options of a client that nobody else may see: of its headers, params, cookies and auth.

    What a caller adds to requests may be a secret, whatever its name; short values and common words are none.

    >>> sorted(option_secrets({"headers": {"X-Team": "surf", "X-Key": "abc", "X-Own": "Bearer 0123456789"}}))
    ['0123456789', 'Bearer 0123456789', 'abc']
    """
    found = {each for name in ("headers", "params", "cookies") for each in _own_texts(options.get(name))}
    found |= {each for each in _auth_texts(options.get("auth")) if len(each) >= _LEAST_INPUT}
    return frozenset(found).union(*map(_proxy_texts, (options.get("proxy"), *_proxies_of_environment())))


def secrets_hidden(
    find: Callable[[], Collection[str]], shown: str = HIDDEN, *more: _Kind
) -> AbstractContextManager[None]:
    """Take secrets out of the errors of a block; `find` gives them, and is called only if there is an error.

    `more` are others of the same, each with what is shown in its place.
    """
    return _Hiding((find, shown), *more)


class _Hiding(Within[tuple[_Kind, ...]]):
    """A block without secrets in its errors: a class, as each request enters one or two, and generators cost more."""

    __slots__ = ("_kinds",)

    def __init__(self, *kinds: _Kind) -> None:
        self._kinds = kinds
        super().__init__(_hiding, (*_hiding.get(), *kinds))

    def __exit__(self, kind: object, error: BaseException | None, trace: object, /) -> None:
        super().__exit__(kind, error, trace)
        if isinstance(error, Exception):
            for find, shown in self._kinds:
                clean_error(error, find(), shown)


def quoted(value: Any) -> Any:
    """Take out of JSON, or of a text, what the blocks around us hide: to be called before a text is cut short."""
    for find, shown in _hiding.get():
        value = _cleaned(value, find(), shown)
    return value


@contextmanager
def hidden_in_errors(url: str, options: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Take the secrets of a place out of the errors of a block, whoever has written them there."""
    with secrets_hidden(lambda: secrets_of(url, options)):
        yield


def clean_error(error: BaseException, secrets: Collection[str], shown: str = HIDDEN) -> None:
    """Take secrets out of an error and of ours behind it.

    Those of libraries that tell one are left out of the chain, as a library may keep its text anywhere.
    """
    if not secrets:
        return
    for each in (error, *(behind for behind in _behind(error) if hasattr(behind, "_quotes"))):
        if _tells(each, secrets):
            _scrub(each, secrets, shown)
    if any(_tells(each, secrets) for each in _behind(error)):
        error.__cause__ = error.__context__ = None
        error.__suppress_context__ = True


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
    start, credentials, rest = _cut(part)
    name, colon, password = credentials.removesuffix("@").partition(":")
    if colon:
        credentials = f"{HIDDEN if password in _NO_WORDS else name}@"
    return start, credentials, _PARAM.sub(_param, rest) if start else rest


def _cut(part: str) -> tuple[str, str, str]:
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
        elif isinstance(value, str) and len(value) >= _LEAST_OPTION and is_secret_name(str(name)):
            yield value


def _spellings(text: str) -> tuple[str, ...]:
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
    if depth > _DEEPEST:
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
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _secret_texts(each, (), secret or _hides(name, each, declared), depth + 1)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secret_texts(each, (), secret, depth + 1)
    elif secret and isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


_DEEPEST = 200  # levels; rows have no more


def _own_texts(given: Any) -> Iterator[str]:
    """The secrets among headers, params or cookies."""
    found = getattr(given, "multi_items", getattr(given, "items", None))
    pairs = found() if found is not None else given if isinstance(given, list | tuple) else ()
    for name, value in (each for each in pairs if isinstance(each, tuple | list) and len(each) == 2):
        name, value = (
            each.decode("latin-1") if isinstance(each, bytes) else str(each) for each in (name, value)
        )
        least = _SHORTEST if is_secret_name(name) else _LEAST_OPTION
        plain = "://" in value or WORDS.fullmatch(value)
        if len(value) >= least and not (plain and not is_secret_name(name)) and name.lower() not in _PLAIN:
            yield value
            scheme, _, rest = value.partition(" ")
            if scheme.isalpha() and len(rest) >= least:
                yield rest


WORDS = re.compile(r"[A-Za-z]+([ ._/-][A-Za-z]+)*")  # what stands in other texts for reasons of its own
_PLAIN = frozenset({"accept", "content-type", "user-agent", "host", "prefer"})  # headers that tell no secret


def _proxies_of_environment() -> list[str]:
    """The proxies that the environment names; only those that hold a password matter."""
    return [each for name, each in os.environ.items() if name.lower().endswith("_proxy") and "@" in each]


def _proxy_texts(proxy: Any) -> frozenset[str]:
    """The secrets of a proxy: in its URL, or of httpx's object, and as its header has them."""
    url = str(getattr(proxy, "url", proxy or ""))
    _, credentials, _ = _cut(url if "://" in url else f"http://{url}")
    pairs = [
        tuple(map(unquote, credentials.removesuffix("@").partition(":")[::2])),
        getattr(proxy, "auth", None),
    ]
    texts = {each for pair in pairs if pair and pair[1] for each in _auth_texts(pair)}
    return secrets_of(url) | {each for each in texts if len(each) >= _LEAST_INPUT}


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


def _cleaned(value: Any, secrets: Collection[str], shown: str, depth: int = 0) -> Any:
    """Take secrets out of all texts in JSON."""
    if isinstance(value, str):
        return scrubbed(value, secrets, shown)
    if depth > _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {name: _cleaned(each, secrets, shown, depth + 1) for name, each in value.items()}
    return [_cleaned(each, secrets, shown, depth + 1) for each in value] if isinstance(value, list) else value


def _scrub(error: BaseException, secrets: Collection[str], shown: str) -> None:
    """Take secrets out of what an error says, and out of what it quotes."""
    error.args = tuple(
        _cleaned(each, secrets, shown) if isinstance(each, str) else each for each in error.args
    )
    quotes = getattr(error, "_quotes", ())
    for name in ("filename", "filename2", "strerror", "__notes__", *quotes):
        value = getattr(error, name, None)
        if isinstance(value, str | list) or (value and name in quotes):
            with suppress(AttributeError):  # libraries compute theirs
                setattr(error, name, _cleaned(value, secrets, shown))


def _tells(error: BaseException, secrets: Collection[str]) -> bool:
    """Whether an error shows a secret: what it says, and what it keeps. Ours keep the request, which is data."""
    quotes = getattr(error, "_quotes", None)
    kept = vars(error) if quotes is None else [getattr(error, name, None) for name in quotes]
    said = f"{error} {error!r} {kept!r} {getattr(error, '__notes__', '')}"
    return any(form in said for each in secrets for form in _spellings(each))


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The errors behind one; a group has others within."""
    waiting = [error.__cause__, error.__context__]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
