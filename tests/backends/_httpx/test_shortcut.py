"""Whatever is put in place of a part of httpx sees every request, though most requests go past much of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import httpcore
import httpx
import pytest
import respx

from replicate_kit import Client
from replicate_kit.backends._httpx.shortcut import is_plain
from replicate_kit.backends._options.libraries import HTTPX, HTTPX2

pytestmark = pytest.mark.about_httpx("it is what is gone past")

Serve = Callable[..., Any]

MOCKED = {"id": "p1", "status": "starting"}


@pytest.fixture
def origin(serve: Serve) -> Any:
    """The server that nobody may reach in a test with a mock."""
    return serve(
        lambda _: (201, {"Content-Type": "application/json"}, b'{"id": "real", "status": "starting"}')
    )


async def created(url: str) -> str:
    """Create a prediction."""
    async with Client("r8_any", base_url=url) as client:
        return str((await client.predictions.async_create("a" * 64, {"prompt": "sea"})).id)


def test_most_requests_go_by_it(origin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(
        "replicate_kit.backends._httpx.async_pools.LentConnections._client", lambda *_, **__: made.append(1)
    )
    assert is_plain(HTTPX)
    assert is_plain(HTTPX2)
    assert asyncio.run(created(origin.url)) == "real"
    assert made == []


async def answered(*_: Any, **__: Any) -> Any:
    """Stand for any step of a client."""
    request = httpx.Request("POST", "https://mock.test")
    return httpx.Response(201, json=MOCKED, request=request)


class Proxy:
    """Shows all of a function but its type, as the wrapper of wrapt does, by which tracers patch."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shown, name)

    async def __call__(self, *_: Any, **__: Any) -> Any:
        return await answered()


STEPS = [
    "AsyncClient.send",
    "AsyncClient._send_handling_auth",
    "AsyncClient._send_handling_redirects",
    "AsyncClient._send_single_request",
    "AsyncHTTPTransport.handle_async_request",
]


@pytest.mark.parametrize("as_proxy", [False, True])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("late", [False, True])
def test_a_step_that_was_replaced_has_each_request(
    step: str, as_proxy: bool, late: bool, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, _, name = step.partition(".")
    replaced = Proxy(getattr(getattr(httpx, kind), name)) if as_proxy else answered

    async def main() -> list[str]:
        async with Client("r8_any", base_url=origin.url) as client:
            found = []
            if late:
                found.append((await client.predictions.async_create("a" * 64, {})).id)
            monkeypatch.setattr(getattr(httpx, kind), name, replaced)
            found.append((await client.predictions.async_create("a" * 64, {})).id)
            return found

    assert asyncio.run(main()) == (["real", "p1"] if late else ["p1"])
    assert len(origin.received) == late


class Fake(httpx.AsyncBaseTransport):
    """A transport that needs no server."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await answered()  # type: ignore[no-any-return]


class FakeClient(httpx.AsyncClient):
    """A client of somebody's own, as tracers put it in the place of httpx's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"transport": Fake(), "mounts": {}})


@pytest.mark.parametrize(
    ("name", "fake"),
    [
        ("httpx.AsyncClient", FakeClient),
        ("httpx._client.AsyncHTTPTransport", Fake),
        ("httpx._client.AsyncClient._transport_for_url", lambda *_: Fake()),
        ("httpx._client.AsyncClient._init_transport", lambda *_, **__: Fake()),
    ],
)
def test_a_class_or_a_choice_that_was_replaced_has_each_request(
    name: str, fake: Any, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name, fake)
    assert asyncio.run(created(origin.url)) == "p1"
    assert origin.received == []


@pytest.mark.parametrize("using", ["httpx", "httpcore"])
def test_respx_has_each_request(using: str, origin: Any) -> None:
    with respx.mock(using=using) as router:
        route = router.post(f"{origin.url}/v1/predictions").mock(
            return_value=httpx.Response(201, json=MOCKED)
        )
        assert asyncio.run(created(origin.url)) == "p1"
        assert route.called
    assert origin.received == []


def test_what_records_by_httpcore_has_each_request(origin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def recorded(self: Any, request: httpcore.Request) -> httpcore.Response:
        return httpcore.Response(201, content=b'{"id": "p1", "status": "starting"}')

    monkeypatch.setattr(httpcore.AsyncConnectionPool, "handle_async_request", recorded)
    assert asyncio.run(created(origin.url)) == "p1"
    assert origin.received == []


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_the_log_has_a_line_for_each_request(
    level: int, origin: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(level, "httpx"):
        asyncio.run(created(origin.url))
    (line,) = [each.getMessage() for each in caplog.records if each.name == "httpx"]
    assert line == f'HTTP Request: POST {origin.url}/v1/predictions "HTTP/1.1 201 Created"'


@pytest.mark.parametrize(
    "options", [{"event_hooks": {"request": [str]}}, {"auth": ("surfer", "wave")}, {"proxy": "here"}]
)
def test_an_option_that_needs_the_client_has_it(
    options: dict[str, Any], origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    send = httpx.AsyncClient._send_single_request

    async def noted(self: Any, request: Any) -> Any:
        seen.append(request)
        return await send(self, request)

    async def main() -> None:
        given = {**options, **({"proxy": origin.url} if "proxy" in options else {})}
        async with Client("r8_any", base_url=origin.url, **given) as client:
            await client.predictions.async_create("a" * 64, {})

    monkeypatch.setattr("replicate_kit.backends._httpx.async_pools.is_plain", lambda _: True)
    monkeypatch.setattr(httpx.AsyncClient, "_send_single_request", noted)
    asyncio.run(main())
    assert len(seen) == 1
