"""Files are written while they come in: whole or not at all, with the right digest, in bounded memory."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client, FileOutput
from replicate_kit._files.blocks import BLOCK, Digest
from replicate_kit._files.downloading import Download
from replicate_kit._runtime import beside
from replicate_kit._runtime.blocking import is_blocking, run
from replicate_kit.errors import FileError
from replicate_kit.storage import StoredFile, Target
from replicate_kit.stores import store
from replicate_kit.testing import FileServer
from tests.waiting import until
from tests.wires import wire

BIG = os.urandom(5 * BLOCK + 7)
THREAD = "replicate-kit beside"


def helpers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == THREAD]


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, len(BIG)])
def test_a_file_of_any_size_is_saved(
    files: FileServer, reader: Client, drive: Any, tmp_path: Path, size: int
) -> None:
    file = FileOutput(files.put("out.bin", BIG[:size]), reader.session)
    target = drive(file.async_save(tmp_path / "out.bin"))
    assert target.read_bytes() == BIG[:size]
    assert os.listdir(tmp_path) == ["out.bin"]
    until(lambda: not helpers())


def test_a_small_file_needs_no_thread_of_its_own(
    files: FileServer, reader: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(beside, "new_thread", None)
    FileOutput(files.put("out.bin", BIG[:BLOCK]), reader.session).save(tmp_path / "out.bin")


def test_where_there_are_no_more_threads_a_file_is_saved_all_the_same(
    files: FileServer, reader: Client, drive: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(function: object, name: str) -> threading.Thread:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(beside, "new_thread", refuse)
    file = FileOutput(files.put("out.bin", BIG), reader.session)
    for _ in range(40):  # more than there may be threads
        drive(file.async_save(tmp_path / "out.bin"))
    assert (tmp_path / "out.bin").read_bytes() == BIG


def test_more_files_at_a_time_than_there_may_be_threads(
    files: FileServer, reader: Client, tmp_path: Path
) -> None:
    file = FileOutput(files.put("out.bin", BIG[: 2 * BLOCK]), reader.session)

    async def main() -> None:
        async with Client(base_url=files.url, api_token="secret") as client:
            again = FileOutput(file.url, client.session)
            await asyncio.gather(*(again.async_save(tmp_path / f"{number}") for number in range(40)))

    asyncio.run(main())
    assert {each.read_bytes() for each in tmp_path.iterdir()} == {BIG[: 2 * BLOCK]}
    assert len(list(tmp_path.iterdir())) == 40


def test_a_save_that_is_cancelled_leaves_nothing(files: FileServer, reader: Client, tmp_path: Path) -> None:
    file = FileOutput(files.put("out.bin", BIG), reader.session)
    files.stalls["out.bin"] = 3 * BLOCK

    async def main() -> None:
        async with Client(base_url=files.url, api_token="secret") as client:
            saving = FileOutput(file.url, client.session).async_save(tmp_path / "out.bin")
            task = asyncio.create_task(saving)
            await asyncio.to_thread(files.stalled.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert os.listdir(tmp_path) == []

    try:
        asyncio.run(main())
    finally:
        files.let_go()
    until(lambda: not helpers())


def test_what_the_disk_does_not_take_is_told_and_leaves_nothing(
    files: FileServer, reader: Client, drive: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original, threads = os.write, set[str]()

    def full(handle: int, data: Any) -> int:
        if len(data) > BLOCK // 2:
            threads.add(threading.current_thread().name)
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(handle, data)

    monkeypatch.setattr(os, "write", full)
    file = FileOutput(files.put("out.bin", BIG), reader.session)
    with pytest.raises(FileError, match="Make room there"):
        drive(stored(file, tmp_path))
    own_thread = "MainThread" if drive(is_without_a_loop()) else THREAD
    assert (threads, os.listdir(tmp_path)) == ({own_thread}, [])


async def is_without_a_loop() -> bool:
    return is_blocking()


@pytest.mark.parametrize("at", [1, 2, 5])  # the block whose writing ends so
def test_a_blocking_save_that_is_interrupted_leaves_no_file_and_no_thread(
    files: FileServer, reader: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at: int
) -> None:
    original, blocks = os.write, list[int]()

    def interrupted(handle: int, data: Any) -> int:
        if len(data) > BLOCK // 2:
            blocks.append(len(data))
            if len(blocks) == at:
                raise KeyboardInterrupt
        return original(handle, data)

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(stored(FileOutput(files.put("out.bin", BIG), reader.session), tmp_path))
    assert os.listdir(tmp_path) == []
    until(lambda: not helpers())


def test_blocking_code_takes_the_digest_on_another_thread_than_it_writes_on(
    files: FileServer, reader: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original, threads = Digest.catch_up, set[str]()

    def noted(digest: Digest) -> None:
        threads.add(threading.current_thread().name)
        original(digest)

    monkeypatch.setattr(Digest, "catch_up", noted)
    record = run(stored(FileOutput(files.put("out.bin", BIG), reader.session), tmp_path))
    assert (record.sha256, THREAD in threads) == (hashlib.sha256(BIG).hexdigest(), True)


def test_a_download_that_stalls_has_all_full_blocks_on_the_disk(tmp_path: Path) -> None:
    goes_on = threading.Event()

    def written() -> int:
        return sum(each.stat().st_size for each in tmp_path.iterdir())

    def script(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG)
        yield BIG[: 3 * BLOCK + 7]
        goes_on.wait(60)
        yield BIG[3 * BLOCK + 7 :]

    async def main(url: str) -> None:
        async with Client(base_url=url, trusted_hosts=["127.0.0.1"]) as client:
            file = FileOutput(f"{url}/out.bin", client.session)
            saving = asyncio.create_task(file.async_save(tmp_path / "out.bin"))
            await asyncio.to_thread(
                until, lambda: written() >= 2 * BLOCK
            )  # never, where a block waits for the next one
            goes_on.set()
            await saving

    with wire(script) as server:
        asyncio.run(asyncio.wait_for(main(server.url), 60))
    assert (tmp_path / "out.bin").read_bytes() == BIG


async def stored(file: FileOutput, folder: Path) -> StoredFile:
    """Store a file in a folder."""
    from replicate_kit.stores import local_folder

    target = Target(folder=str(folder), stem="out", prediction_id="p1")
    return await store(file, target, file._session, local_folder(str(folder)))  # type: ignore[arg-type]


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("at", [BLOCK // 2, 3 * BLOCK, 3 * BLOCK + 1000])
def test_a_connection_that_breaks_while_blocks_are_written(
    files: FileServer, reader: Client, drive: Any, tmp_path: Path, ranges: bool, at: int
) -> None:
    file, files.ranges = FileOutput(files.put("out.bin", BIG), reader.session), ranges
    files.breaks["out.bin"] = [at, at + 10] if not ranges else [at, 10]
    record = drive(stored(file, tmp_path))
    assert (record.size, record.sha256) == (len(BIG), hashlib.sha256(BIG).hexdigest())
    assert Path(record.url).read_bytes() == BIG


class Changing:
    """A body that breaks off, and is another one the next time."""

    status_code, headers = 200, {"content-length": str(len(BIG))}

    def __init__(self, content: bytes, end: int | None = None) -> None:
        self._content, self._end = content, end

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        for start in range(0, self._end or len(self._content), 1000):
            yield self._content[start : start + 1000]

    async def aclose(self) -> None:
        pass


def test_a_file_that_changed_is_seen_with_blocks_that_are_still_to_be_written(reader: Client) -> None:
    session: Any = reader.session

    async def read() -> None:
        download = Download("https://files.test/a", session, Changing(BIG, 2 * BLOCK + 500))
        download._opener = Reopening(session, Changing(bytes([BIG[0] ^ 1]) + BIG[1:]))
        async for _ in download.blocks():
            pass

    with pytest.raises(FileError, match="changed while it was read"):
        run(read())


class Reopening:
    """Opens what it is given."""

    def __init__(self, session: Any, body: Changing) -> None:
        self._session, self._body = session, body

    async def open_file(self, url: str, *, headers: object = None) -> Changing:
        return self._body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class Shelf:
    """A store that keeps what it gets, as it gets it."""

    def __init__(self) -> None:
        self.url, self.parts = "shelf://", list[bytes]()

    def join(self, name: str, /) -> Shelf:
        return self

    def open_writer(self, notes: object, /, *, later: bool) -> Shelf:
        return self

    def write(self, data: bytes, /) -> None:
        self.parts.append(data)

    def commit(self, location: object, /) -> None:
        pass


def test_other_stores_may_keep_what_they_are_given(files: FileServer, reader: Client, drive: Any) -> None:
    shelf: Any = Shelf()
    file = FileOutput(files.put("out.bin", BIG), reader.session)
    drive(store(file, Target(folder="shelf://", stem="out", prediction_id="p1"), reader.session, shelf))
    assert {type(each) for each in shelf.parts} == {bytes}
    assert b"".join(shelf.parts) == BIG
