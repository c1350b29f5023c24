from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate_kit._runtime.blocking import run
from replicate_kit._runtime.runtimes import runtime
from replicate_kit.simulator import Simulator
from replicate_kit.simulator._api.multipart import parse
from replicate_kit.simulator._api.operations import OPERATIONS
from replicate_kit.simulator._api.pagination import Cursor
from replicate_kit.simulator._state.problems import HTTPProblem
from replicate_kit.transport import Request

pytestmark = pytest.mark.slow

simulator = Simulator(webhook_sender=lambda request: 200)


@simulator.model("acme/any")
def anything(text: str = "", count: int = 1, **more: Any) -> Iterator[str]:
    yield text * min(count, 3)


VALUES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [*("acme", "any", "local", "..", "%2f", "demo", "acme/any", simulator.version("acme/any"), "0")]
    ),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
BODIES = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"version": VALUES, "input": st.one_of(JSON, st.fixed_dictionaries({"text": JSON, "count": JSON}))},
        optional={"webhook": st.text(max_size=20), "webhook_events_filter": JSON, "stream": JSON},
    ).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        dict.fromkeys(("owner", "name", "hardware", "visibility", "model", "version", "destination"), VALUES),
        optional=dict.fromkeys(("min_instances", "max_instances", "description", "readme", "input"), JSON),
    ).map(lambda value: json.dumps(value).encode()),
)
HEADERS = st.dictionaries(
    st.sampled_from(["prefer", "cancel-after", "content-type", "range", "last-event-id", "authorization"]),
    st.one_of(
        st.sampled_from(["wait=1", "5s", "multipart/form-data; boundary=b", "bytes=0-1"]),
        st.text(max_size=15),
    ).map(
        lambda text: (
            text.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
        )
    ),
    max_size=3,
)
QUERIES = st.dictionaries(
    st.sampled_from(
        [
            *(
                "cursor",
                "created_after",
                "created_before",
                "source",
                "limit",
                "query",
                "sort_by",
                "expiry",
                "owner",
            )
        ]
    ),
    VALUES,
    max_size=3,
)
ROOTS = {"api": simulator.base_url, "files": simulator.files_url, "streams": "https://stream.replicate.test"}


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(OPERATIONS), st.lists(VALUES, min_size=4, max_size=4), BODIES, HEADERS, QUERIES)
def test_nothing_that_comes_in_breaks_it(
    operation: Any, values: list[str], body: bytes, headers: dict[str, bytes], query: dict[str, str]
) -> None:
    given = iter(values)
    parts = [quote(next(given), safe="%") if part.startswith("{") else part for part in operation.segments]
    url = f"{ROOTS[operation.site]}/{'/'.join(parts)}?{urlencode(query)}"
    response = run(
        simulator.handle(Request(operation.method, url, content=body, headers=headers), runtime(True))
    )
    content = run(response.aread())
    assert response.status_code < 500
    if "json" in response.headers.get("content-type", ""):
        json.loads(content, parse_constant=lambda constant: 1 / 0)


@given(st.text(max_size=60), st.binary(max_size=200))
def test_forms_are_read_or_refused(content_type: str, body: bytes) -> None:
    with suppress(HTTPProblem):
        assert isinstance(parse(content_type, body), dict)


@given(st.binary(max_size=50), st.integers(min_value=1, max_value=50))
def test_a_form_comes_out_as_it_went_in(content: bytes, length: int) -> None:
    request = httpx.Request(
        "POST", "https://x", files={"content": ("n" * length, content, "a/b"), "other": b"x"}
    )
    form = parse(request.headers["content-type"], request.read())
    part = form["content"]
    assert (part.content, part.filename, part.content_type) == (content, "n" * length, "a/b")
    assert form["other"].content == b"x"


@given(st.integers(min_value=-(10**15), max_value=10**17), st.booleans())
def test_cursors_are_read_as_they_were_written(position: int, reverse: bool) -> None:
    assert Cursor.decode(Cursor(position, reverse).encode()) == Cursor(position, reverse)
