"""One request on its way through an operation, and the answers it may get."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from replicate_kit.records import parse_duration
from replicate_kit.schema import Problem, check
from replicate_kit.simulator._api.failures import timed_out
from replicate_kit.simulator._state.clock import parse_time
from replicate_kit.simulator._state.encoding import encode
from replicate_kit.simulator._state.problems import (
    HTTPProblem,
    bad_request,
    invalid_input,
    too_large,
    too_long,
)
from replicate_kit.transport import Body, Request, Response

if TYPE_CHECKING:
    from replicate_kit._runtime.runtimes import Runtime
    from replicate_kit.simulator._service.service import Service

__all__ = [
    "FORM_LIMIT",
    "JSON_LIMIT",
    "Answer",
    "Call",
    "answer",
    "answer_problem",
    "check_size",
    "read_body",
    "without_body",
]

JSON = "application/json; charset=utf-8"
# A file may have 100 MB (OpenAPI: files.create, 413). The form around it needs some more.
FORM_LIMIT = 101 * 1024 * 1024
# Nobody has recorded what other bodies may have. JavaScript's client puts up to 10,000,000 bytes of files into one as
# data URLs, which makes a third more.
JSON_LIMIT = 16 * 1024 * 1024


class Answer(Response):
    """An answer of the simulated service, and what whoever serves it has to know."""

    __slots__ = ("operation", "to_get")

    def __init__(self, status_code: int, **options: Any) -> None:
        super().__init__(status_code, **options)
        self.operation = ""
        """Which operation was asked for; "" for none."""
        self.to_get: Response | None = None
        """For an answer to HEAD: the one to GET, of which it has the head."""


class Call:
    """What an operation is called with."""

    def __init__(self, service: Service, request: Request, runtime: Runtime) -> None:
        self.service, self.request, self.runtime = service, request, runtime
        self.params: Mapping[str, str] = {}
        self.account = service.settings.account
        self.body = b""

    @property
    def owners(self) -> frozenset[str]:
        """Whose models and deployments the request may see and change: the account's and its organizations'."""
        return self.service.accounts.owners(self.account)

    @property
    def read_timeout(self) -> float | None:
        """How many seconds the client waits for an answer, where it says so (in process)."""
        return self.request.timeout.read

    async def hold(self, future: Future[Any], seconds: float) -> None:
        """Keep the client waiting for `future`, or until it has waited enough itself."""
        # In process there is no socket that times out: this raises what a backend would, after that of the client.
        limit = self.read_timeout
        if limit is None or limit >= seconds:
            await self.runtime.wait(future, seconds)
        elif not await self.runtime.wait(future, limit):
            raise timed_out(self.request)

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the URL; of several with one name, the first."""
        return self.request.url.params

    def json(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Decode the body and check it against `schema`."""
        try:
            body = _DECODER.decode(self.body.decode(json.detect_encoding(self.body), "surrogatepass"))
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
        value = self.query.get(name, allowed[0])
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


# Python's parser takes NaN and Infinity, which are no JSON. A client that sends them has to find out here.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def answer(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with JSON."""
    return Answer(status, content=encode(body), headers={"content-type": JSON, **(headers or {})})


def answer_problem(problem: HTTPProblem) -> Answer:
    """Answer with an error; its body ends with a line feed, as recorded."""
    content = json.dumps(problem.body, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    headers = {"content-type": "application/problem+json", **problem.headers}
    return Answer(problem.status, content=content, headers=headers)


def without_body(response: Answer) -> Answer:
    """The answer to HEAD: the status and headers of the one to GET."""
    bare = Answer(response.status_code, headers=response.headers)
    bare.to_get = response
    return bare


def check_size(size: int, *, is_form: bool) -> None:
    """Refuse a body of so many bytes, if that is too much."""
    if size > (FORM_LIMIT if is_form else JSON_LIMIT):
        raise too_large() if is_form else too_long(JSON_LIMIT)


async def read_body(request: Request, *, is_form: bool) -> bytes:
    """Read the request's body, up to a limit; one that serves both colours never suspends a blocking caller."""
    if not isinstance(request.body, Body):
        check_size(len(request.content), is_form=is_form)
        return request.content
    chunks, size = [], 0
    async for chunk in request.body:
        chunks.append(chunk)
        size += len(chunk)
        check_size(size, is_form=is_form)
    return b"".join(chunks)
