"""One request and its answer, as a cassette keeps them: readable, and without secrets."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

__all__ = ["Bodies", "Exchange", "without_secrets"]

_LARGE = 64 * 1024
_SECRET_HEADERS = frozenset(
    {"authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key", "webhook-signature"}
)
# What the bodies' own encoding and length say is no longer true of what is kept.
_TRANSPORT_HEADERS = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "connection", "date"}
)
_SECRET_PARAMS = re.compile(r"(signature|token|x-amz-[a-z-]+|key)$", re.IGNORECASE)
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


@dataclass(frozen=True)
class Exchange:
    """A request and its answer. `key` is what tells requests apart."""

    key: str
    request: dict[str, Any]
    answer: dict[str, Any]

    @classmethod
    def of(cls, request: httpx.Request, response: httpx.Response, body: bytes, bodies: Bodies) -> Exchange:
        """Take down an exchange; the token it was sent with is taken out wherever it stands."""
        sent, url = _sent(request), _without_secrets_in(request.url)
        token = request.headers.get("authorization", "").partition(" ")[2]
        return cls(
            key=cls.key_of(request),
            request={
                "method": request.method,
                "url": url,
                "headers": _kept(request.headers),
                "body": without_secrets(bodies.dump(sent, request.headers.get("content-type", "")), token),
            },
            answer={
                "status": response.status_code,
                "headers": _kept(response.headers),
                "body": without_secrets(bodies.dump(body, response.headers.get("content-type", "")), token),
            },
        )

    @staticmethod
    def key_of(request: httpx.Request) -> str:
        """Tell a request by its method, its URL and what it sends, whatever the order of keys in that."""
        sent = _sent(request)
        with suppress(ValueError):
            sent = json.dumps(json.loads(sent), sort_keys=True).encode()
        digest = f" {hashlib.sha256(sent).hexdigest()[:16]}" if sent else ""
        return f"{request.method} {_without_secrets_in(request.url)}{digest}"

    @property
    def named(self) -> str:
        """The request as messages name it."""
        return f"{self.request['method']} {httpx.URL(self.request['url']).path}"

    def as_json(self) -> dict[str, Any]:
        """What is written to the file."""
        return asdict(self)

    def response(self, request: httpx.Request, bodies: Bodies) -> httpx.Response:
        """Give the answer again, to a request."""
        return httpx.Response(
            self.answer["status"],
            headers=self.answer["headers"],
            content=bodies.load(self.answer["body"]),
            request=request,
        )


def without_secrets(value: Any, token: str = "") -> Any:
    """Take webhook secrets, and the token where one is given, out of every text in a value."""
    if isinstance(value, dict):
        return {key: without_secrets(each, token) for key, each in value.items()}
    if isinstance(value, list):
        return [without_secrets(each, token) for each in value]
    if isinstance(value, str):
        clean = _WEBHOOK_SECRET.sub(_PLACEHOLDER, value)
        return clean.replace(token, "[token]") if token else clean
    return value


def _sent(request: httpx.Request) -> bytes:
    """The body of a request; of an upload only what does not differ from one time to the next."""
    try:
        content = request.content
    except httpx.RequestNotRead:
        return f"[streamed, {request.headers.get('content-length')} bytes]".encode()
    boundary = _BOUNDARY.search(request.headers.get("content-type", "").encode())
    return content.replace(boundary[1], b"boundary") if boundary else content


def _kept(headers: httpx.Headers) -> dict[str, str]:
    """The headers without secrets, and without what only the connection was concerned with."""
    dropped = _SECRET_HEADERS | _TRANSPORT_HEADERS
    return {name: value for name, value in headers.items() if name.lower() not in dropped}


def _without_secrets_in(url: httpx.URL) -> str:
    """A URL without user, password and signatures."""
    params = [
        (key, "[secret]" if _SECRET_PARAMS.search(key) else value) for key, value in url.params.multi_items()
    ]
    return str(
        url.copy_with(userinfo=b"", params=params) if params else url.copy_with(userinfo=b"", query=None)
    )
