"""The table of operations, and which one a request is for."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple
from urllib.parse import unquote

from replicate_kit.simulator._api.exchange import Answer, Call
from replicate_kit.simulator._state.problems import HTTPProblem, not_found

__all__ = ["Handler", "Operation", "Operations", "Router"]

Handler = Callable[[Call], Awaitable[Answer]]
Site = Literal["api", "files", "streams"]


class Operation(NamedTuple):
    """One of the API's operations: `id` is the name that the API's description gives it.

    A `public` one needs no token. With `by_url` that is because its URL is the secret: whoever has it may read.
    """

    id: str
    method: str
    segments: tuple[str, ...]
    handler: Handler
    site: Site = "api"
    public: bool = False
    creates: bool = False
    by_url: bool = False


class Operations:
    """Collects operations: a decorator for their handlers."""

    def __init__(self) -> None:
        self.all: list[Operation] = []

    def __call__(
        self,
        id: str,
        method: str,
        path: str,
        *,
        site: Site = "api",
        public: bool = False,
        creates: bool = False,
        by_url: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Register a handler. `path` is below the API's root, or the site's; `{name}` matches one segment."""

        def register(handler: Handler) -> Handler:
            segments = tuple(path.strip("/").split("/"))
            opened = public or by_url
            self.all.append(Operation(id, method, segments, handler, site, opened, creates, by_url))
            return handler

        return register


# A stream of files looks like an uploaded file, but for its token.
_SHAPES = {"{file_stream}": re.compile(r"[0-9a-z]{4}-[0-9a-z]{52}")}


class _Path:
    """The path of an operation."""

    def __init__(self, parts: Sequence[str]) -> None:
        numbered, self._length = list(enumerate(parts)), len(parts)
        self._said = [(index, part) for index, part in numbered if not _is_open(part)]
        self._open = [(index, part[1:-1], _SHAPES.get(part)) for index, part in numbered if _is_open(part)]

    def fit(self, segments: Sequence[str]) -> dict[str, str] | None:
        """What the braces stand for in segments; None where the path is another."""
        if len(segments) != self._length:
            return None
        for index, text in self._said:
            if segments[index] != text:
                return None
        params = {}
        for index, name, shape in self._open:
            segment = segments[index]
            if not segment or (shape is not None and not shape.fullmatch(segment)):
                return None
            params[name] = segment
        return params


class Router:
    """Finds operations by site, method and path; those of the API have paths below its root `prefix`."""

    def __init__(self, operations: Iterable[Operation], prefix: str) -> None:
        self._prefix = [part for part in prefix.split("/") if part]
        self._by_noun: dict[str, list[tuple[Operation, _Path]]] = {}
        paths = [(operation, self._path_of(operation)) for operation in operations]
        # Of several that fit, the one that says most of the path.
        for operation, path in sorted(paths, key=lambda each: sum(map(_is_open, each[1]))):
            self._by_noun.setdefault(self._noun(path), []).append((operation, _Path(path)))

    def _noun(self, path: Sequence[str]) -> str:
        """The part of a path by which most operations can be told apart; "" where any text may stand for it."""
        part = path[len(self._prefix)] if len(path) > len(self._prefix) else ""
        return "" if _is_open(part) else part

    def match(self, method: str, raw_path: str, sites: frozenset[str]) -> tuple[Operation, dict[str, str]]:
        """Give the operation and what its path's braces stand for; 404 or 405 if there is none.

        HEAD is for whatever GET is for (RFC 9110, 9.3.2).
        """
        wanted = "GET" if method == "HEAD" else method
        for found in self._fitting(raw_path, sites, wanted):
            return found
        if fitting := list(self._fitting(raw_path, sites)):
            detail = f'Method "{method[:40]}" not allowed.'
            raise HTTPProblem(405, {"detail": detail, "status": 405}, {"allow": _allowed(fitting)})
        raise not_found()

    def allowed(self, raw_path: str, sites: frozenset[str]) -> str:
        """Name the methods that a path has; 404 if it has none."""
        fitting = list(self._fitting(raw_path, sites))
        if not fitting:
            raise not_found()
        return _allowed(fitting)

    def _fitting(
        self, raw_path: str, sites: frozenset[str], method: str | None = None
    ) -> Iterator[tuple[Operation, dict[str, str]]]:
        """Give the operations of a path, of one method or of any."""
        # Split before it is decoded: an encoded slash is part of a name and begins no other segment.
        segments = [unquote(part) for part in raw_path.partition("?")[0].strip("/").split("/")]
        for noun in dict.fromkeys((self._noun(segments), "")):
            for operation, path in self._by_noun.get(noun, ()):
                if operation.site not in sites or method not in (None, operation.method):
                    continue
                if (params := path.fit(segments)) is not None:
                    yield operation, params

    def _path_of(self, operation: Operation) -> tuple[str, ...]:
        return (*self._prefix, *operation.segments) if operation.site == "api" else operation.segments


def _is_open(part: str) -> bool:
    """Whether any text may stand for a part of an operation's path."""
    return part.startswith("{")


def _allowed(fitting: Iterable[tuple[Operation, dict[str, str]]]) -> str:
    """Write the methods of some operations as `Allow` has them."""
    methods = {operation.method for operation, _ in fitting}
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))
