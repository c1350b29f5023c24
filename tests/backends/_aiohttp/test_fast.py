"""What is the matter of the backend over aiohttp alone; what backends have in common is tested with the others."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import threading
import time
from textwrap import dedent
from typing import Any

import httpx
import pytest

from replicate_kit import Client, errors
from replicate_kit._runtime.blocking import run
from replicate_kit.config import Config
from replicate_kit.testing.suites import Drive
from replicate_kit.transport import URL, Request, Timeout
from tests.waiting import interrupt_when, until
from tests.wires import answer, wire

pytest.importorskip("aiohttp")

from replicate_kit.backends._aiohttp.pools import Pool
from replicate_kit.backends._aiohttp.routes import Routes
from replicate_kit.backends._aiohttp.settings import Settings
from replicate_kit.backends._options.libraries import HTTPX
from replicate_kit.backends._options.proxies import proxies
from replicate_kit.backends.fast import FastBackend

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def origin(serve: Any) -> Any:
    return serve(lambda _: (200, JSON, b'{"id": "p1", "status": "succeeded"}'))


@pytest.fixture(params=["blocking", "asyncio"])
def drive(request: pytest.FixtureRequest) -> Drive:
    return run if request.param == "blocking" else asyncio.run


# What it takes.


@pytest.mark.parametrize(
    "option",
    [
        "auth",
        "event_hooks",
        "follow_redirects",
        "http1",
        "http2",
        "limits",
        "max_redirects",
        "mounts",
        "transport",
    ],
)
def test_an_option_of_httpx_that_it_has_not_is_refused_by_name(option: str) -> None:
    with pytest.raises(errors.ConfigError, match=rf"^{option}= .*Client\(backend='http'\)"):
        Client("r8_any", backend="fast", **{option: None})


def test_nothing_of_aiohttp_is_loaded_before_it_sends() -> None:
    code = "import sys, replicate_kit; replicate_kit.Client('r8_any', backend='fast'); print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("option", ["", ", proxy='http://127.0.0.1:9'"], ids=["straight", "by a proxy"])
def test_httpx_is_loaded_for_a_proxy_alone(option: str) -> None:
    code = f"""
        import sys, replicate_kit
        client = replicate_kit.Client("r8_any", backend="fast", base_url="http://127.0.0.1:9", trust_env=False{option})
        try:
            client.models.get("acme/painter")
        except replicate_kit.errors.ConnectFailed:
            print("httpx" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(bool(option))


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicate_kit.backends.fast.find_spec", lambda name: None)
    with pytest.raises(errors.MissingExtraError, match=r'pip install "replicate-kit\[fast\]"'):
        Client("r8_any", backend="fast")


def test_trio_is_told_before_anything_is_sent(origin: Any) -> None:
    trio = pytest.importorskip("trio")
    client = Client("r8_any", backend="fast", base_url=origin.url)
    with pytest.raises(errors.ConfigError, match=r"not in trio\. Choose Client\(backend='http'\)"):
        trio.run(client.predictions.async_get, "p1")
    assert origin.received == []


def test_a_header_that_would_be_written_otherwise_is_not_sent(origin: Any, drive: Drive) -> None:
    client = Client("r8_any", backend="fast", base_url=origin.url, headers={"X-Name": b"caf\xe9"})
    with pytest.raises(errors.TransportError, match="'X-Name' has a character that is not ASCII") as caught:
        drive(client.async_request("GET", "account"))
    assert "caf" not in str(caught.value)
    assert origin.received == []


# Proxies.

PATTERNS = (
    *("http://", "https://", "all://", "all://*example.com", "all://*.example.com", "all://example.com"),
    *("all://localhost", "all://127.0.0.1", "all://[::1]", "http://example.com:8080", "https://example.com"),
    *("all://example.com:80", "all://*"),
)
URLS = (
    *("http://example.com/", "https://example.com/", "https://a.example.com/x", "http://example.com:8080/"),
    *("http://notexample.com/", "http://127.0.0.1:8000/", "http://[::1]:8000/", "http://localhost/"),
)


@pytest.mark.parametrize("chosen", list(itertools.combinations(PATTERNS, 2)), ids=" ".join)
def test_a_proxy_is_chosen_as_httpx_chooses_it(chosen: tuple[str, ...]) -> None:
    proxy = next(iter(proxies({"proxy": "http://proxy.test"}, HTTPX, "").values()))
    routes = Routes({chosen[0]: proxy, chosen[1]: None})
    through, straight = (httpx.MockTransport(lambda _, n=n: httpx.Response(n)) for n in (201, 202))
    client = httpx.Client(transport=straight, mounts={chosen[0]: through, chosen[1]: straight})
    for url in URLS:
        assert (routes.of(URL(url)) is proxy) is (client.get(url).status_code == 201), url


def test_a_proxy_is_told_who_asks_and_the_server_is_not(serve: Any, drive: Drive) -> None:
    proxy = serve(lambda _: (200, JSON, b'{"id": "p1", "status": "succeeded"}'))
    client = Client(
        "r8_any", backend="fast", base_url="http://api.test", proxy=proxy.url.replace("//", "//me:pass@")
    )
    drive(client.predictions.async_get("p1"))
    (received,) = proxy.received
    assert received.path == "http://api.test/v1/predictions/p1"
    assert received.headers["proxy-authorization"] == "Basic bWU6cGFzcw=="

    with wire(lambda _: [answer(b"", "502 Bad Gateway")]) as tunnel:
        client = Client("r8_any", backend="fast", proxy=tunnel.url.replace("//", "//me:pass@"), retries=0)
        with pytest.raises(errors.ConnectFailed):
            drive(client.predictions.async_get("p1"))
    assert b"Proxy-Authorization: Basic bWU6cGFzcw==" in tunnel.heads[0]
    assert b"r8_any" not in tunnel.heads[0]


# Connections.


def few(monkeypatch: pytest.MonkeyPatch, most: float) -> Pool:
    """A pool of few connections."""
    monkeypatch.setattr("replicate_kit.backends._aiohttp.pools.most_connections", lambda: most)
    return Pool(Settings.of(Config(), blocking=False))


@pytest.mark.parametrize("most", [1, 3])
def test_requests_that_were_cancelled_leave_their_connections(
    most: int, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        pool = few(monkeypatch, most)

        async def ask() -> int:
            request = Request("POST", f"{origin.url}/v1/x", json={}, timeout=Timeout(5, 5, 5, 5))
            return (await pool.send(request)).status_code

        for each in range(60):
            tasks = [asyncio.create_task(ask()) for _ in range(4)]
            await asyncio.sleep(0.0002 * each)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert await asyncio.gather(*(ask() for _ in range(20))) == [200] * 20
        await pool.aclose()

    asyncio.run(main())


def test_many_requests_have_a_connection_each(serve: Any) -> None:
    together = threading.Barrier(150)

    def meet(_: Any) -> Any:
        together.wait(20)
        return 200, JSON, b"{}"

    origin = serve(meet)

    async def main() -> None:
        async with Client("r8_any", backend="fast", base_url=origin.url) as client:
            await asyncio.gather(*(client.async_request("GET", "x") for _ in range(150)))

    asyncio.run(main())


# Blocking code.


def test_ctrl_c_ends_a_request_at_once_and_leaves_the_client_usable(serve: Any, interruptible: None) -> None:
    asked, over, in_time = threading.Event(), threading.Event(), list[bool]()

    def reply(received: Any) -> Any:
        if received.path.endswith("silent"):
            asked.set()
            in_time.append(over.wait(20))
        return 200, JSON, b'{"id": "p1"}'

    with Client("r8_any", backend="fast", base_url=serve(reply).url, retries=0) as client:
        interrupt_when(asked.is_set)
        with pytest.raises(KeyboardInterrupt):
            client.request("GET", "silent")
        over.set()
        assert client.predictions.get("p1").id == "p1"
    until(lambda: in_time)
    assert in_time == [True]


def test_a_body_is_read_on_the_callers_thread(origin: Any) -> None:
    threads: list[int] = []

    class Source:
        def read(self, size: int = -1) -> bytes:
            threads.append(threading.get_ident())
            return b"x" if len(threads) < 3 else b""

    with Client("r8_any", backend="fast", base_url=origin.url, retries=0) as client:
        client.request("POST", "files", files={"content": ("a", Source())})
    assert set(threads) == {threading.get_ident()}
    assert b"\r\n\r\nxx\r\n" in origin.received[0].body


def test_what_the_source_of_a_body_raises_comes_out(origin: Any, drive: Drive) -> None:
    class Source:
        def read(self, size: int = -1) -> bytes:
            raise PermissionError(13, "no")

    client = Client("r8_any", backend="fast", base_url=origin.url, retries=0)
    with pytest.raises((PermissionError, errors.ReplicateError)) as caught:
        drive(client.async_request("PUT", "files", files={"content": ("a", Source())}))
    assert isinstance(caught.value, PermissionError) or isinstance(caught.value.__cause__, PermissionError)


def test_who_waits_is_told_that_the_client_was_closed() -> None:
    over, found = threading.Event(), list[BaseException]()
    with wire(lambda _: [b"."] * over.wait(20)) as silent:
        client = Client("r8_any", backend="fast", base_url=silent.url, retries=0)

        def ask() -> None:
            try:
                client.request("GET", "x")
            except BaseException as error:
                found.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        while not silent.heads:
            time.sleep(0.01)
        client.close()
        asking.join(20)
        over.set()
    assert isinstance(found[0], errors.ConnectionLost)


def test_a_client_that_is_closed_leaves_no_thread(origin: Any) -> None:
    before = threading.active_count()
    with Client("r8_any", backend="fast", base_url=origin.url) as client:
        client.predictions.get("p1")
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_it_is_a_backend_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "fast")
    assert isinstance(Client("r8_any").session.backend, FastBackend)
