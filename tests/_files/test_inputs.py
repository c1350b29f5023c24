"""Inputs: what Python programs hold becomes JSON, and files become URLs."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import hashlib
import io
import json
import math
import pathlib
import tempfile
import threading
import time
import types
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit import Client, FileOutput, hookimpl
from replicate_kit._files.input_files import INLINE_LIMIT, InputFile, file_of
from replicate_kit._runtime.blocking import run
from replicate_kit.errors import InputError
from replicate_kit.simulator import Simulator
from replicate_kit.testing.suites import Drive

LARGE = b"\0" * INLINE_LIMIT


def encode(client: Client, value: Any) -> Any:
    return run(client.session.encode(value))


def data_url(content: bytes, media_type: str = "application/octet-stream") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
OFFLINE = Client(backend="mock")


@given(JSON)
def test_json_stays_as_it_is(value: Any) -> None:
    assert encode(OFFLINE, value) == value


class Size(enum.Enum):
    SMALL = "small"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Box:
    width: int
    made: datetime.date


class Scalar:
    """Stands for numpy's scalars and arrays, which the core does not import."""

    dtype = "float32"

    def __init__(self, value: Any) -> None:
        self.value = value

    def tolist(self) -> Any:
        return self.value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Size.SMALL, "small"),
        (Level.HIGH, 3),
        (decimal.Decimal("1.5"), 1.5),
        (types.MappingProxyType({"a": (1, 2)}), {"a": [1, 2]}),
        ({1}, [1]),
        (range(3), [0, 1, 2]),
        ((number for number in "ab"), ["a", "b"]),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "2026-01-02T00:00:00+00:00"),
        (datetime.time(1, 2), "01:02:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Box(2, datetime.date(2026, 1, 2)), {"width": 2, "made": "2026-01-02"}),
        (Scalar(1.5), 1.5),
        (Scalar([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (FileOutput("https://replicate.delivery/out-0.png"), "https://replicate.delivery/out-0.png"),
    ],
)
def test_what_python_programs_hold_becomes_json(client: Client, value: Any, expected: Any) -> None:
    encoded = encode(client, {"here": [value]})["here"][0]
    assert encoded == expected
    assert json.loads(json.dumps(encoded)) == expected
    assert type(encoded) in (str, int, float, list, dict)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (math.nan, "nan, which JSON cannot carry"),
        (Scalar(math.inf), "inf, which JSON cannot carry"),
        (Scalar([1.0, math.nan]), r"input\.here\[1\] is nan"),
        (decimal.Decimal("NaN"), "nan, which JSON"),
        (object(), "a builtins.object, which cannot be sent"),
        (Box, "a builtins.type, which cannot be sent"),
        ({1: 2}, "has the key 1, which is not text"),
        (pathlib.Path("no/such.png"), "There is no file 'no/such.png'"),
        (pathlib.Path("."), "'.' is a folder. Pass the path of a file"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_place(client: Client, value: Any, place: str) -> None:
    with pytest.raises(InputError, match=place) as caught:
        encode(client, {"here": value})
    assert "input.here" in str(caught.value)


def test_a_missing_date_is_refused(client: Client) -> None:
    class NotATime(datetime.datetime):
        """Like pandas' NaT: a datetime that equals nothing."""

        def __ne__(self, other: object) -> bool:
            return True

    with pytest.raises(InputError, match=r"input\.day: .* stands for a missing date"):
        encode(client, {"day": NotATime(2026, 1, 1)})


# Files.


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    found = tmp_path / "wombat.png"
    found.write_bytes(b"pixels\nmore")
    return found


def test_a_path_is_read(client: Client, path: pathlib.Path) -> None:
    for each in (path, pathlib.PurePath(path)):
        assert encode(client, each) == data_url(b"pixels\nmore", "image/png")


@pytest.mark.parametrize("mode", ["rb", "r"])
def test_an_open_file_is_read_from_its_beginning_and_left_where_it_was(
    client: Client, path: pathlib.Path, mode: str
) -> None:
    with path.open(mode) as handle:
        handle.read(2)
        for _ in range(2):
            assert encode(client, handle) == data_url(b"pixels\nmore", "image/png")
        assert handle.read(2) in (b"xe", "xe")


@pytest.mark.parametrize("content", [b"abc", bytearray(b"abc"), memoryview(b"abc"), io.BytesIO(b"abc")])
def test_bytes_are_a_file(client: Client, content: Any) -> None:
    assert encode(client, content) == data_url(b"abc")


def test_text_in_memory_is_a_text_file(client: Client) -> None:
    assert encode(client, io.StringIO("é")) == data_url("é".encode(), "text/plain")


def test_temporary_files_are_files(client: Client) -> None:
    with tempfile.NamedTemporaryFile(suffix=".wav") as named, tempfile.SpooledTemporaryFile() as spooled:
        for handle in (named, spooled):
            handle.write(b"sound")
            assert encode(client, handle).endswith(base64.b64encode(b"sound").decode())


@pytest.mark.parametrize("content", [b"stream", "stream"])
def test_a_handle_that_cannot_seek_is_read_to_its_end(client: Client, content: bytes | str) -> None:
    class Pipe:
        name = 7

        def read(self) -> bytes | str:
            return content

    assert encode(client, Pipe()) == data_url(b"stream")


def test_a_closed_file_is_refused(client: Client, path: pathlib.Path) -> None:
    handle = path.open("rb")
    handle.close()
    with pytest.raises(InputError, match=r"input\.image: .*cannot be read .*closed file"):
        encode(client, {"image": handle})


def test_a_picture_is_encoded_in_its_own_format(client: Client) -> None:
    class Image:
        format: str | None = None

        def save(self, target: io.BytesIO, format: str) -> None:
            target.write(format.encode())

    Image.__module__ = "PIL.Image"
    picture = Image()
    assert encode(client, picture) == data_url(b"PNG", "image/png")
    picture.format = "JPEG"
    assert encode(client, picture) == data_url(b"JPEG", "image/jpeg")


def test_text_is_no_file() -> None:
    assert file_of("wombat.png") is None
    assert file_of(FileOutput("https://replicate.delivery/out-0.png")) is None


def test_a_large_file_is_uploaded_once(
    connect: Callable[..., tuple[Client, list[httpx.Request]]], drive: Drive, path: pathlib.Path
) -> None:
    path.write_bytes(LARGE)
    client, requests = connect(
        {
            "urls": {"get": "https://api.test/v1/files/f1"},
            "created_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-02T00:00:00Z",
        }
    )
    with path.open("rb") as handle:
        encoded = drive(client.session.encode({"image": handle, "mask": handle, "again": path}))
    assert set(encoded.values()) == {"https://api.test/v1/files/f1"}
    (request,) = requests
    body = request.content
    assert request.method == "POST"
    assert request.url.path == "/v1/files"
    assert b'name="content"; filename="wombat.png"' in body
    assert b"Content-Type: image/png" in body
    assert LARGE in body
    assert int(request.headers["content-length"]) == len(body)


def test_how_files_are_encoded_can_be_chosen(
    connect: Callable[..., tuple[Client, list[httpx.Request]]],
) -> None:
    client, requests = connect({"urls": {"get": "https://api.test/v1/files/f1"}}, file_encoding="inline")
    assert encode(client, LARGE) == data_url(LARGE)
    assert encode(client.with_options(file_encoding="upload"), b"tiny") == "https://api.test/v1/files/f1"
    assert len(requests) == 1


def test_files_are_read_beside_the_event_loop(client: Client) -> None:
    import asyncio

    threads: list[threading.Thread] = []

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            threads.append(threading.current_thread())
            return super().read(size)

    asyncio.run(client.session.encode(Slow(b"abc")))
    assert threads
    assert threading.main_thread() not in threads


class Plain:
    """A handle that has no more than it needs."""

    def __init__(self, content: bytes) -> None:
        self._inner = io.BytesIO(content)
        self.seek, self.tell, self.seekable = self._inner.seek, self._inner.tell, self._inner.seekable

    def read(self, size: int = -1) -> bytes:
        time.sleep(0.0001)  # as if it came from a disk: another thread gets its turn
        return self._inner.read(size)


def opened(kind: str, content: bytes, path: Path) -> Any:
    """An open file of some kind, that was read a little already."""
    path.write_bytes(content)
    made: dict[str, Callable[[], Any]] = {
        "file": lambda: path.open("rb"),
        "unbuffered": lambda: path.open("rb", buffering=0),
        "text": lambda: path.open("r", encoding="latin-1"),
        "memory": lambda: io.BytesIO(content),
        "plain": lambda: Plain(content),
        "temporary": lambda: tempfile.SpooledTemporaryFile(max_size=10**7),  # noqa: SIM115 - the test closes it
    }
    handle = made[kind]()
    if kind == "temporary":
        handle.write(content)
    handle.seek(3)
    return handle


@pytest.mark.parametrize("encoding", ["inline", "upload"])
@pytest.mark.parametrize("kind", ["file", "unbuffered", "text", "memory", "plain", "temporary"])
def test_one_handle_may_be_the_input_of_many_runs_at_once(
    tmp_path: Path, simulator: Simulator, kind: str, encoding: Any
) -> None:
    content = bytes(range(256)) * 4000
    handle = opened(kind, content, tmp_path / "a.bin")

    async def main() -> list[Any]:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(keep)
        return found

    async def keep() -> None:
        found.append(await client.session.encode(handle))

    found: list[Any] = []
    with Client(backend=simulator, file_encoding=encoding) as client:
        assert len(set(anyio.run(main))) == 1
        assert simulator.calls["files.create"] == (1 if encoding == "upload" else 0)
        seen = found[0] if encoding == "inline" else client.files.list()[0]["checksums"]["sha256"]
    whole = hashlib.sha256(content).hexdigest()
    assert (
        hashlib.sha256(base64.b64decode(seen.partition(",")[2])).hexdigest() if "," in seen else seen
    ) == whole
    assert handle.tell() == 3
    getattr(handle, "close", lambda: None)()


def test_a_file_that_many_runs_send_at_once_is_hashed_once(
    tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, hashed = tmp_path / "a.bin", list[InputFile]()
    digest = InputFile.digest

    def slowly(file: InputFile) -> str:
        hashed.append(file)
        time.sleep(0.2)
        return digest(file)

    monkeypatch.setattr(InputFile, "digest", slowly)

    async def main() -> int:
        async with (
            Client(backend=simulator, file_encoding="upload") as client,
            anyio.create_task_group() as tasks,
        ):
            for value in (path, LARGE):
                for _ in range(10):
                    tasks.start_soon(client.session.encode, value)
        return len(hashed)

    path.write_bytes(LARGE)
    assert anyio.run(main) == 2
    path.write_bytes(LARGE + b"more")
    assert anyio.run(main) == 4
    assert (
        simulator.calls["files.create"] == 4
    )  # the name is sent, too, and each client has its own account of it


def test_what_was_uploaded_with_another_token_is_uploaded_again(simulator: Simulator) -> None:
    """Accounts do not see each other's files."""
    with Client("r8_one", backend=simulator, file_encoding="upload") as client:
        for each in (client, client.with_options(timeout=5), client.with_options(api_token="r8_two")):
            encode(each, LARGE)
    assert simulator.calls["files.create"] == 2


# Plugins.


class Shapes:
    """A plugin that encodes complex numbers, with a file in what it makes."""

    @hookimpl
    def replicate_encode_input(self, value: Any) -> Mapping[str, Any] | None:
        return {"real": value.real, "picture": b"abc"} if isinstance(value, complex) else None


def test_what_a_plugin_makes_is_encoded_in_turn() -> None:
    client = Client(backend="mock", plugins=[Shapes()])
    assert encode(client, [1 + 2j]) == [{"real": 1.0, "picture": data_url(b"abc")}]
    with pytest.raises(InputError, match=r"input\[0\]\.real is nan"):
        encode(client, [complex(math.nan, 0)])
