from __future__ import annotations

import base64
import hashlib
import io
import json
import wave
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

import httpx
import pytest

from replicate_kit.signing import sign_download
from replicate_kit.simulator import Clock, Simulator
from replicate_kit.simulator._state.blobs import Blobs

Send = Callable[..., httpx.Response]


def run(send: Send, model: str, **input: Any) -> Any:
    response = send("POST", f"/models/{model}/predictions", json={"input": input}, headers={"Prefer": "wait"})
    assert response.status_code == 201, response.text
    body = response.json()
    assert body["error"] is None, body
    return body["output"]


def upload(send: Send, content: bytes = b"hello", **parts: Any) -> dict[str, Any]:
    return dict(
        send("POST", "/files", files={"content": ("hello.txt", content, "text/plain"), **parts}).json()
    )


def test_an_upload_is_described(send: Send) -> None:
    response = send("POST", "/files", files={"content": ("hello.txt", b"hello", "text/plain")})
    body = response.json()
    assert response.status_code == 201
    assert list(body) == [
        *(
            "id",
            "name",
            "content_type",
            "size",
            "etag",
            "checksums",
            "metadata",
            "created_at",
            "expires_at",
            "urls",
        )
    ]
    assert len(body["id"]) == 48
    assert len(base64.b64decode(body["id"]).decode().split("-")) == 5
    assert (body["name"], body["content_type"], body["size"]) == ("hello.txt", "text/plain", 5)
    assert body["checksums"]["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert body["etag"] == body["checksums"]["md5"] == hashlib.md5(b"hello").hexdigest()
    assert body["urls"] == {"get": f"https://api.replicate.test/v1/files/{body['id']}"}


def test_metadata_name_and_type_may_be_parts_of_their_own(ask: Send) -> None:
    metadata = ("blob", json.dumps({"number": 1}), "application/json")
    parts = {"metadata": metadata, "filename": (None, "other.bin"), "type": (None, "image/png")}
    body = upload(ask, **parts)
    assert (body["metadata"], body["name"], body["content_type"]) == ({"number": 1}, "other.bin", "image/png")


def test_names_come_through_whatever_they_are(ask: Send) -> None:
    for name in ('a "quoted" name.txt', "größe.png", "../../etc/passwd", "x" * 300):
        body = ask("POST", "/files", files={"content": (name, b"x")}).json()
        assert body["name"] == name[:255]


def test_content_may_contain_anything(ask: Send, simulator: Simulator) -> None:
    simulator.model("acme/size")(size_of)
    content = b"\r\n--not-the-boundary\r\n\r\n" + bytes(range(256)) + b"\r\n"
    assert run(ask, "acme/size", file=upload(ask, content)["urls"]["get"]) == len(content)


def test_uploads_are_listed_and_deleted(ask: Send) -> None:
    first, second = upload(ask, b"1"), upload(ask, b"2")
    assert ask("GET", "/files").json() == {"next": None, "previous": None, "results": [second, first]}
    assert ask("GET", f"/files/{first['id']}").json() == first
    response = ask("DELETE", f"/files/{first['id']}")
    assert (response.status_code, response.content) == (204, b"")
    for method in ("GET", "DELETE"):
        response = ask(method, f"/files/{first['id']}")
        assert (response.status_code, response.json()) == (404, {"detail": "File not found"})


def test_uploads_expire_after_a_day(ask_of: Callable[..., Send]) -> None:
    clock = Clock()
    ask = ask_of(Simulator(clock=clock))
    file = upload(ask)
    clock.advance(86_399)
    assert ask("GET", f"/files/{file['id']}").status_code == 200
    clock.advance(2)
    assert ask("GET", f"/files/{file['id']}").status_code == 404
    assert ask("GET", "/files").json()["results"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"json": {}}, "multipart/form-data"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, "boundary"),
        (
            {"content": b"--b\r\n", "headers": {"content-type": "multipart/form-data; boundary=b"}},
            "closing boundary",
        ),
        (
            {"content": b"--b\r\nx\r\n--b--", "headers": {"content-type": "multipart/form-data; boundary=b"}},
            "no content",
        ),
        ({"files": {"other": b"x"}}, "Missing content"),
        ({"files": {"content": b"x", "metadata": b"{"}}, "not JSON"),
        ({"files": {"content": b"x", "metadata": b"[]"}}, "not a JSON object"),
    ],
)
def test_an_upload_that_cannot_be_read_is_refused(ask: Send, options: dict[str, Any], said: str) -> None:
    response = ask("POST", "/files", **options)
    assert response.status_code == 400
    assert said in response.json()["detail"]


def test_files_are_limited_in_size(drive: Any, send: Send) -> None:
    big = io.BytesIO(bytes(100 * 1024 * 1024 + 1))
    response = send("POST", "/files", files={"content": ("big", big)})
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "Files must be less than 100MB in size"


@pytest.mark.parametrize(("path", "most"), [("/files", 150), ("/predictions", 20)])
def test_endless_bodies_are_cut_off(path: str, most: int, ask: Send) -> None:
    taken = 0

    async def endless() -> Any:
        nonlocal taken
        for _ in range(200):
            taken += 1
            yield bytes(1024 * 1024)

    assert ask("POST", path, content=endless()).status_code == 413
    assert taken < most


def test_downloads_need_a_signature(simulator: Simulator, ask: Send) -> None:
    file, expiry = upload(ask), int(simulator.clock.now()) + 60

    def download(**change: Any) -> httpx.Response:
        query = {
            "owner": "local",
            "expiry": expiry,
            "signature": simulator.sign_download(file["id"], expiry),
            **change,
        }
        return ask("GET", f"/files/{file['id']}/download?{urlencode(query)}")

    response = download()
    assert (response.status_code, response.content) == (200, b"hello")
    assert response.headers["content-type"] == "application/octet-stream"
    assert download(owner="somebody").status_code == 404
    assert download(expiry=expiry + 1).status_code == 404
    assert download(signature=sign_download("local", file["id"], expiry, "guess")).status_code == 404
    assert download(expiry="tomorrow").status_code == 400
    simulator.clock.advance(61)
    assert download().status_code == 404


def size_of(file: bytes) -> int:
    return len(file)


def test_input_files_come_as_the_annotation_asks(simulator: Simulator, send: Send) -> None:
    @simulator.model("acme/files")
    def files(path: Path, raw: bytes, open: BinaryIO, many: list[Path], maybe: Path | None = None) -> Any:
        assert path.suffix == ".txt"
        return [
            path.read_text(),
            raw.decode(),
            open.read().decode(),
            *(each.read_text() for each in many),
            maybe,
        ]

    url = upload(send)["urls"]["get"]
    data = "data:text/plain;base64," + base64.b64encode(b"inline").decode()
    plain = "data:,a%20b"
    output = run(send, "acme/files", path=url, raw=data, open=plain, many=[data, url], maybe=None)
    assert output == ["hello", "inline", "a b", "inline", "hello", None]


def test_copies_of_input_files_are_taken_away(simulator: Simulator, ask: Send) -> None:
    seen: list[Path] = []

    @simulator.model("acme/copy")
    def copy(file: Path) -> None:
        seen.append(file)

    run(ask, "acme/copy", file="data:,x")
    for _ in range(200):
        if not seen[0].exists():
            break
    assert not seen[0].parent.exists()


def test_models_can_be_chained(simulator: Simulator, ask: Send) -> None:
    simulator.model("acme/size")(size_of)
    simulator.model("acme/write")(write)
    assert run(ask, "acme/size", file=run(ask, "acme/write", text="hello")) == 5


@pytest.mark.parametrize("url", ["https://example.com/cat.png", "data:oops", "data:;base64,***"])
def test_an_input_file_that_cannot_be_read_fails_the_prediction(
    simulator: Simulator, ask: Send, url: str
) -> None:
    simulator.model("acme/size")(size_of)
    response = ask(
        "POST", "/models/acme/size/predictions", json={"input": {"file": url}}, headers={"Prefer": "wait"}
    )
    assert response.json()["status"] == "failed"
    assert response.json()["error"]


def write(text: str) -> bytes:
    return text.encode()


PNG = b"\x89PNG\r\n\x1a\n rest"


def test_files_that_models_make_are_served(simulator: Simulator, send: Send, tmp_path: Path) -> None:
    @simulator.model("acme/make")
    def make() -> list[Any]:
        (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7")
        return [PNG, tmp_path / "report.pdf", io.BytesIO(b"RIFFxxxxWAVE"), io.StringIO("text"), b"?"]

    urls = run(send, "acme/make")
    names = [url.rpartition("/")[2] for url in urls]
    assert names == ["out-0.png", "report.pdf", "out-2.wav", "out-3.bin", "out-4.bin"]
    assert all(url.startswith("https://files.replicate.test/xezq/") for url in urls)
    types = [send("GET", url).headers["content-type"] for url in urls]
    assert types == [
        "image/png",
        "application/pdf",
        "audio/wav",
        "application/octet-stream",
        "application/octet-stream",
    ]
    assert send("GET", urls[0]).content == PNG
    assert send("GET", urls[1]).content == b"%PDF-1.7"
    head = send("HEAD", urls[0])
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(PNG)))


def test_images_of_pillows_become_files(simulator: Simulator, ask: Send) -> None:
    from PIL import Image

    @simulator.model("acme/image")
    def image() -> Any:
        return Image.new("RGB", (2, 2))

    url = run(ask, "acme/image")
    assert url.endswith("/out-0.png")
    assert ask("GET", url).content.startswith(b"\x89PNG")


def test_files_inside_structures_become_urls(simulator: Simulator, ask: Send) -> None:
    @simulator.model("acme/nested")
    def nested() -> dict[str, Any]:
        return {"image": PNG, "masks": [PNG, PNG], "count": 2}

    output = run(ask, "acme/nested")
    assert ask("GET", output["masks"][1]).content == PNG
    assert output["count"] == 2


@pytest.mark.parametrize(
    ("asked", "status", "content", "given"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=1-2,4-5", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=5-4", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
    ],
)
def test_parts_of_a_file_can_be_had(
    simulator: Simulator, ask: Send, asked: str, status: int, content: bytes | None, given: str | None
) -> None:
    simulator.model("acme/write")(write)
    url = run(ask, "acme/write", text="0123456789")
    response = ask("GET", url, headers={"Range": asked})
    assert response.status_code == status
    assert response.headers.get("content-range") == given
    if content is not None:
        assert response.content == content
        assert response.headers["content-length"] == str(len(content))


def test_large_files_come_piece_by_piece(simulator: Simulator, send: Send) -> None:
    @simulator.model("acme/large")
    def large() -> bytes:
        return bytes(range(256)) * 4096

    assert send("GET", run(send, "acme/large")).content == bytes(range(256)) * 4096


def test_files_are_only_where_they_are(simulator: Simulator, ask: Send) -> None:
    simulator.model("acme/write")(write)
    url = run(ask, "acme/write", text="x")
    for wrong in (
        url + "x",
        url.replace("out-0", "out-1"),
        url.replace("files.", "api."),
        "https://files.replicate.test/",
    ):
        assert ask("GET", wrong).status_code == 404
    assert ask("GET", "https://files.replicate.test/v1/account").status_code == 404
    assert ask("GET", "https://files.replicate.test/xezq/..%2f..%2fetc/passwd").status_code == 404


def test_files_beyond_what_fits_in_memory_go_to_disk(tmp_path: Path) -> None:
    blobs = Blobs(in_memory=10)
    kept = [blobs.put(b"12345678", str(number)) for number in range(3)]
    assert [blob.read(2, 4) for blob in kept] == [b"34"] * 3
    assert [blob.digest("md5") for blob in kept] == [hashlib.md5(b"12345678").hexdigest()] * 3
    for blob in kept:
        blobs.forget(blob)
    assert blobs.put(b"1234567890", "again").read() == b"1234567890"


def test_the_demo_models_make_real_things(ask_of: Callable[..., Send]) -> None:
    from replicate_kit.simulator import install

    ask = ask_of(install(Simulator()))
    pictures = [
        ask("GET", url).content
        for url in run(ask, "demo/painter", prompt="a fox", num_outputs=2, width=40, height=24)
    ]
    assert pictures[0] != pictures[1]
    for picture in pictures:
        assert picture[:8] == b"\x89PNG\r\n\x1a\n"
        assert picture[16:24] == (40).to_bytes(4, "big") + (24).to_bytes(4, "big")
        start = picture.index(b"IDAT") + 4
        assert len(zlib.decompressobj().decompress(picture[start:])) == 24 * (40 * 3 + 1)
    with wave.open(
        io.BytesIO(ask("GET", run(ask, "demo/musician", prompt="rain", seconds=0.5)).content)
    ) as tune:
        assert tune.getnframes() == 11_025
    assert "".join(run(ask, "demo/poet", prompt="the fox", lines=2)).count("\n") == 1


def test_the_demo_models_repeat_themselves(ask_of: Callable[..., Send]) -> None:
    from replicate_kit.simulator import install

    ask = ask_of(install(Simulator()))
    same = {
        ask("GET", run(ask, "demo/painter", prompt="night", width=20, height=20, seed=1)[0]).content
        for _ in range(2)
    }
    assert len(same) == 1


def test_flaky_fails_for_the_same_prompts_each_time(ask_of: Callable[..., Send]) -> None:
    from replicate_kit.simulator import install

    ask = ask_of(install(Simulator()))

    def statuses() -> list[str]:
        bodies = [
            ask(
                "POST",
                "/models/demo/flaky/predictions",
                json={"input": {"prompt": str(number)}},
                headers={"Prefer": "wait"},
            ).json()
            for number in range(40)
        ]
        return [str(body["status"]) for body in bodies]

    first = statuses()
    assert first == statuses()
    assert 3 < first.count("failed") < 20


def test_inputs_from_elsewhere_are_fetched_where_that_is_allowed(
    ask_of: Callable[..., Send], tmp_path: Path
) -> None:
    import functools
    import threading
    from http.server import HTTPServer, SimpleHTTPRequestHandler

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None: ...

    (tmp_path / "cat.txt").write_text("meow")
    simulator = Simulator(fetch_inputs=True)

    @simulator.model("acme/read")
    def read(file: Path) -> list[str]:
        return [file.name.partition("-")[2], file.read_text()]

    with HTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever).start()
        output = run(
            ask_of(simulator), "acme/read", file=f"http://127.0.0.1:{server.server_port}/cat.txt?x=1"
        )
        server.shutdown()
    assert output == ["cat.txt", "meow"]


def test_inputs_are_what_the_annotations_say(simulator: Simulator, ask: Send) -> None:
    import enum

    class Size(enum.Enum):
        SMALL = "small"

    def kinds(
        size: Any, count: int, ratio: float, tags: Any, both: Any, many: Any, stream: io.BytesIO
    ) -> Any:
        return [repr(each) for each in (size, count, ratio, tags, both, many, stream.read())]

    kinds.__annotations__ |= {
        "size": Size,
        "count": int,
        "ratio": float,
        "tags": tuple[str, ...],
        "both": int | str,
        "many": list[str] | str,
        "stream": io.BytesIO,
    }
    simulator.model("acme/kinds")(kinds)
    given = {
        "size": "small",
        "count": 4.0,
        "ratio": 1,
        "tags": ["a"],
        "both": "x",
        "many": ["y"],
        "stream": "data:,z",
    }
    output = run(ask, "acme/kinds", **given)
    assert output[0].startswith("<Size.SMALL")
    assert output[1:] == ["4", "1.0", "('a',)", "'x'", "['y']", "b'z'"]
