"""Texts without secrets: what is shown, logged or kept names a place, and not the password that opens it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, unquote_plus

__all__ = [
    "HIDDEN",
    "hidden_in_errors",
    "is_secret_name",
    "redacted",
    "redacted_repr",
    "scrubbed",
    "secrets_of",
]

HIDDEN = "***"
"""What stands for a secret where something has to."""

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:"  # one letter is a drive
_PART = re.compile(rf"(?:^|(?<=::)){_SCHEME}(?!:)/*")
_NEXT = re.compile(rf"::(?={_SCHEME}|[A-Za-z][A-Za-z0-9+.-]*$)")
_PARAM = re.compile(r"(?<=[?&;#])([^=&;?#/]+)=([^&;#]*)")
_SECRET = re.compile(
    r"(?i)(^|[_.-])(auth|authorization|cookie|set-cookie|code|credentials?|jwt|key|pass|passwd|password|passphrase|pwd"
    r"|secret|session|sas|sig|sign|signature|tokens?)$|apikey$|accesskey$|authtoken$|password$|secret|signature$"
    r"|[a-z]token$|^x-(amz|goog|oss|cos|obs)-|^(aws)?accesskeyid$|credential|api[_-]?key|access[_-]?key|connection_?string"
)
_NO_WORDS = frozenset(
    {"x-oauth-basic", "x-access-token", ""}
)  # in place of a password, where the name is the secret
_SHORTEST = (
    3  # characters of a secret that is taken out of other texts: a shorter one stands in too many words
)
_LEAST_PART = 6
_LEAST_OPTION = 8  # the same for options, which nobody but a library would write into an error


def is_secret_name(name: str) -> bool:
    """Whether a parameter, option or header of this name holds a secret.

    >>> [is_secret_name(each) for each in ("X-Amz-Signature", "api_key", "sig", "max_tokens", "monkey", "page")]
    [True, True, True, False, False, False]
    """
    return name != "max_tokens" and not name.endswith("_tokens") and _SECRET.search(name) is not None


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


def scrubbed(text: str, secrets: Collection[str]) -> str:
    """Take secrets out of a text.

    >>> scrubbed("530 login as me with hunter2 failed", {"hunter2"})
    '530 login as me with *** failed'
    """
    for each in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        for form in (each, repr(each)[1:-1]):
            text = text.replace(form, HIDDEN)
    return text


@contextmanager
def hidden_in_errors(url: str, options: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Take the secrets of a place out of the errors of a block, whoever has written them there.

    An error that caused another and tells a secret is left out: it is a library's, which may keep its text anywhere.
    """
    try:
        yield
    except Exception as error:
        if secrets := secrets_of(url, options):
            _clean(error, secrets)
        raise


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


def _clean(error: BaseException, secrets: Collection[str]) -> None:
    """Clean an error, and leave out those behind it that tell a secret."""
    if _tells(error, secrets):
        error.args = tuple(scrubbed(each, secrets) if isinstance(each, str) else each for each in error.args)
        for name in ("filename", "filename2", "strerror"):
            value = getattr(error, name, None)
            if isinstance(value, str):
                setattr(error, name, scrubbed(value, secrets))
    if any(_tells(each, secrets) for each in _behind(error)):
        error.__cause__ = error.__context__ = None
        error.__suppress_context__ = True


def _tells(error: BaseException, secrets: Collection[str]) -> bool:
    """Whether an error shows a secret."""
    said = f"{error} {error!r} {vars(error)!r} {getattr(error, '__notes__', '')}"
    return any(each in said or repr(each)[1:-1] in said for each in secrets)


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
