r"""URLs, read once and strictly: what is checked is what is sent.

Two parsers that differ about a URL send a token to the wrong host: of `https://api.replicate.com\@evil.test/x` one
says that the host is `evil.test`, another that it is `api.replicate.com`. So a URL that a reader could take for
another one is refused, and all others are written in one form, which backends send as it is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from replicate_kit._formats.pairs import as_text, pairs_of
from replicate_kit._formats.patterns import pattern
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit.errors import InvalidURL

__all__ = ["URL"]

# The form of https://www.rfc-editor.org/rfc/rfc3986#appendix-B.
_PARTS = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL
)
_AUTHORITY = re.compile(r"(?:([^@\\]*)@)?(\[[^\[\]@]*\]|[^\[\]@:]*)(?::([0-9]{0,5}))?")
_HOST = re.compile(r"[a-z0-9._~-]+")
_DOTTED = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_NEVER = re.compile(r"[\x00-\x1f\x7f]")
_NEVER_EITHER = pattern(r"[\ud800-\udfff]")  # halves of characters
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_LONGEST = 65536

# What is left as it is; all else is written as %XX (https://url.spec.whatwg.org/#percent-encoded-bytes).
_PRINTABLE = frozenset(map(chr, range(0x21, 0x7F)))
_IN_FRAGMENT = _PRINTABLE - frozenset('"<>`')
# Beside those of the standard a few that not every version of an HTTP library leaves alone.
_IN_QUERY = _PRINTABLE - frozenset('"#<>\\^`{|}')
_IN_PATH = _IN_QUERY - frozenset("?")
_IN_USERINFO = _IN_PATH - frozenset("/;=@[]")


@with_safe_repr
class URL:
    """A URL with a host, taken apart. It does not change.

    `scheme`, `host` (in ASCII and small letters; without brackets), `port` (None for the scheme's own), `path`, `query`
    and `fragment` are as they are sent, with what cannot stand there written as %XX. `userinfo` is what stands before
    an @. It is equal to a URL, or a text, of the same characters.

    Raises `InvalidURL` for a text that is no URL, or one that readers could differ about.

    >>> url = URL("https://Bücher.example:443/a b/../c?q=ä#part")
    >>> str(url)
    'https://xn--bcher-kva.example/c?q=%C3%A4#part'
    >>> url.host, url.port, url.target
    ('xn--bcher-kva.example', None, '/c?q=%C3%A4')
    """

    __slots__ = (
        "_text",
        "fragment",
        "host",
        "netloc",
        "origin",
        "path",
        "port",
        "query",
        "scheme",
        "userinfo",
    )

    scheme: str
    userinfo: str
    host: str
    port: int | None
    path: str
    query: str | None
    fragment: str | None
    netloc: str
    """The host and, where it is not the scheme's own, the port."""
    origin: str
    """The scheme, the host and the port: `https://host` or `https://host:8000`."""

    def __init__(self, text: str | URL, /) -> None:
        if isinstance(text, URL):
            self._take(text.scheme, text.userinfo, text.host, text.port, text.path, text.query, text.fragment)
            return
        scheme, authority, path, query, fragment = _parts(text)
        if not scheme or not authority:
            raise InvalidURL(
                f"{_shown(text)} is not a URL: it begins with no scheme and host, as https://host does."
            )
        match = _AUTHORITY.fullmatch(authority)
        if match is None:
            raise InvalidURL(f"{_shown(text)} is not a URL: its host or its port cannot be read.")
        userinfo, host, port = match.groups()
        self._take(
            scheme.lower(),
            _escaped(userinfo or "", _IN_USERINFO),
            _host(host, text),
            _port(port, scheme.lower(), text),
            _escaped(_without_dots(path), _IN_PATH),
            None if query is None else _escaped(query, _IN_QUERY),
            None if fragment is None else _escaped(fragment, _IN_FRAGMENT),
        )

    def _take(
        self,
        scheme: str,
        userinfo: str,
        host: str,
        port: int | None,
        path: str,
        query: str | None,
        fragment: str | None,
    ) -> None:
        """Keep the parts, and the text that they make."""
        self.scheme, self.userinfo, self.host, self.port = scheme, userinfo, host, port
        self.path, self.query, self.fragment = path, query, fragment
        named = f"[{host}]" if ":" in host else host
        self.netloc = named if port is None else f"{named}:{port}"
        self.origin = f"{scheme}://{self.netloc}"
        before = f"{userinfo}@" if userinfo else ""
        after = "" if fragment is None else f"#{fragment}"
        self._text = f"{scheme}://{before}{self.netloc}{path}{'' if query is None else f'?{query}'}{after}"

    @property
    def target(self) -> str:
        """The path and the query, as a request names them."""
        return (self.path or "/") + ("" if self.query is None else f"?{self.query}")

    @property
    def bare(self) -> str:
        """The URL without what may be secret in it: user name, password, query and fragment."""
        return self.origin + self.path

    @property
    def params(self) -> Mapping[str, str]:
        """The parameters of the query; of those with one name, the first.

        >>> URL("https://api.test/?a=1&b=2&a=3").params
        {'a': '1', 'b': '2'}
        """
        found: dict[str, str] = {}
        for name, value in parse_qsl(self.query or "", keep_blank_values=True):
            found.setdefault(name, value)
        return found

    def with_params(self, params: Any, /) -> URL:
        """Give a URL with these parameters as well; they take the place of others with the same names.

        `params` are a mapping, pairs, or a text such as "a=1&b=2". A value may be a list of several.

        >>> str(URL("https://api.test/?a=1&b=2").with_params({"a": True, "c": ["x", "y z"]}))
        'https://api.test/?a=true&b=2&c=x&c=y+z'
        """
        new: dict[str, list[str]] = {}
        for name, value in pairs_of(params):
            new.setdefault(name, []).append(as_text(value))
        all_of_them: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.query or "", keep_blank_values=True):
            all_of_them.setdefault(name, []).append(value)
        return self._with(query=urlencode(all_of_them | new, doseq=True))

    def join(self, reference: str, /) -> URL:
        """Find what a link means that stands in what this URL gave: a URL, or a part of one.

        >>> str(URL("https://api.test/v1/files?x=1").join("../out.png"))
        'https://api.test/out.png'
        """
        # https://www.rfc-editor.org/rfc/rfc3986#section-5.2.2
        scheme, authority, path, query, fragment = _parts(reference)
        if scheme:
            return URL(reference)
        if authority is not None:
            return URL(f"{self.scheme}:{reference}")
        if not path:
            return self._with(query=self.query if query is None else query, fragment=fragment)
        if not path.startswith("/"):
            path = self.path.rpartition("/")[0] + "/" + path
        return self._with(path=path, query=query, fragment=fragment)

    def _with(self, *, path: str | None = None, query: str | None, fragment: str | None = None) -> URL:
        """Give a URL of the same origin."""
        other = object.__new__(URL)
        other._take(
            self.scheme,
            self.userinfo,
            self.host,
            self.port,
            self.path if path is None else _escaped(_without_dots(path), _IN_PATH),
            None if query is None else _escaped(query, _IN_QUERY),
            None if fragment is None else _escaped(fragment, _IN_FRAGMENT),
        )
        return other

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"URL({self.bare!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, URL | str):
            return self._text == str(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[Any, ...]:
        return URL, (self._text,)


def _parts(text: str) -> tuple[str | None, str | None, str, str | None, str | None]:
    """Take a text apart."""
    if not isinstance(text, str):
        raise InvalidURL(f"{text!r:.80} is not a URL but a {type(text).__name__}. Pass a text.")
    if len(text) > _LONGEST:
        raise InvalidURL(f"{_shown(text)} is not a URL: it has more than {_LONGEST} characters.")
    if _NEVER.search(text) or (not text.isascii() and _NEVER_EITHER.search(text)):
        raise InvalidURL(
            f"{_shown(text)} is not a URL: it holds a line break, a tab, another control character or half of one."
        )
    match = _PARTS.fullmatch(text)
    assert match is not None  # it fits every text
    return match.groups()  # type: ignore[return-value]


def _host(host: str, text: str) -> str:
    """Write a host in ASCII. Raises `InvalidURL` for what cannot be one, or is one to some readers only."""
    if host.startswith("["):
        return _address(host[1:-1], text)
    name = host.lower() if host.isascii() else _in_ascii(host, text)
    if not _HOST.fullmatch(name):
        raise InvalidURL(f"{_shown(text)} is not a URL: {host!r} cannot be the name of a host.")
    if _DOTTED.fullmatch(name):
        try:
            ipaddress.IPv4Address(name)
        except ValueError as error:
            raise InvalidURL(f"{_shown(text)} is not a URL: {host!r} is not an address.") from error
    return name


def _address(host: str, text: str) -> str:
    """Check an address of IPv6. What is behind a % names a link of this machine, which readers differ about."""
    try:
        if "%" in host:
            raise ValueError("an address with the name of a link")
        ipaddress.IPv6Address(host)
    except ValueError as error:
        raise InvalidURL(f"{_shown(text)} is not a URL: [{host}] is not an address of IPv6.") from error
    return host.lower()


def _in_ascii(host: str, text: str) -> str:
    """Write a name of other letters as name servers know it (IDNA 2008)."""
    try:
        import idna  # comes with httpx, and is needed for these names only
    except ImportError as error:
        raise InvalidURL(
            f"{_shown(text)} is not a URL that can be read here: {host!r} is not in ASCII. Install the package idna."
        ) from error
    try:
        return idna.encode(host.lower()).decode("ascii")
    except UnicodeError as error:
        raise InvalidURL(f"{_shown(text)} is not a URL: {host!r} cannot be the name of a host.") from error


def _port(port: str | None, scheme: str, text: str) -> int | None:
    """Read a port; None for the scheme's own."""
    number = int(port) if port else None
    if number is not None and number > 65535:
        raise InvalidURL(f"{_shown(text)} is not a URL: there is no port {number}.")
    return None if number == _PORTS.get(scheme) else number


def _without_dots(path: str) -> str:
    """Take the steps `.` and `..` out of a path (https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4)."""
    segments = path.split("/")
    if "." not in segments and ".." not in segments:
        return path
    kept: list[str] = []
    for each in segments:
        if each == "..":
            if kept and kept != [""]:
                kept.pop()
        elif each != ".":
            kept.append(each)
    return "/".join(kept)


def _escaped(text: str, plain: frozenset[str]) -> str:
    """Write as %XX what cannot stand in this part of a URL; what is written so already stays, as does a lone %."""
    if plain.issuperset(text):
        return text
    return "".join(each if each in plain else _as_bytes(each) for each in text)


def _as_bytes(character: str) -> str:
    """One character as %XX of its bytes."""
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8"))


def _shown(text: str) -> str:
    """Show the text of a URL without what may be secret in it."""
    shown = re.sub(r"(?<=//)[^/?#]*@", "…@", text.partition("?")[0])
    return repr(shown[:120] + ("…" if len(shown) > 120 else ""))
