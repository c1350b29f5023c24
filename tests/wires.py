"""Servers on real sockets that send any bytes at any pace, with TLS or without."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["Wire", "answer", "chunked", "head", "wire"]

Script = Callable[[bytes], Iterable[bytes]]


class Wire:
    """What a server on loopback was sent."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port, self.scheme = port, scheme
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.accepted, self.heads = 0, list[bytes]()


@contextmanager
def wire(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """Serve one request for each connection: `script` gives the bytes of its answer from the request's head."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Wire(listener.getsockname()[1], "https" if tls else "http")
    over = threading.Event()

    def encrypted(connection: socket.socket) -> socket.socket:
        return tls.wrap_socket(connection, server_side=True) if tls else connection

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection, encrypted(connection) as connection:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65536)
                if not piece:
                    return
                head += piece
            server.heads.append(head)
            for piece in script(head):
                if over.is_set():
                    return
                connection.sendall(piece)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            connection.recv(1)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                server.accepted += 1
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer, as `head` begins it."""
    return head(status, content_length=str(len(body)), **headers) + body


def head(status: str = "200 OK", **headers: str) -> bytes:
    """The beginning of an answer, after which the connection is closed unless they say otherwise.

    Not to announce that would be a race: the client may send its next request before it learns of the end.
    """
    headers = {"connection": "close"} | headers
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{named}\r\n".encode()


def chunked(pieces: Iterable[bytes], status: str = "200 OK", **headers: str) -> Iterator[bytes]:
    """An answer whose length is not announced."""
    yield head(status, transfer_encoding="chunked", **headers)
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
