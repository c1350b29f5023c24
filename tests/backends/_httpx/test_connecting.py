"""The address that a file is fetched from is checked where the connection is made, before a byte is sent."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import httpx
import pytest

from replicate_kit import Client, FileOutput
from replicate_kit.errors import ConnectFailed, FileError
from replicate_kit.testing.suites import Drive
from tests.wires import Wire, answer, chunked, head, wire

pytestmark = pytest.mark.usefixtures("each_library")

trustme = pytest.importorskip("trustme")

Resolve = Callable[..., None]


@pytest.fixture(scope="module")
def authority() -> Any:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = ("files.test", "api.test", "other.test", "stream.test", "127.0.0.1")
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Give names addresses; each look-up takes the next of them, and the last again and again."""
    real, known = socket.getaddrinfo, dict[str, list[Any]]()

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in known:
            return real(host, *args, **options)
        answers = known[name]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [each for address in found.split() for each in real(address, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return lambda name, *answers: known.update({name: list(answers)})


@pytest.fixture
def server(tls: ssl.SSLContext) -> Iterator[Wire]:
    with wire(lambda _: [answer(b"secret of this network")], tls) as server:
        yield server


@pytest.fixture
def connect_to(authority: Any) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(**options: Any) -> Client:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        settings = {"verify": context, "base_url": "https://api.test", "timeout": 5, "retries": 0}
        clients.append(Client("r8_secret", **(settings | options)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.mark.parametrize("name", ["files.test", "127.0.0.1.nip.io", "metadata.example.com"])
@pytest.mark.parametrize("way", ["read", "save", "range"])
def test_a_name_that_leads_into_the_network_is_not_asked(
    name: str, way: str, server: Wire, resolve: Resolve, connect_to: Any, drive: Drive, tmp_path: Any
) -> None:
    resolve(name, "127.0.0.1")
    file = FileOutput(f"https://{name}:{server.port}/latest", connect_to().session)
    ways = {
        "read": lambda: file.async_read(),
        "save": lambda: file.async_save(tmp_path / "x"),
        "range": lambda: file.async_read_range(0, 4),
    }
    with pytest.raises(FileError, match=rf"{name}.*leads to 127\.0\.0\.1.*trusted_hosts"):
        drive(ways[way]())
    assert server.heads == []
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_leads_elsewhere_when_it_is_asked_again_is_not_trusted_for_what_it_led_to(
    server: Wire, resolve: Resolve, connect_to: Any, drive: Drive
) -> None:
    resolve("files.test", "93.184.216.34", "127.0.0.1")
    socket.getaddrinfo("files.test", 443)  # whoever looks first sees a public address
    with pytest.raises(FileError, match=r"leads to 127\.0\.0\.1"):
        drive(FileOutput(f"https://files.test:{server.port}/x", connect_to().session).async_read())
    assert server.heads == []


def test_of_several_addresses_the_one_that_is_connected_to_counts(
    server: Wire, resolve: Resolve, connect_to: Any, drive: Drive
) -> None:
    resolve("files.test", "127.0.0.2 127.0.0.1")
    with pytest.raises(FileError, match=r"leads to 127\.0\.0\."):
        drive(FileOutput(f"https://files.test:{server.port}/x", connect_to().session).async_read())
    assert server.heads == []


@pytest.mark.parametrize("trusted", ["files.test", "*.test", "https://files.test:{port}", "FILES.test"])
def test_a_trusted_host_is_asked_wherever_it_is(
    trusted: str, server: Wire, resolve: Resolve, connect_to: Any, drive: Drive
) -> None:
    resolve("files.test", "127.0.0.1")
    client = connect_to(trusted_hosts=[trusted.format(port=server.port)])
    file = FileOutput(f"https://files.test:{server.port}/x", client.session)
    assert drive(file.async_read()) == b"secret of this network"
    assert b"r8_secret" not in server.heads[0]


def test_the_literal_address_of_a_trusted_host_is_asked(server: Wire, connect_to: Any, drive: Drive) -> None:
    client = connect_to(trusted_hosts=["127.0.0.1"])
    assert drive(FileOutput(f"{server.url}/x", client.session).async_read()) == b"secret of this network"


def test_an_address_on_the_internet_is_asked_by_its_name_and_over_tls(
    server: Wire, resolve: Resolve, connect_to: Any, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[tuple[str, str]] = []
    checks = ["_httpx", *(["_aiohttp"] if find_spec("aiohttp") else [])]
    for each in (f"replicate_kit.backends.{room}.connecting.check_address" for room in checks):
        monkeypatch.setattr(each, lambda host, address: checked.append((host, address)))
    resolve("files.test", "127.0.0.1")
    file = FileOutput(f"https://files.test:{server.port}/x", connect_to().session)
    assert drive(file.async_read()) == b"secret of this network"
    assert drive(file.async_read()) == b"secret of this network"
    assert set(checked) == {("files.test", "127.0.0.1")}
    assert f"Host: files.test:{server.port}".encode() in server.heads[0]


def test_a_redirect_is_checked_as_well(
    server: Wire, resolve: Resolve, connect_to: Any, drive: Drive, tls: ssl.SSLContext
) -> None:
    resolve("files.test", "127.0.0.1")
    resolve("other.test", "127.0.0.1")
    away = head("302 Found", location=f"https://other.test:{server.port}/x", content_length="0")
    with wire(lambda _: [away], tls) as first:
        client = connect_to(trusted_hosts=["files.test"])
        with pytest.raises(FileError, match=r"'other\.test'.*leads to"):
            drive(FileOutput(f"https://files.test:{first.port}/x", client.session).async_read())
    assert server.heads == []


def test_a_connection_that_was_opened_without_the_check_is_not_used(
    resolve: Resolve, connect_to: Any, drive: Drive, tls: ssl.SSLContext
) -> None:
    resolve("stream.test", "127.0.0.1")
    with wire(lambda _: [answer(b"x")], tls) as server:
        client = connect_to()
        url = f"https://stream.test:{server.port}/x"

        async def both() -> None:
            response = await client.session.open(url)
            await response.aread()
            await response.aclose()
            await FileOutput(url, client.session).async_read()

        with pytest.raises(FileError, match="leads to"):
            drive(both())
    assert len(server.heads) == 1


def test_the_api_and_its_files_may_be_in_the_network(
    resolve: Resolve, connect_to: Any, drive: Drive, tls: ssl.SSLContext
) -> None:
    resolve("api.test", "127.0.0.1")
    with wire(lambda _: [answer(b"{}")], tls) as server:
        client = connect_to(base_url=f"https://api.test:{server.port}")
        drive(client.async_request("GET", "account"))
        assert (
            drive(FileOutput(f"https://api.test:{server.port}/v1/files/f1", client.session).async_read())
            == b"{}"
        )
    assert all(b"r8_secret" in each for each in server.heads)


def test_behind_a_proxy_its_own_address_is_not_that_of_the_host(
    connect_to: Any, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wire(lambda _: [answer(b"", "502 Bad Gateway")]) as proxy:
        client = connect_to(proxy=proxy.url)
        with pytest.raises(FileError, match="could not connect"):
            drive(FileOutput("https://files.test/x", client.session).async_read())
        with pytest.raises(FileError, match="private network"):
            drive(FileOutput("https://10.0.0.1/x", client.session).async_read())
    assert [each.split(b"\r\n")[0] for each in proxy.heads] == [b"CONNECT files.test:443 HTTP/1.1"]


class Passing:
    """A transport of one's own, which passes everything on."""

    def __init__(self, verify: Any, library: Any) -> None:
        self._blocking = library.HTTPTransport(verify=verify)
        self._verify, self._library = verify, library

    def handle_request(self, request: Any) -> Any:
        return self._blocking.handle_request(request)

    async def handle_async_request(self, request: Any) -> Any:
        async with self._library.AsyncHTTPTransport(verify=self._verify) as transport:
            return await transport.handle_async_request(request)

    def close(self) -> None:
        self._blocking.close()


def test_a_transport_of_ones_own_that_passes_on_what_it_is_asked_is_checked(
    server: Wire, resolve: Resolve, connect_to: Any, drive: Drive, library: Any
) -> None:
    resolve("files.test", "127.0.0.1")
    client = connect_to(transport=Passing(ssl.create_default_context(), library))
    with pytest.raises(FileError, match="leads to"):
        drive(FileOutput(f"https://files.test:{server.port}/x", client.session).async_read())
    assert server.heads == []


@pytest.mark.usefixtures("httpx_alone")
def test_a_request_does_not_lead_to_itself_once_it_is_answered(
    resolve: Resolve, connect_to: Any, drive: Drive, server: Wire
) -> None:
    resolve("api.test", "127.0.0.1")
    sent: list[httpx.Request] = []
    hooks = {"request": [sent.append]}
    client = connect_to(base_url=f"https://api.test:{server.port}", event_hooks=hooks)
    drive(client.async_request("GET", "account"))
    (request,) = sent
    assert "trace" not in request.extensions


def test_a_connection_that_is_refused_is_closed(
    server: Wire, resolve: Resolve, connect_to: Any, drive: Drive
) -> None:
    resolve("files.test", "127.0.0.1")
    client = connect_to()
    for _ in range(
        20
    ):  # none is left in the pool, nor open: an open one would be a warning, which is an error here
        with pytest.raises(FileError, match="leads to"):
            drive(FileOutput(f"https://files.test:{server.port}/x", client.session).async_read())


@pytest.mark.usefixtures("httpx_alone")  # the other looks at the address first
def test_a_host_that_is_not_there_is_still_said_to_be_so(
    connect_to: Any, drive: Drive, resolve: Resolve
) -> None:
    resolve("files.test", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(FileError, match="could not connect") as caught:
        drive(FileOutput(f"https://files.test:{port}/x", connect_to().session).async_read())
    assert isinstance(caught.value.__cause__, ConnectFailed)


@pytest.mark.timeout(30)
def test_an_encrypted_answer_whose_headers_never_end_is_given_up(
    resolve: Resolve, connect_to: Any, drive: Drive, tls: ssl.SSLContext
) -> None:
    import itertools
    import time

    def script(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        for _ in itertools.count():
            time.sleep(0.02)
            yield b"X-A: b\r\n"

    resolve("api.test", "127.0.0.1")
    from replicate_kit.errors import RequestTimeout

    with wire(script, tls) as server:
        client = connect_to(base_url=f"https://api.test:{server.port}", timeout=0.2, retries=5)
        with pytest.raises(RequestTimeout, match="headers of the answer did not come to an end"):
            drive(client.async_request("GET", "account"))
    assert server.accepted == 1


def test_an_answer_in_chunks_is_read_over_a_checked_connection(
    resolve: Resolve, connect_to: Any, drive: Drive, tls: ssl.SSLContext
) -> None:
    resolve("api.test", "127.0.0.1")
    with wire(lambda _: chunked([b"{", b"}"]), tls) as server:
        client = connect_to(base_url=f"https://api.test:{server.port}")
        assert drive(client.async_request("GET", "account")).json() == {}
