"""One request on its way through an operation, and the answers it may get."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import httpx

from replicate_kit.records import parse_duration
from replicate_kit.schema import Problem, check
from replicate_kit.simulator._state.clock import parse_time
from replicate_kit.simulator._state.encoding import encode
from replicate_kit.simulator._state.problems import HTTPProblem, bad_request, invalid_input

if TYPE_CHECKING:
    from replicate_kit._runtime.runtimes import Runtime
    from replicate_kit.simulator._service.service import Service

__all__ = ["BODY", "BODY_LIMIT", "Call", "answer", "answer_problem", "read_body", "without_body"]

JSON = "application/json; charset=utf-8"
# A file may have 100 MB (OpenAPI: files.create, 413). The form around it needs some more.
BODY_LIMIT = 101 * 1024 * 1024
BODY = "replicate_kit.body"
"""The extension of an answer to HEAD that has the body of the one to GET; None for what is read chunk by chunk."""


class Call:
    """What an operation is called with."""

    def __init__(self, service: Service, request: httpx.Request, runtime: Runtime) -> None:
        self.service, self.request, self.runtime = service, request, runtime
        self.params: Mapping[str, str] = {}
        self.account = service.settings.account
        self.body = b""

    @property
    def read_timeout(self) -> float | None:
        """How many seconds the client waits for an answer, where it says so (in process)."""
        timeout: float | None = (self.request.extensions.get("timeout") or {}).get("read")
        return timeout

    async def hold(self, future: Future[Any], seconds: float) -> None:
        """Keep the client waiting for `future`, or until it has waited enough itself."""
        # In process there is no socket that times out: this raises what httpx would, after the client's own timeout.
        limit = self.read_timeout
        if limit is None or limit >= seconds:
            await self.runtime.wait(future, seconds)
        elif not await self.runtime.wait(future, limit):
            raise httpx.ReadTimeout("The read operation timed out", request=self.request)

    @property
    def query(self) -> httpx.QueryParams:
        """The query of the URL."""
        return self.request.url.params

    def json(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Decode the body and check it against `schema`."""
        try:
            # Python's parser takes NaN and Infinity, which are no JSON. A client that sends them has to find out here.
            body = json.loads(self.body, parse_constant=_refuse, parse_float=_finite)
        except (ValueError, RecursionError) as error:
            # The words before the colon are the API's own. The status that it gives them was never recorded.
            raise bad_request(f"Failed to parse request body as JSON: {error}") from None
        problems = [_without_root(each) for each in check(body, schema, field="(root)")]
        if problems:
            raise invalid_input(problems)
        return dict(body)

    def time(self, name: str) -> int | None:
        """Read a time out of the query, as unix microseconds."""
        text = self.query.get(name)
        try:
            return parse_time(text) if text is not None else None
        except (ValueError, OverflowError):
            raise bad_request(f'Query parameter "{name}" must be an ISO 8601 date-time') from None

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Read one of some words out of the query; the first is what is meant when it is absent."""
        value: str = self.query.get(name, allowed[0])
        if value not in allowed:
            raise bad_request(f'Query parameter "{name}" must be one of: {", ".join(allowed)}')
        return value

    def wait(self) -> tuple[str, int] | None:
        """How long `Prefer: wait` asks to hold the answer: the words, and seconds."""
        for preference in self.request.headers.get("prefer", "").split(","):
            name, _, value = preference.strip().partition("=")
            if name == "wait":
                # The description's pattern also admits 61 to 99; its text says 1 to 60 (OpenAPI: header Prefer).
                # The length is checked, too, because int() raises for thousands of digits.
                seconds = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0
                if value and not 1 <= seconds <= 60:
                    raise bad_request("Prefer: wait=n needs a whole number of seconds, from 1 to 60")
                return preference.strip(), seconds or 60
        return None

    def cancel_after(self) -> int | None:
        """The seconds of `Cancel-After`, such as `1h30m45s`; at least 5."""
        text = self.request.headers.get("cancel-after")
        if text is None:
            return None
        total = parse_duration(text)
        # The minimum is the API's (OpenAPI: header Cancel-After). Its documentation names no maximum.
        if total < 5:
            raise bad_request(
                "Cancel-After must be a duration of at least 5 seconds, such as 90, 45s or 1h30m"
            )
        return total


def _without_root(problem: Problem) -> Problem:
    """Name a field of the body as it is named there."""
    return problem._replace(field=problem.field.removeprefix("(root)."))


def _refuse(constant: str) -> Any:
    raise ValueError(f"invalid character: {constant} is not JSON")


def _finite(text: str) -> float:
    """Read a number that fits; one that became infinite could not be written again."""
    number = float(text)
    return number if math.isfinite(number) else _refuse(f"{text[:40]}…" if len(text) > 40 else text)


def answer(status: int, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Answer with JSON."""
    return httpx.Response(status, content=encode(body), headers={"content-type": JSON, **(headers or {})})


def answer_problem(problem: HTTPProblem) -> httpx.Response:
    """Answer with an error; its body ends with a line feed, as recorded."""
    content = json.dumps(problem.body, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    headers = {"content-type": "application/problem+json", **problem.headers}
    return httpx.Response(problem.status, content=content, headers=headers)


def without_body(response: httpx.Response) -> httpx.Response:
    """The answer to HEAD: the status and headers of the one to GET."""
    bare = httpx.Response(response.status_code, headers=response.headers, content=b"")
    whole = response.is_closed
    # httpx gives an empty body the length 0. A stream's GET says no length, so its HEAD must not say one.
    if not whole and "content-length" not in response.headers:
        bare.headers.pop("content-length", None)
    bare.extensions |= {**response.extensions, BODY: response.content if whole else None}
    return bare


async def read_body(request: httpx.Request) -> bytes:
    """Read the request's body, up to a limit; streams that serve both colours never suspend a blocking caller."""
    try:
        return request.content
    except httpx.RequestNotRead:
        pass
    chunks, size = [], 0
    async for chunk in _chunks(request.stream):
        chunks.append(chunk)
        size += len(chunk)
        if size > BODY_LIMIT:
            raise HTTPProblem(413, {"detail": "Files must be less than 100MB in size"})
    return b"".join(chunks)


async def _chunks(stream: Any) -> AsyncIterator[bytes]:
    """Iterate a body of either kind."""
    if isinstance(stream, httpx.AsyncByteStream):
        async for chunk in stream:
            yield chunk
    else:
        for chunk in stream:
            yield chunk
