"""One request and its answer, as a cassette keeps them: readable, and without secrets."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

from replicate_kit._formats.pairs import pairs_of
from replicate_kit._formats.redacting import is_secret_input, is_secret_name, redacted
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit._http.secrets import WORDS
from replicate_kit.schema import ModelSchema
from replicate_kit.transport import URL, Body, Headers, Request, Response

__all__ = ["Bodies", "Exchange", "Secrets", "Seen"]

_LARGE = 64 * 1024
# Request headers that this package or an HTTP library sets. All others are the client's own, and may be anything.
_PLAIN_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "cancel-after",
        "connection",
        "content-length",
    }
    | {
        "if-range",
        "last-event-id",
        "transfer-encoding",
        "content-type",
        "host",
        "prefer",
        "range",
        "user-agent",
    }
)
# What the bodies' own encoding and length say is no longer true of what is kept.
_TRANSPORT_HEADERS = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "connection", "date"}
)
_HIDDEN = "[secret]"
# Characters of a secret that is taken out of bodies: a shorter one stands in too many words. What is no secret by its
# name has to be longer, and a word of its own, or answers would be changed that a replay needs.
_SHORTEST, _SHORTEST_OF_OTHERS = 4, 8
_WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=_-]+")
_PLACEHOLDER = "whsec_" + base64.b64encode(b"a secret that is no more").decode()
_BOUNDARY = re.compile(rb"boundary=([^;\s]+)")


class Bodies:
    """Bodies as JSON: what is JSON as it is, text as text, the rest in base64, and what is large beside the file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def dump(self, body: bytes, content_type: str) -> Any:
        """Give what stands for a body in the file."""
        if len(body) > _LARGE:
            return {"file": self._store(body)}
        if not body:
            return None
        if "json" in content_type:
            try:
                return {"json": json.loads(body)}
            except ValueError:
                pass
        try:
            return {"text": body.decode()}
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(body).decode()}

    def load(self, kept: Any) -> bytes:
        """Give the body back."""
        match kept:
            case None:
                return b""
            case {"json": value}:
                return json.dumps(value, ensure_ascii=False).encode()
            case {"text": str(text)}:
                return text.encode()
            case {"base64": str(text)}:
                return base64.b64decode(text)
            case {"file": str(name)}:
                return (self._folder / Path(name).name).read_bytes()
        raise ValueError(f"{str(kept)[:60]!r} is not a body")

    def _store(self, body: bytes) -> str:
        """Keep a large body in a file that its content names."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(body).hexdigest()[:32] + ".bin"
        (self._folder / name).write_bytes(body)
        return name


@with_safe_repr
@dataclass
class Secrets:
    """What is a secret in a recording: inputs and query parameters by their names, and texts wherever they stand.

    The names are kept in the file: a replay, which knows no schema, leaves out the same, so that it finds the answers
    whatever the secrets are by then. Texts are not kept.
    """

    inputs: set[str] = field(default_factory=set)
    params: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Secrets:
        """Those that a client's options hold: what it adds to requests may be a secret, whatever its name."""
        secrets = cls()
        for option in ("params", "headers", "cookies"):
            for name, value in _own(options.get(option)):
                if option == "params":
                    secrets.params.add(name)
                secrets.add_own(name, value)
        return secrets

    def add(self, *values: object) -> None:
        """Take texts as secrets, and what stands in them: a token behind the name of a scheme, a password in Base64."""
        for value in values:
            if isinstance(value, str):
                self.texts.update(each for each in _meant(value) if len(each) >= _SHORTEST)
            elif isinstance(value, Mapping):
                self.add(*value.values())
            elif isinstance(value, list | tuple):
                self.add(*value)

    def add_own(self, name: str, value: object) -> None:
        """Take the value of a header or param of the client's own, which may be a secret whatever its name."""
        plain = isinstance(value, str) and (
            len(value) < _SHORTEST_OF_OTHERS or "://" in value or WORDS.fullmatch(value)
        )
        if is_secret_name(name) or not (plain or name.lower() in _PLAIN_HEADERS):
            self.add(value)

    @property
    def names(self) -> Secrets:
        """The same without texts."""
        return Secrets(self.inputs, self.params)

    def learn_headers(self, exchange: Seen) -> None:
        """Take what a request was sent with."""
        for name, value in exchange.headers.multi_items():
            self.add_own(name, value)

    def learn(self, exchange: Seen) -> None:
        """Take from a request and its answer what is secret in them."""
        self.learn_headers(exchange)
        self.add(*(value for name, value in _query(exchange.url) if is_secret_name(name)))
        self.add(*(value for name, value in exchange.answer_headers.multi_items() if _is_secret_header(name)))
        self.inputs.update(_declared(_json(exchange.answer)))
        self.inputs.update(name for name in _inputs(_json(exchange.sent)) if is_secret_input(name))

    def learn_values(self, exchange: Seen) -> None:
        """Take the values of the secret inputs of a request, once it is known which inputs are secret."""
        given = _inputs(_json(exchange.sent))
        self.add(*(given[name] for name in self.inputs & given.keys()))

    def without(self, value: Any) -> Any:
        """Take all of them out of JSON."""
        if isinstance(value, dict):
            return {key: self._member(key, each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.without(each) for each in value]
        return self._text(value) if isinstance(value, str) else value

    def without_in_body(self, body: bytes) -> bytes:
        """Take them out of a body, whatever it is."""
        value = _json(body)
        if isinstance(value, dict | list):
            clean = self.without(value)
            return body if clean == value else json.dumps(clean, ensure_ascii=False).encode()
        try:
            return self._text(body.decode()).encode()
        except UnicodeDecodeError:
            for each in self._forms():
                body = body.replace(each.encode(), _HIDDEN.encode())
            return body

    def without_in_url(self, url: URL) -> str:
        """A URL without user, password, signatures and what the caller adds to every query.

        Its path stays: a replay finds its answers by it, whatever the secrets are by then.
        """
        params = [
            (key, self._text(_HIDDEN if is_secret_name(key) else value))
            for key, value in _query(url)
            if key not in self.params
        ]
        fragment = "" if url.fragment is None else f"#{url.fragment}"
        return f"{url.bare}{'?' if params else ''}{urlencode(params)}{fragment}"

    def _member(self, key: str, value: Any) -> Any:
        """What stands for a member of an object: an object of inputs is without those that are secret."""
        if key != "input" or not isinstance(value, dict):
            return self.without(value)
        return {name: _HIDDEN if name in self.inputs else self.without(each) for name, each in value.items()}

    def _text(self, text: str) -> str:
        """A text without them."""
        text = _WEBHOOK_SECRET.sub(_PLACEHOLDER, text)
        for each in self._forms():
            text = text.replace(each, _HIDDEN)
        return redacted(text) if re.match(r"[a-z][a-z0-9+.-]*://\S+$", text[:4096]) else text

    def _forms(self) -> list[str]:
        """The texts as they may be written."""
        return _forms_of(frozenset(self.texts))


@lru_cache(maxsize=8)  # of the same texts for each text of a body
def _forms_of(texts: frozenset[str]) -> list[str]:
    """Texts as they may be written, long ones first: one may be a part of another."""
    forms = {form for each in texts for form in _written(each)}
    return sorted(forms, key=lambda each: (-len(each), each))


@with_safe_repr
@dataclass(frozen=True)
class Seen:
    """A request and its answer as they were."""

    method: str
    url: URL
    headers: Headers
    sent: bytes
    status: int = 0
    answer_headers: Headers = field(default_factory=Headers)
    answer: bytes = b""

    @classmethod
    def of(cls, request: Request, response: Response | None = None, body: bytes = b"") -> Seen:
        """Take down a request, and its answer where there is one."""
        asked = (request.method, request.url, request.headers, _sent(request))
        return cls(*asked) if response is None else cls(*asked, response.status_code, response.headers, body)

    def key(self, secrets: Secrets) -> str:
        """Tell a request by its method, its URL and what it sends, whatever the order of keys in that."""
        # By names alone: texts differ from one client to the next, and may be words of an input.
        sent = secrets.names.without_in_body(self.sent)
        with suppress(ValueError):
            sent = json.dumps(json.loads(sent), sort_keys=True).encode()
        digest = f" {hashlib.sha256(sent).hexdigest()[:16]}" if sent else ""
        return f"{self.method} {secrets.without_in_url(self.url)}{digest}"

    def recorded(self, secrets: Secrets, bodies: Bodies) -> Exchange:
        """What is kept of it."""
        return Exchange(
            key=self.key(secrets),
            request={
                "method": self.method,
                "url": secrets.without_in_url(self.url),
                "headers": _plain(self.headers),
                "body": bodies.dump(secrets.without_in_body(self.sent), self.headers.get("content-type", "")),
            },
            answer={
                "status": self.status,
                "headers": secrets.without(_kept(self.answer_headers)),
                "body": bodies.dump(
                    secrets.without_in_body(self.answer), self.answer_headers.get("content-type", "")
                ),
            },
        )


@with_safe_repr
@dataclass(frozen=True)
class Exchange:
    """A request and its answer, as a cassette has them. `key` is what tells requests apart."""

    key: str
    request: dict[str, Any]
    answer: dict[str, Any]

    @property
    def named(self) -> str:
        """The request as messages name it."""
        return f"{self.request['method']} {URL(self.request['url']).path}"

    def as_json(self) -> dict[str, Any]:
        """What is written to the file."""
        return asdict(self)

    def response(self, request: Request, bodies: Bodies) -> Response:
        """Give the answer again, to a request."""
        return Response(
            self.answer["status"],
            headers=self.answer["headers"],
            content=bodies.load(self.answer["body"]),
            request=request,
        )


def _own(given: Any) -> Iterable[tuple[str, Any]]:
    """The names and values of a client's own params, headers or cookies."""
    jar = getattr(given, "jar", given)
    if hasattr(jar, "set_cookie"):  # it may have one name for several hosts
        return [(each.name, each.value) for each in jar]
    return pairs_of(given)


def _query(url: URL) -> list[tuple[str, str]]:
    """The parameters of a URL, those of one name together: so the keys of recordings have them."""
    by_name: dict[str, list[tuple[str, str]]] = {}
    for each in parse_qsl(url.query or "", keep_blank_values=True):
        by_name.setdefault(each[0], []).append(each)
    return [each for pairs in by_name.values() for each in pairs]


def _written(text: str) -> tuple[str, ...]:
    """The ways in which a text may be written in bodies and URLs."""
    return text, json.dumps(text)[1:-1], quote(text, safe=""), quote_plus(text)


def _meant(value: str) -> Iterator[str]:
    """A secret, and those in it."""
    yield value
    _, space, inner = value.strip().partition(" ")
    if space:
        yield inner.strip()
        with suppress(binascii.Error, UnicodeDecodeError, ValueError):
            pair = base64.b64decode(inner.strip(), validate=True).decode()
            yield pair
            yield pair.partition(":")[2]
    for each in value.split(";"):  # cookies
        if "=" in each:
            yield each.partition("=")[2].strip()


def _json(body: bytes) -> Any:
    """Read JSON; None for what is none."""
    try:
        return json.loads(body) if body[:1] in b" [{\n\r\t" and body else None
    except ValueError:
        return None


def _inputs(value: Any) -> dict[str, Any]:
    """The inputs in a request."""
    found = value.get("input") if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _declared(value: Any) -> Iterator[str]:
    """The inputs that are secret by the schemas in an answer."""
    if isinstance(value, dict):
        schema = value.get("openapi_schema")
        if isinstance(schema, dict):
            yield from ModelSchema(schema).secret_inputs
        for each in value.values():
            yield from _declared(each)
    elif isinstance(value, list):
        for each in value:
            yield from _declared(each)


def _sent(request: Request) -> bytes:
    """The body of a request; of an upload only what does not differ from one time to the next."""
    if isinstance(request.body, Body):
        return f"[streamed, {request.headers.get('content-length')} bytes]".encode()
    boundary = _BOUNDARY.search(request.headers.get("content-type", "").encode())
    return request.content.replace(boundary[1], b"boundary") if boundary else request.content


def _plain(headers: Headers) -> dict[str, str]:
    """The headers of a request that are no secret."""
    return {name.lower(): value for name, value in headers.items() if name.lower() in _PLAIN_HEADERS}


def _kept(headers: Headers) -> dict[str, str]:
    """The headers of an answer without secrets, and without what only the connection was concerned with."""
    return {
        name.lower(): value
        for name, value in headers.items()
        if name.lower() not in _TRANSPORT_HEADERS and not _is_secret_header(name)
    }


def _is_secret_header(name: str) -> bool:
    """Whether a header of an answer is a secret: cookies, signatures, keys."""
    return (
        is_secret_name(name)
        or "cookie" in name.lower()
        or "signature" in name.lower()
        or "auth" in name.lower()
    )
