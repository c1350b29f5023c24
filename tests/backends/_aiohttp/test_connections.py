"""The backend `fast` beside `http`, over real sockets: proxies, TLS, slots among connections, times of each step."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import math
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from replicate_kit import Client, errors
from replicate_kit._runtime.blocking import run
from replicate_kit.config import Config
from replicate_kit.testing.suites import Drive
from replicate_kit.testing.suites._backends import connected
from replicate_kit.transport import Replayable, Request, Response, Timeout
from tests.doors import CHOSEN
from tests.wires import answer, head, wire

pytest.importorskip("aiohttp")

from replicate_kit.backends._aiohttp import connecting, slots
from replicate_kit.backends._aiohttp.exchanges import Exchange
from replicate_kit.backends._aiohttp.pools import Pool
from replicate_kit.backends._aiohttp.settings import Settings
from replicate_kit.backends._aiohttp.slots import Slots

trustme = pytest.importorskip("trustme")

pytestmark = pytest.mark.timeout(60)

PATIENT = Timeout(20.0, 20.0, 20.0, 20.0)


@pytest.fixture(params=["blocking", "asyncio"])
def drive(request: pytest.FixtureRequest) -> Drive:
    return run if request.param == "blocking" else asyncio.run


@pytest.fixture(params=[CHOSEN] if CHOSEN else ["http", "fast"])
def name(request: pytest.FixtureRequest) -> str:
    """Each of the two: they are to be alike."""
    return str(request.param)


async def sent(request: Request, **options: Any) -> Response:
    """Send a request by the backend alone."""
    client = Client("r8_any", **{"backend": "fast", "base_url": "http://unused.test", **options})
    async with connected(client.session.backend, client) as transport:
        return await transport.send(request)


# Proxies.

SAID: dict[str, list[bytes]] = {
    "another status": [answer(b"no", "502 Bad Gateway")],
    "nothing": [],
    "half of a head": [b"HTTP/1.1 200 OK\r\nX-A: b\r\n"],
    "no HTTP": [b"220 smtp.test\r\n\r\n"],
    "a long head": [b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"b" * 200_000],
    "news alone": [b"HTTP/1.1 100 Continue\r\n\r\n"],
    "no TLS behind": [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"],
}


@pytest.mark.parametrize("said", SAID)
def test_a_proxy_that_does_not_connect_has_not_sent_the_request(said: str, drive: Drive) -> None:
    with wire(lambda _: SAID[said]) as proxy:
        request = Request("POST", "https://api.test/v1/x?key=SECRET", json={}, timeout=PATIENT)
        with pytest.raises(errors.ConnectFailed) as caught:
            drive(sent(request, proxy=proxy.url))
    assert "SECRET" not in str(caught.value)
    assert "api.test" in str(caught.value)


@pytest.mark.parametrize("way", ["silent", "trickling"])
def test_a_proxy_has_its_time(way: str, drive: Drive) -> None:
    over = threading.Event()

    def script(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        for _ in itertools.count():
            if over.wait(0.05 if way == "trickling" else 50):
                return
            yield b"X-A: b\r\n"

    with wire(script) as proxy:
        request = Request("POST", "https://api.test/v1/x", json={}, timeout=PATIENT._replace(read=0.2))
        with pytest.raises(errors.ConnectFailed, match="no connection within"):
            drive(sent(request, proxy=proxy.url))
        over.set()


@pytest.mark.parametrize("host", ["api.test", "api.test:8443", "[::1]", "127.0.0.1"])
@pytest.mark.parametrize("user", ["", "me:pass@"])
def test_a_proxy_is_told_no_more_than_it_needs(host: str, user: str, drive: Drive) -> None:
    with wire(lambda _: [answer(b"", "502 Bad Gateway")]) as proxy:
        request = Request(
            "GET", f"https://{host}/v1/x", headers={"Authorization": "Bearer r8"}, timeout=PATIENT
        )
        with pytest.raises(errors.ConnectFailed):
            drive(sent(request, proxy=proxy.url.replace("//", f"//{user}")))
    asked = host if host.endswith(":8443") else f"{host}:443"
    told = [b"CONNECT %s HTTP/1.1" % asked.encode(), b"Host: %s" % asked.encode()]
    told += [b"Proxy-Authorization: Basic bWU6cGFzcw=="] if user else []
    assert proxy.heads[0].split(b"\r\n") == [*told, b"", b""]


# TLS.


@pytest.fixture(scope="module")
def authority() -> Any:
    return trustme.CA()


def serving(authority: Any, *, asks: bool = False) -> ssl.SSLContext:
    """The TLS of a server, which takes a certificate of the client's if it is given one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "api.test").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL if asks else ssl.CERT_NONE
    return context


def trusting(authority: Any) -> ssl.SSLContext:
    """The TLS of a client that trusts an authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


class Behind:
    """A proxy over TLS, which notes the certificate of whoever asks and connects to one port."""

    def __init__(self, tls: ssl.SSLContext, port: int) -> None:
        self._listening, self._tls, self._port = socket.create_server(("127.0.0.1", 0)), tls, port
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        self.certificates = list[Any]()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listening.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._tls.wrap_socket(connection, server_side=True) as near,
            socket.create_connection(("127.0.0.1", self._port)) as far,
        ):
            self.certificates.append(near.getpeercert())
            near.recv(65536)
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=self._pipe, args=(far, near), daemon=True)
            back.start()
            self._pipe(near, far)
            back.join(20)

    def _pipe(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def behind(authority: Any) -> Iterator[Behind]:
    with wire(lambda _: [answer(b"{}")], serving(authority, asks=True)) as server:
        proxy = Behind(serving(authority, asks=True), server.port)
        yield proxy
        proxy.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("verify", ["ours", False])
def test_whom_a_server_is_trusted_by_does_not_vouch_for_a_proxy(
    verify: Any, name: str, behind: Behind, authority: Any, drive: Drive
) -> None:
    request = Request("GET", "https://api.test/v1/x", timeout=PATIENT)
    context = trusting(authority) if verify else False
    with pytest.raises(errors.ConnectFailed, match=r"the proxy.* is not trusted"):
        drive(sent(request, backend=name, proxy=behind.url, verify=context))
    assert behind.certificates == []


def test_a_proxy_has_a_tls_of_its_own_and_does_not_see_the_certificate_of_the_client(
    name: str, behind: Behind, authority: Any, drive: Drive, tmp_path: Any
) -> None:
    own = authority.issue_cert("me.test")
    own.private_key_and_cert_chain_pem.write_to_path(tmp_path / "me.pem")
    proxy = httpx.Proxy(behind.url, ssl_context=trusting(authority))
    options = {"proxy": proxy, "verify": trusting(authority), "cert": str(tmp_path / "me.pem")}
    request = Request("GET", "https://api.test/v1/x", timeout=PATIENT)
    assert drive(sent(request, backend=name, **options)).status_code == 200
    assert behind.certificates == [{}] or behind.certificates == [None]


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("trust_env", [True, False])
def test_the_environment_says_alike_who_is_trusted(
    variable: str,
    trust_env: bool,
    name: str,
    authority: Any,
    drive: Drive,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    if variable == "SSL_CERT_DIR":
        pytest.skip("its files are named by hashes")
    monkeypatch.setenv(variable, str(path))
    with wire(lambda _: [answer(b"{}")], serving(authority)) as server:
        request = Request("GET", f"{server.url}/v1/x", timeout=PATIENT)
        asked = sent(request, backend=name, trust_env=trust_env)
        if variable == "SSL_CERT_FILE" and trust_env:
            assert drive(asked).status_code == 200
            return
        with pytest.raises(errors.ConnectFailed, match="is not trusted"):
            drive(asked)


@pytest.mark.parametrize("has_one", [True, False])
def test_a_certificate_of_the_client_is_shown_to_the_server_that_asks(
    has_one: bool, name: str, authority: Any, drive: Drive, tmp_path: Any
) -> None:
    context = serving(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("me.test").private_key_and_cert_chain_pem.write_to_path(tmp_path / "me.pem")
    with wire(lambda _: [answer(b"{}")], context) as server:
        request = Request("GET", f"{server.url}/v1/x", timeout=PATIENT)
        options = {"cert": str(tmp_path / "me.pem")} if has_one else {}
        asked = sent(request, backend=name, verify=trusting(authority), **options)
        if has_one:
            assert drive(asked).status_code == 200
            return
        with pytest.raises(errors.TransportError):  # some learn why, others that it was closed
            drive(asked)


@pytest.mark.parametrize("trust_env", [True, False])
@pytest.mark.parametrize("bypassed", ["", "127.0.0.1", "other.test"])
def test_the_environment_says_alike_which_proxy_is_asked(
    trust_env: bool, bypassed: str, name: str, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wire(lambda _: [answer(b"{}")]) as proxy, wire(lambda _: [answer(b"{}")]) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", bypassed)
        request = Request("GET", f"{server.url}/v1/a%2Fb?x=1&", timeout=PATIENT)
        drive(sent(request, backend=name, base_url=server.url, trust_env=trust_env))
    through = trust_env and bypassed != "127.0.0.1"
    assert (len(proxy.heads), len(server.heads)) == (int(through), int(not through))
    target = request.url.target if not through else f"{server.url}{request.url.target}"
    assert (proxy if through else server).heads[0].startswith(b"GET %s HTTP/1.1\r\n" % target.encode())


# The time of each step.


def test_the_look_for_an_address_has_the_time_of_connecting(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, known = threading.Event(), socket.getaddrinfo

    def slowly(host: Any, *args: Any, **options: Any) -> Any:
        if host == "slow.test":
            found.wait(50)
        return known("127.0.0.1", *args, **options)

    async def ask() -> None:
        request = Request("POST", "http://slow.test:9/v1/x", json={}, timeout=Timeout(0.2))
        try:
            await sent(request)
        finally:
            found.set()

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    with pytest.raises(
        errors.ConnectFailed, match=r"slow\.test:9 cannot be reached \(no connection within 0\.2 s"
    ):
        drive(ask())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_handshake_has_the_time_of_connecting(name: str, drive: Drive) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/v1/x"
        request = Request("POST", url, json={}, timeout=Timeout(connect=0.2))
        with pytest.raises(errors.ConnectFailed, match="cannot be reached"):
            drive(sent(request, backend=name))


# Slots among connections.


def few(monkeypatch: pytest.MonkeyPatch, most: float) -> Pool:
    """A pool of few connections."""
    monkeypatch.setattr("replicate_kit.backends._aiohttp.pools.most_connections", lambda: most)
    return Pool(Settings.of(Config(), blocking=False))


@pytest.fixture
def origin(serve: Any) -> Any:
    return serve(lambda _: (200, {}, b"x" * 100_000))


@pytest.mark.parametrize("first", ["a file", "an answer"])
@pytest.mark.parametrize("second", ["a file", "an answer"])
def test_a_place_is_taken_until_the_body_was_read_whatever_it_is(
    first: str, second: str, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "check_address", lambda *_: None)

    def asked(kind: str, pool: float) -> Request:
        request = Request("GET", f"{origin.url}/v1/x", timeout=PATIENT._replace(pool=pool))
        request.guarded = kind == "a file"
        return request

    async def main() -> None:
        pool = few(monkeypatch, 1.5)
        held = await pool.send(asked(first, 20), stream=True)
        with pytest.raises(errors.ConnectFailed, match="no connection was free in time") as caught:
            await pool.send(asked(second, 0.05))
        assert caught.value.temporary
        waiting = asyncio.create_task(pool.send(asked(second, 20)))
        await asyncio.sleep(0.05)
        assert (pool._slots.taken, waiting.done()) == (1, False)
        await held.aread()
        assert (await waiting).status_code == 200
        assert pool._slots.taken == 0
        await pool.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(("deadline", "served"), [(None, 4), (0.9, 2)])
def test_one_waits_as_long_as_others_are_served_until_its_deadline(
    deadline: float | None, served: int, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> list[Any]:
        pool, began = few(monkeypatch, 1), time.monotonic()

        async def ask() -> None:
            request = Request("GET", f"{origin.url}/v1/x", timeout=PATIENT._replace(pool=1.2))
            request.deadline = None if deadline is None else began + deadline
            response = await pool.send(request, stream=True)
            await asyncio.sleep(0.6)
            await response.aread()

        ended = await asyncio.gather(*(ask() for _ in range(4)), return_exceptions=True)
        assert pool._slots.taken == 0
        await pool.aclose()
        return ended

    kinds = [type(each) for each in asyncio.run(main())]
    assert kinds == [type(None)] * served + [errors.ConnectFailed] * (4 - served)


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_who_does_not_wait_any_more_takes_no_slot(
    gone: int, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        pool, request = few(monkeypatch, 1), Request("GET", f"{origin.url}/v1/x", timeout=PATIENT)
        held = await pool.send(request, stream=True)
        waiting = [asyncio.create_task(pool.send(request)) for _ in range(3)]
        await asyncio.sleep(0.05)
        waiting[1].cancel()  # as it waits
        await held.aread()
        waiting[gone].cancel()  # the first one may have been given the slot, and not know of it
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        left = {1, gone}
        assert [isinstance(each, asyncio.CancelledError) for each in ended] == [
            each in left for each in range(3)
        ]
        assert pool._slots.taken == 0
        await pool.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(("most", "open_at_once"), [(math.inf, 6), (2.5, 2), (0.5, 1)])
def test_as_many_connections_are_open_as_files_allow(
    most: float, open_at_once: int, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        pool, request = few(monkeypatch, most), Request("GET", f"{origin.url}/v1/x", timeout=PATIENT)
        asked = [asyncio.create_task(pool.send(request, stream=True)) for _ in range(6)]
        for number in range(open_at_once):
            await asked[number]
        await asyncio.sleep(0.05)
        assert [each.done() for each in asked] == [number < open_at_once for number in range(6)]
        for each in asked:
            await (await each).aread()
        await pool.aclose()

    asyncio.run(main())


ENDS: dict[str, Callable[[Response], Any]] = {
    "read": lambda response: response.aread(),
    "closed": lambda response: response.aclose(),
    "dropped": lambda response: asyncio.sleep(0),
}


@pytest.mark.filterwarnings("ignore:Unclosed response:ResourceWarning")
@pytest.mark.parametrize("way", ENDS)
def test_a_place_is_given_back_in_each_way_that_an_answer_ends(
    way: str, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        pool = few(monkeypatch, 2)
        for _ in range(6):
            request = Request("GET", f"{origin.url}/v1/x", timeout=PATIENT)
            response = await pool.send(request, stream=True)
            await ENDS[way](response)
            del response
            gc.collect()
        await asyncio.sleep(0.05)
        assert pool._slots.taken == 0
        await pool.aclose()

    asyncio.run(main())


def test_connections_that_are_kept_are_closed_where_others_need_their_files(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    origins = [serve(lambda _: (200, {}, b"{}")) for _ in range(3)]

    async def main() -> None:
        pool = few(monkeypatch, 4)
        for each in origins:
            ask = (pool.send(Request("GET", f"{each.url}/v1/x", timeout=PATIENT)) for _ in range(12))
            assert {each.status_code for each in await asyncio.gather(*ask)} == {200}
            assert len(pool._slots._kept) <= 4
        await pool.aclose()

    asyncio.run(main())


# What is sent.


@pytest.mark.parametrize("body", [b"x", b"x" * 2**20], ids=["small", "large"])
def test_nobody_waits_for_leave_to_send(body: bytes, name: str, origin: Any, drive: Drive) -> None:
    request = Request("PUT", f"{origin.url}/v1/x", body=body, headers={"Expect": "100-continue"})
    assert drive(sent(request, backend=name)).status_code == 200
    assert [each.body for each in origin.received] == [body]


@pytest.mark.parametrize("method", ["", "GE T", "GET\r\nX-Y: z", "GÉT"])
def test_what_is_no_method_is_not_sent(method: str, origin: Any, drive: Drive) -> None:
    with pytest.raises(errors.TransportError, match="no method"):
        drive(sent(Request(method, f"{origin.url}/v1/x")))
    assert origin.received == []


@pytest.mark.parametrize("where", ["name", "value"])
@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nX-Y: z", "a\0b", "a\x7fb", "é"])
def test_what_no_header_can_hold_is_not_sent(text: str, where: str, origin: Any, drive: Drive) -> None:
    headers = {text: "x"} if where == "name" else {"X-Said": text}
    with pytest.raises(errors.TransportError, match=r"its header|no name of a header"):
        drive(sent(Request("GET", f"{origin.url}/v1/x", headers=headers)))
    assert origin.received == []


@pytest.mark.parametrize("written", ["", "X A", " X", "\tX", "X: y, Z", "X:"])
def test_what_is_no_name_of_a_header_is_not_sent(written: str, origin: Any, drive: Drive) -> None:
    with pytest.raises(errors.TransportError, match="no name of a header"):
        drive(sent(Request("GET", f"{origin.url}/v1/x", headers={written: "1"})))
    assert origin.received == []


# Where the headers of a request tell another length than that of its body, a server takes the rest for a request.
INNER = b"GET /v1/other HTTP/1.1\r\nHost: x\r\n\r\n"
BODIES: dict[str, Callable[[], Any]] = {
    "bytes": lambda: INNER,
    "large bytes": lambda: INNER * 2000,
    "chunks": lambda: Replayable(lambda: (INNER, INNER)),
    "no bytes": lambda: b"",
    "none": lambda: None,
}
FRAMINGS = {
    "none": [],
    "in chunks": [("Transfer-Encoding", "chunked")],
    "otherwise": [("Transfer-Encoding", "identity")],
    "packed": [("Transfer-Encoding", "gzip")],
    "packed in chunks": [("Transfer-Encoding", "gzip, chunked")],
    "both": [("Content-Length", "1"), ("Transfer-Encoding", "chunked")],
    "too short": [("Content-Length", "0")],
    "too long": [("Content-Length", "999999")],
    "two": [("Content-Length", "0"), ("Content-Length", str(len(INNER)))],
    "signed": [("Content-Length", f"+{len(INNER)}")],
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_body_is_never_taken_for_another_request(body: str, framing: str, serve: Any, drive: Drive) -> None:
    def reply(received: Any) -> Any:
        return 200, {}, received.path.encode()

    origin = serve(reply)

    async def main() -> list[bytes]:
        pool = Pool(Settings.of(Config(), blocking=False))
        request = Request("POST", f"{origin.url}/v1/x", body=BODIES[body](), timeout=Timeout(3, 3, 3, 3))
        for name in ("content-length", "transfer-encoding"):
            request.headers.pop(name, None)
        for name, value in FRAMINGS[framing]:
            request.headers.add(name, value)
        answers = []
        with contextlib.suppress(errors.TransportError):
            answers.append((await pool.send(request)).content)
        answers.append((await pool.send(Request("GET", f"{origin.url}/v1/second", timeout=PATIENT))).content)
        await pool.aclose()
        return answers

    *first, second = asyncio.run(main())
    assert first in ([b"/v1/x"], [])
    assert second == b"/v1/second"
    assert [each.path for each in origin.received if each.path == "/v1/other"] == []
    if framing in ("none", "in chunks", "both"):  # what fits any body
        assert first
    if framing in ("otherwise", "packed", "packed in chunks"):  # nothing here is sent so
        assert not first


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_an_address_is_asked_as_it_stands(host: str, name: str, drive: Drive) -> None:
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server(("::1" if ":" in host else "127.0.0.1", 0), family=kind)
    except OSError:
        pytest.skip("this machine has no such address")

    def serve() -> None:
        with listening.accept()[0] as connection:
            heads.append(connection.recv(65536))
            connection.sendall(answer(b"{}"))
            connection.recv(1)

    heads: list[bytes] = []
    with listening:
        threading.Thread(target=serve, daemon=True).start()
        written = f"[{host}]" if ":" in host else host
        url = f"http://{written}:{listening.getsockname()[1]}/v1/x"
        assert drive(sent(Request("GET", url, timeout=PATIENT), backend=name)).status_code == 200
    assert f"\r\nHost: {url[7:-5]}\r\n".encode() in heads[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254"])
def test_an_address_that_stands_there_is_checked_as_well(host: str, name: str, drive: Drive) -> None:
    request = Request("GET", f"http://{host}:9/latest", timeout=PATIENT._replace(connect=2))
    request.guarded = True
    with pytest.raises((errors.FileError, errors.ConnectFailed)) as caught:
        drive(sent(request, backend=name))
    assert isinstance(caught.value, errors.FileError) or name == "http"  # which connects before it looks


@pytest.mark.parametrize("status", ["200 OK", "413 Content Too Large"])
def test_an_answer_that_is_whole_before_the_end_of_an_upload_is_given(status: str, drive: Drive) -> None:
    over = threading.Event()

    def script(_: bytes) -> Iterator[bytes]:
        yield answer(b"{}", status)
        over.wait(50)

    with wire(script) as server:
        request = Request("PUT", f"{server.url}/v1/x", body=b"x" * 2**26, timeout=PATIENT)
        assert drive(sent(request)).status_code == int(status[:3])
        over.set()


def test_news_of_an_answer_leaves_an_upload_its_time() -> None:
    told = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head("102 Processing", connection="keep-alive"))
        told.set()
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(answer(b"{}"))
        writer.close()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"
        await told.wait()
        await asyncio.sleep(2.5)  # longer than is waited for the next part of an answer
        yield b"y"

    async def upload() -> Response:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x"
            timeout = PATIENT._replace(read=2.0)
            return await sent(Request("PUT", url, body=Replayable(chunks), timeout=timeout))

    assert asyncio.run(upload()).status_code == 200


# What ends in the middle.


def test_a_source_that_is_cancelled_ends_the_request(drive: Drive, origin: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"
        raise asyncio.CancelledError

    with pytest.raises(errors.TransportError, match="source of the body was cancelled"):
        asyncio.run(sent(Request("PUT", f"{origin.url}/v1/x", body=Replayable(chunks), timeout=PATIENT)))


def test_a_pool_that_is_closed_while_a_request_connects_keeps_nothing(
    origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        pool = Pool(Settings.of(Config(), blocking=False))
        opening, goes_on = asyncio.Event(), asyncio.Event()

        async def slowly(*args: Any) -> Any:
            connection = await connecting.opened(*args)
            opening.set()
            await goes_on.wait()
            return connection

        monkeypatch.setattr("replicate_kit.backends._aiohttp.pools.opened", slowly)
        asking = asyncio.create_task(pool.send(Request("GET", f"{origin.url}/v1/x", timeout=PATIENT)))
        await opening.wait()
        await pool.aclose()
        goes_on.set()
        with pytest.raises(errors.ConnectFailed, match="the client was closed meanwhile"):
            await asking
        assert (pool._slots.taken, len(pool._slots._kept), pool._slots._tidying) == (0, 0, None)

    asyncio.run(main())
    assert origin.received == []


def test_time_that_is_over_in_the_moment_when_there_is_room_is_told() -> None:
    seen: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: seen.append(context))
        exchange = Exchange(Request("PUT", "http://a.test", timeout=Timeout(1, 1, 0.01, 1)), None, Slots(1))
        async with exchange:
            exchange.write()
            loop.call_later(0.02, exchange.write)
            time.sleep(0.05)  # noqa: ASYNC251 - a loop that is busy sees both in one go
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert seen == []


# What is kept.


def test_a_connection_that_nobody_uses_is_closed_after_a_while(
    origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "_KEPT", 0.05)

    async def main() -> None:
        pool = few(monkeypatch, 8)
        await asyncio.gather(
            *(pool.send(Request("GET", f"{origin.url}/v1/x", timeout=PATIENT)) for _ in range(4))
        )
        kept = list(pool._slots._kept)
        while pool._slots._kept:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)  # the loop closes them
        assert kept
        assert not any(each.is_connected() for each in kept)
        assert not pool._slots._by_route

    asyncio.run(main())


def test_what_is_asked_over_and_over_has_one_connection_for_each_way(origin: Any) -> None:
    other = origin.url.replace("127.0.0.1", "localhost")

    async def main() -> None:
        pool = Pool(Settings.of(Config(), blocking=False))
        for _ in range(3):
            for url in (origin.url, other):
                await pool.send(Request("GET", f"{url}/v1/x", timeout=PATIENT))
        assert len(pool._slots._kept) == len(pool._slots._by_route) == 2
        assert pool._slots.taken == 0
        await pool.aclose()
        assert not pool._slots._kept

    asyncio.run(main())
