"""A connection that breaks in the TLS handshake is made again; what can never agree is told at once."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client, errors
from replicate_kit.testing.suites import Drive
from tests.wires import answer, wire

pytestmark = pytest.mark.usefixtures("each_library")

trustme = pytest.importorskip("trustme")

Break = Callable[[socket.socket], None]


def sends(data: bytes) -> Break:
    return lambda connection: connection.sendall(data)


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def stalls(connection: socket.socket) -> None:
    connection.recv(1)


BREAKS: dict[str, Break] = {
    "end": sends(b""),
    "half of a greeting": sends(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + b"\x01" * 20),
    "reset": resets,
    "nothing": stalls,
    "close_notify": sends(b"\x15\x03\x03\x00\x02\x01\x00"),
    "internal_error": sends(b"\x15\x03\x03\x00\x02\x02\x50"),
}
FOR_GOOD: dict[str, Break] = {
    "handshake_failure": sends(b"\x15\x03\x03\x00\x02\x02\x28"),
    "protocol_version": sends(b"\x15\x03\x03\x00\x02\x02\x46"),
    "no TLS": sends(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
}


class Front:
    """What stands before a server, and breaks some connections in the handshake, as many as `breaks` says."""

    def __init__(self, port: int) -> None:
        self._listening, self._port = socket.create_server(("127.0.0.1", 0)), port
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        self.breaks: list[Break] = []
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.accepted += 1
                how = self.breaks.pop(0) if self.breaks else None
                threading.Thread(target=self._serve, args=(connection, how), daemon=True).start()

    def _serve(self, connection: socket.socket, how: Break | None) -> None:
        with suppress(OSError), connection:
            if how is not None:
                connection.recv(65536)
                how(connection)
                return
            with socket.create_connection(("127.0.0.1", self._port)) as behind:
                back = threading.Thread(target=pipe, args=(behind, connection), daemon=True)
                back.start()
                pipe(connection, behind)
                back.join()

    def close(self) -> None:
        self._listening.close()


def pipe(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def authority() -> Any:
    return trustme.CA()


@pytest.fixture
def front(authority: Any) -> Iterator[Front]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with wire(lambda _: [answer(b'{"id": "p1", "status": "succeeded"}')], context) as server:
        front = Front(server.port)
        yield front
        front.close()


@pytest.fixture
def client(front: Front, authority: Any, tmp_path: Path) -> Iterator[Client]:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Client(
        "r8_secret", base_url=front.url, verify=str(tmp_path / "ca.pem"), timeout=1, retries=1
    ) as client:
        yield client


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # httpcore leaves the connection open
@pytest.mark.parametrize("how", BREAKS)
def test_a_connection_that_breaks_in_the_handshake_is_made_again(
    how: str, front: Front, client: Client, clock: Any, drive: Drive
) -> None:
    front.breaks = [BREAKS[how]]
    assert drive(client.predictions.async_get("p1")).id == "p1"
    assert front.accepted == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("how", BREAKS)
def test_one_that_always_breaks_is_told(
    how: str, front: Front, client: Client, clock: Any, drive: Drive
) -> None:
    front.breaks = [BREAKS[how]] * 20
    with pytest.raises(errors.ConnectFailed) as caught:
        drive(client.predictions.async_get("p1"))
    assert caught.value.temporary
    assert "no TLS in common" not in str(caught.value)
    assert front.accepted > 1


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("how", FOR_GOOD)
def test_one_that_can_never_agree_is_told_at_once(
    how: str, front: Front, client: Client, clock: Any, drive: Drive
) -> None:
    front.breaks = [FOR_GOOD[how]] * 20
    with pytest.raises(errors.ConnectFailed) as caught:
        drive(client.predictions.async_get("p1"))
    assert not caught.value.temporary
    assert front.accepted == 1
