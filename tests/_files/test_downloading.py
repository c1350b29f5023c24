"""Downloads are whole: continued where they broke off, and refused where they are not what was announced."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client, FileOutput
from replicate_kit._files.downloading import read_range
from replicate_kit.errors import ConnectFailed, FileError, FileExpired, ServerError
from replicate_kit.testing import FileServer

CONTENT = bytes(range(256)) * 1000


def test_connection_that_breaks_is_continued_from_where_it_was(
    files: FileServer, reader: Client, drive: Any
) -> None:
    url = files.put("out.bin", CONTENT, ETag='"one"')
    files.breaks["out.bin"] = [100_000, 0, 50_000]
    assert drive(FileOutput(url, reader.session).async_read()) == CONTENT
    assert [each.range for each in files.asked] == [None, "bytes=100000-", "bytes=100000-", "bytes=150000-"]
    assert files.asked[-1].headers["if-range"] == '"one"'
    assert all(each.headers["accept-encoding"] == "identity" for each in files.asked)


def test_server_without_ranges_is_read_again_and_compared(
    files: FileServer, reader: Client, drive: Any
) -> None:
    url, files.ranges = files.put("out.bin", CONTENT), False
    files.breaks["out.bin"] = [100_000, 150_000]
    assert drive(FileOutput(url, reader.session).async_read()) == CONTENT


def test_file_that_changed_between_two_attempts_is_an_error(files: FileServer, reader: Client) -> None:
    url, files.ranges = files.put("out.bin", CONTENT), False
    files.breaks["out.bin"] = [100_000]
    chunks = FileOutput(url, reader.session).chunks()
    next(chunks)
    files.contents["out.bin"] = CONTENT[::-1]
    with pytest.raises(FileError, match="changed while it was read"):
        list(chunks)


@pytest.mark.parametrize("answer", ["bytes 5-9/256000", "bytes 100000-255999/999", "nonsense"])
def test_range_that_was_not_asked_for_is_an_error(files: FileServer, reader: Client, answer: str) -> None:
    url = files.put("out.bin", CONTENT, Content_Range=answer)
    files.breaks["out.bin"] = [100_000]
    with pytest.raises(FileError, match="cannot be continued"):
        FileOutput(url, reader.session).read()


WRONG = {
    "a part": (206, {"content-range": "bytes 5-9/10"}, "206 with a part of the file .bytes 5-9/10."),
    "the beginning": (206, {"content-range": "bytes 0-4/10"}, "206 with a part of the file"),
    "the beginning of who knows how much": (206, {"content-range": "bytes 0-4/*"}, "206 with a part"),
    "a part of several": (206, {"content-type": "multipart/byteranges; boundary=a"}, "does not say which"),
    "nothing": (204, {}, "204, which brings no file"),
    "something later": (202, {}, "202, which brings no file"),
    "a form to be emptied": (205, {}, "205, which brings no file"),
    "many answers": (207, {"content-type": "application/xml"}, "207, which brings no file"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_success_without_the_whole_file_is_an_error(
    kind: str, serve: Any, drive: Any, tmp_path: Path
) -> None:
    status, headers, said = WRONG[kind]
    server = serve(lambda request: (status, headers, b"" if status in (204, 205) else b"56789"))
    with Client(base_url=server.url, api_token="secret") as client:
        output = FileOutput(f"{server.url}/out.bin", client.session)
        with pytest.raises(FileError, match=said):
            drive(output.async_read())
        with pytest.raises(FileError, match=said):
            drive(output.async_save(tmp_path / "out.bin"))
    assert not list(tmp_path.iterdir())


def test_all_of_a_file_may_come_as_its_only_part(serve: Any, drive: Any) -> None:
    server = serve(lambda request: (206, {"content-range": "bytes 0-4/5"}, b"56789"))
    with Client(base_url=server.url, api_token="secret") as client:
        assert drive(FileOutput(f"{server.url}/out.bin", client.session).async_read()) == b"56789"


def test_a_range_of_other_bytes_than_were_asked_for_is_an_error(serve: Any, drive: Any) -> None:
    server = serve(lambda request: (206, {"content-range": "bytes 5-9/10"}, b"56789"))
    with Client(base_url=server.url, api_token="secret") as client:
        opener = client.session
        assert drive(read_range(f"{server.url}/out.bin", opener, 5, 8)) == b"567"
        for start in (0, 4, 6):
            with pytest.raises(
                FileError, match=rf"asked for the bytes from {start}, the server gave 'bytes 5-9/10'"
            ):
                drive(read_range(f"{server.url}/out.bin", opener, start, 8))


@pytest.fixture
def unsized() -> Iterator[tuple[str, list[str | None], list[bytes]]]:
    """A server that does not announce the size of a file, breaks off once after some bytes, and knows ranges."""
    asked: list[str | None] = []
    first: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            asked.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            body = CONTENT[start:]
            self.send_response(200 if not wanted else 206 if body else 416)
            if not wanted:
                body = first.pop() if first else CONTENT
                whole = body == CONTENT and len(asked) > 1
                self.send_header("Transfer-Encoding", "chunked")
                body = b"%x\r\n%b\r\n%b" % (len(body), body, b"0\r\n\r\n" if whole else b"")
            else:
                self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked, first
        server.shutdown()


@pytest.mark.parametrize("length", [1, 100_000, len(CONTENT) - 1])
def test_file_of_a_size_that_was_not_announced_is_continued(
    unsized: tuple[str, list[str | None], list[bytes]], clock: Any, drive: Any, length: int
) -> None:
    url, asked, first = unsized
    first.append(CONTENT[:length])
    with Client(base_url=url, api_token="secret") as client:
        assert drive(FileOutput(url + "/out.bin", client.session).async_read()) == CONTENT
    assert asked == [None, f"bytes={length}-"]


def test_file_that_broke_off_at_its_very_end_is_read_again_and_compared(
    unsized: tuple[str, list[str | None], list[bytes]], clock: Any, drive: Any
) -> None:
    url, asked, first = unsized
    first.append(CONTENT)
    with Client(base_url=url, api_token="secret") as client:
        assert drive(FileOutput(url + "/out.bin", client.session).async_read()) == CONTENT
    assert asked == [None, f"bytes={len(CONTENT)}-", None]


@pytest.mark.parametrize("length", [0, 1_000, 99_999])
def test_file_that_is_shorter_when_it_is_read_again_is_an_error(
    clock: Any, drive: Any, tmp_path: Path, length: int
) -> None:
    class Handler(BaseHTTPRequestHandler):
        """Breaks off once, announces no size and knows no ranges; afterwards it has less than it gave before."""

        protocol_version = "HTTP/1.1"
        asked = 0

        def do_GET(self) -> None:
            Handler.asked += 1
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            body = CONTENT[:100_000] if Handler.asked == 1 else CONTENT[:length]
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self.wfile.write(chunk + (b"" if Handler.asked == 1 else b"0\r\n\r\n"))
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with Client(base_url=url, api_token="secret") as client, pytest.raises(FileError, match="broke off"):
            drive(FileOutput(url + "/out.bin", client.session).async_save(tmp_path / "out.bin"))
        server.shutdown()
    assert not list(tmp_path.iterdir())


def test_source_that_stays_broken_is_an_error_that_names_it(
    files: FileServer, reader: Client, drive: Any
) -> None:
    url = files.put("out.bin", CONTENT)
    files.breaks["out.bin"] = [10, *[0] * 20]
    with pytest.raises(FileError, match=r"out\.bin broke off 6 times"):
        drive(FileOutput(url, reader.session).async_read())


def test_file_that_expires_meanwhile_is_gone(files: FileServer, reader: Client, drive: Any) -> None:
    url = files.put("out.bin", CONTENT)
    files.breaks["out.bin"] = [100_000]

    async def read() -> bytes:
        download = await FileOutput(url, reader.session).async_download()
        files.status["out.bin"] = 404
        try:
            return b"".join([chunk async for chunk in download.chunks()])
        finally:
            await download.aclose()

    with pytest.raises(FileExpired, match="removes outputs one hour after"):
        drive(read())


def test_refusal_is_not_taken_for_expiry(files: FileServer, reader: Client) -> None:
    url, files.status["out.bin"] = files.put("out.bin", CONTENT), 500
    with pytest.raises(FileError, match="500") as caught:
        FileOutput(url, reader.session).read()
    assert type(caught.value) is FileError
    assert isinstance(caught.value.__cause__, ServerError)


def test_download_tells_of_itself(files: FileServer, reader: Client) -> None:
    file = FileOutput(files.put("out.png", CONTENT, "image/png"), reader.session)
    download = file.download()
    assert (download.size, download.content_type, download.received) == (len(CONTENT), "image/png", 0)

    async def read() -> None:
        async for _ in download.chunks():
            pass
        await download.aclose()

    from replicate_kit._runtime.blocking import run

    run(read())
    assert (download.received, download.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    ("start", "end"), [(0, 10), (100, 100), (1000, 2000), (255_990, 400_000), (300_000, None)]
)
def test_range_is_read_whatever_the_server_can(
    files: FileServer, reader: Client, drive: Any, ranges: bool, start: int, end: int | None
) -> None:
    url, files.ranges = files.put("out.bin", CONTENT), ranges
    assert drive(FileOutput(url, reader.session).async_read_range(start, end)) == CONTENT[start:end]


def test_private_host_in_an_output_is_not_asked(files: FileServer, drive: Any) -> None:
    url = files.put("out.bin", CONTENT)
    elsewhere = Client(base_url="https://api.test", api_token="secret")
    with elsewhere as client, pytest.raises(FileError, match="not on https"):
        drive(FileOutput(url, client.session).async_read())
    assert files.asked == []


def test_redirect_to_a_private_host_is_not_followed(serve: Any, drive: Any) -> None:
    secret = serve(lambda received: (200, {}, b"secret"))
    away = serve(lambda received: (302, {"Location": secret.url + "/latest"}, b""))
    api = Client(base_url=away.url, api_token="secret")
    with api as client, pytest.raises(FileError, match="was not fetched"):
        drive(FileOutput(away.url + "/out.bin", client.session).async_read())
    assert secret.received == []


def test_token_goes_to_no_other_host_than_the_api(files: FileServer, connect: Any) -> None:
    import httpx

    client, requests = connect(lambda request: httpx.Response(200, content=b"picture"))
    for host in (
        "https://api.test/v1/files/f1/out.png",
        "https://pbxt.replicate.delivery/out.png",
        "https://evil.test/x",
    ):
        assert FileOutput(host, client.session).read() == b"picture"
    assert ["authorization" in each.headers for each in requests] == [True, False, False]


def test_unreachable_host_is_told(reader: Client, clock: Any) -> None:
    with pytest.raises((ConnectFailed, FileError)):
        FileOutput("https://nothing.invalid/out.png", reader.session).read()
