"""A request, as layers and backends see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from replicate_kit._door.bodies import Body, Replayable, form, json_bytes
from replicate_kit._door.headers import Headers
from replicate_kit._formats.urls import URL
from replicate_kit._formats.wording import with_safe_repr

__all__ = ["Create", "Limits", "Request", "Slot", "Timeout"]

T = TypeVar("T")


class Timeout(NamedTuple):
    """How long each phase of a request may take, in seconds; None for any time.

    `connect`: until there is a connection. `read` and `write`: until the next bytes come or go. `pool`: until a
    connection is free.
    """

    connect: float | None = None
    read: float | None = None
    write: float | None = None
    pool: float | None = None

    def at_most(self, seconds: float) -> Timeout:
        """Give the same phases, none longer than `seconds`."""
        return Timeout(*(seconds if each is None else min(each, seconds) for each in self))


class Limits(NamedTuple):
    """What an answer may be: an `answer` of the API, a `file`, or a `stream`, whose events are counted elsewhere.

    `most` is in bytes of what the body decodes to.
    """

    kind: Literal["answer", "file", "stream"] = "stream"
    most: int = 0


_NO_LIMITS = Limits()


class Create(NamedTuple):
    """What a POST asks for: the JSON that is sent, and when it was (a Unix timestamp in seconds)."""

    body: Any
    sent_at: float


@with_safe_repr
class Request:
    """A request on its way to a backend. Layers may change it; a backend sends it as it is.

    `method`, `url` and `headers` are what they are in HTTP. `body` is bytes, a `Replayable` or `Once` body, or None.
    `timeout` has seconds for each phase. What the call wants of its way is in fields:

    - `repeatable`: sending it twice does no harm, whatever its method. `retries`: how often at most it is sent
      again; None for as often as the client does.
    - `deadline`: until when, on the clock of the session's `now()`, its answer is of use; None for any time.
    - `create`: what a POST was called with, for whoever has to find out what became of it.
    - `last_check`: called before the backend has the request, and by backends with sockets again, when there is a
      connection, and right before they write; raises where it must not be sent any more.
    - `guarded`: the address that is connected to must be a public one. A backend that opens connections checks that.
    - `credentials`: what the caller is known by goes along: the client's own `auth`. Only to the API's origin.
    - `limits`: what its answer may be.

    >>> request = Request("POST", "https://api.test/v1/predictions", json={"input": {"prompt": "sea"}})
    >>> request.headers["content-type"], request.content
    ('application/json', b'{"input":{"prompt":"sea"}}')
    """

    __slots__ = (
        "_body",
        "_slots",
        "create",
        "credentials",
        "deadline",
        "given_up",
        "guarded",
        "headers",
        "last_check",
        "left",
        "limits",
        "method",
        "repeatable",
        "retries",
        "source",
        "timeout",
        "url",
    )

    def __init__(
        self,
        method: str,
        url: str | URL,
        *,
        headers: Any = None,
        body: bytes | Body | None = None,
        json: Any = None,
        content: str | bytes | None = None,
        data: Any = None,
        files: Any = None,
        timeout: Timeout = Timeout(),  # noqa: B008 - it does not change
    ) -> None:
        self.method = method.upper()
        self.url = url if isinstance(url, URL) else URL(url)
        self.headers = Headers(headers)
        self.timeout = timeout
        self.repeatable = False
        self.retries: int | None = None
        self.deadline: float | None = None
        self.create: Create | None = None
        self.last_check: Callable[[], None] | None = None
        self.guarded, self.credentials = False, True
        self.limits = _NO_LIMITS
        self.source: Literal["call", "stream", "file"] = "call"
        """Who chose the URL: the caller, an answer that named a stream, or a model that named a file."""
        self.left = False
        """Whether a redirect has led away from the API's origin, or the request began elsewhere."""
        self.given_up = False
        """Whether its answer took longer than any may; it is not asked for again."""
        self._slots: dict[Slot[Any], Any] = {}
        self._body = self._written(body, json, content, data, files)

    def _written(
        self, body: bytes | Body | None, json: Any, content: str | bytes | None, data: Any, files: Any
    ) -> bytes | Body | None:
        """Write the body, and say in the headers what it is."""
        kind = ""
        if json is not None:
            body, kind = json_bytes(json), "application/json"
        elif content is not None:
            body = content.encode("utf-8") if isinstance(content, str) else content
        elif data or files:
            body, kind = form(data, files)
        if kind:
            self.headers.setdefault("Content-Type", kind)
        self._announce(body)
        return body

    def _announce(self, body: bytes | Body | None) -> None:
        """Say how long the body is."""
        if body is None:
            if self.method in ("POST", "PUT", "PATCH"):
                self.headers.setdefault("Content-Length", "0")
            return
        length = len(body) if isinstance(body, bytes) else body.length
        if "transfer-encoding" not in self.headers:
            if length is None:
                self.headers["Transfer-Encoding"] = "chunked"
            else:
                self.headers.setdefault("Content-Length", str(length))

    def check_last(self) -> None:
        """Call `last_check`, if there is one: a backend does so right before it writes."""
        if self.last_check is not None:
            self.last_check()

    @property
    def body(self) -> bytes | Body | None:
        """What is sent. A new one is announced by its own length."""
        return self._body

    @body.setter
    def body(self, body: bytes | Body | None) -> None:
        self._body = body
        for name in ("content-length", "transfer-encoding"):
            self.headers.pop(name, None)
        self._announce(body)

    @property
    def content(self) -> bytes:
        """The body as bytes. Raises `ValueError` for one that comes in chunks."""
        if isinstance(self.body, Body):
            raise ValueError("The body of this request comes in chunks. Iterate request.body.")
        return self.body or b""

    def keep_slots_of(self, other: Request) -> None:
        """Take over what layers keep at another request, of which this one is the continuation."""
        self._slots = dict(other._slots)

    @property
    def is_replayable(self) -> bool:
        """Whether the body can be sent again."""
        return not isinstance(self.body, Body) or isinstance(self.body, Replayable)

    @property
    def named(self) -> str:
        """The request in messages and logs, without what its query or a user name in its URL may give away.

        >>> Request("GET", "https://me:secret@api.replicate.com/v1/account?key=secret").named
        'GET https://api.replicate.com/v1/account'
        """
        return f"{self.method} {self.url.bare}"

    def __repr__(self) -> str:
        return f"<Request {self.named}>"


@with_safe_repr
class Slot(Generic[T]):
    """A place at each request for what one layer wants to find again, such as when it began.

    >>> from replicate_kit.transport import Request
    >>> began = Slot[float]("began")
    >>> request = Request("GET", "https://api.test/v1/account")
    >>> began.set(request, 1.5)
    >>> began.get(request), Slot[str]("other").get(request)
    (1.5, None)
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def set(self, request: Request, value: T) -> None:
        """Keep a value at a request."""
        request._slots[self] = value

    def get(self, request: Request) -> T | None:
        """The value that was kept at a request, None where there is none."""
        found: T | None = request._slots.get(self)
        return found

    def __repr__(self) -> str:
        return f"Slot({self.name!r})"
