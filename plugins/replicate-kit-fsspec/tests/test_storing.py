"""Output files arrive at their target whole, under the right name, on every kind of store."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from replicate_kit import Client, SaveTo
from replicate_kit._runtime.blocking import run
from replicate_kit.errors import ConfigError, FileError, FileExpired, MissingExtraError
from replicate_kit.storage import StoredFile
from replicate_kit.stores._saving import check_target, store_outputs
from replicate_kit.testing import FileServer

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
BIG = os.urandom(3 * 2**20 + 7)

Store = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture
def store(client: Client) -> Store:
    """Stores an output: a function of it and its folder."""

    def storing(output: Any, folder: Any, **options: Any) -> Coroutine[Any, Any, Any]:
        known = {"prediction_id": "p1", "model": "acme/draw", **options}
        return store_outputs(output, folder=folder, session=client.session, **known)

    return storing


def test_file_arrives_in_memory(output: Any, store: Store, memory: Any, drive: Any) -> None:
    stored = drive(store(output("out-0.png", PNG, "image/png"), "memory://shelf/"))
    assert stored == "memory://shelf/p1.png"
    assert memory.cat(stored) == PNG
    assert memory.find("/") == ["/shelf/p1.png"]


@pytest.mark.parametrize(
    ("folder", "stored"),
    [
        ("file://{tmp}/a b", "file://{tmp}/a b/p1.png"),
        ("local://{tmp}", "local://{tmp}/p1.png"),
        ("relative", "relative/p1.png"),
        ("./relative//", "./relative//p1.png"),
        ("~/pictures", "{tmp}/home/pictures/p1.png"),
        ("dir://sub::memory://shelf", "dir://sub/p1.png::memory://shelf"),
        ("simplecache::memory://shelf", "memory://shelf/p1.png"),
        ("memory://", "memory://p1.png"),
    ],
)
def test_url_leads_to_the_file(
    output: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, stored: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = run(store(output("out-0.png", PNG), folder.format(tmp=tmp_path)))
    assert found == stored.format(tmp=tmp_path)
    with fsspec.open(found, "rb") as file:
        assert file.read() == PNG


def test_every_file_in_an_output_is_replaced_in_its_place(output: Any, store: Store, drive: Any) -> None:
    made = {"text": "a hill", "pictures": [output("a", PNG), output("b", b"ID3sound")], "none": None}
    stored = drive(store(made, "memory://shelf"))
    assert stored == {
        "text": "a hill",
        "pictures": ["memory://shelf/p1-0.png", "memory://shelf/p1-1.mp3"],
        "none": None,
    }


def test_data_url_is_stored_without_a_request(
    files: FileServer, store: Store, memory: Any, drive: Any
) -> None:
    from replicate_kit import FileOutput

    stored = drive(store(FileOutput("data:text/plain;base64,aGVsbG8="), "memory://shelf"))
    assert (stored, memory.cat(stored), files.asked) == ("memory://shelf/p1.txt", b"hello", [])


def test_record_tells_everything_of_the_file(output: Any, store: Store, drive: Any) -> None:
    records: list[StoredFile] = []
    file = output("out.png", BIG, "image/png")
    drive(store(file, "memory://shelf", row=7, input_key="abc", on_stored=records.append))
    (record,) = records
    assert record.saved_at is not None
    assert datetime.now(UTC) >= record.saved_at
    assert StoredFile.from_json(record.to_json()) == record
    known = {key: value for key, value in record.to_json().items() if key != "saved_at"}
    assert known == {
        "url": "memory://shelf/p1.png",
        "source": str(file),
        "index": 0,
        "prediction_id": "p1",
        "size": len(BIG),
        "sha256": hashlib.sha256(BIG).hexdigest(),
        "content_type": "image/png",
        "row": 7,
        "input_key": "abc",
        "model": None,
        "created_at": None,
    }


@pytest.mark.parametrize("folder", ["memory://shelf"])
def test_source_that_breaks_off_for_good_leaves_nothing(
    output: Any,
    store: Store,
    files: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    drive: Any,
    folder: str,
    memory: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    file = output("out.png", BIG)
    files.breaks["out.png"] = [2 * 2**20]
    files.headers["out.png"]["Content-Range"] = "bytes 0-1/2"
    with pytest.raises(FileError, match=r"File 0 of the prediction p1 could not be stored in .*continued"):
        drive(store(file, folder))
    assert (memory.find("/"), list(tmp_path.rglob("*.p*"))) == ([], [])


def until(done: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    while not done():
        time.sleep(0.0005)


@pytest.mark.parametrize("folder", ["memory://shelf"])
def test_cancelled_transfer_leaves_nothing(
    output: Any, store: Store, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = output("out.png", BIG)

    def begun() -> bool:
        return any(tmp_path.rglob("*.part")) or bool(memory.find("/"))

    async def main() -> None:
        task = asyncio.create_task(store(file, folder))
        await asyncio.to_thread(until, begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert not begun()


def test_store_that_fails_is_told_apart_from_a_source_that_does(
    output: Any, store: Store, monkeypatch: pytest.MonkeyPatch, drive: Any, memory: Any
) -> None:
    def full(self: MemoryFile, data: bytes) -> int:
        raise RuntimeError("the shelf is full")

    monkeypatch.setattr(MemoryFile, "write", full)
    with pytest.raises(
        FileError, match=r"'memory://shelf' did not take the file: RuntimeError: the shelf is full"
    ):
        drive(store(output("out.png", PNG), "memory://shelf"))
    assert memory.find("/") == []


def test_expired_source_names_the_prediction(output: Any, store: Store, files: FileServer) -> None:
    file = output("out.png", PNG)
    files.status["out.png"] = 404
    with pytest.raises(FileExpired, match=r"File 0 of the prediction p1 .* is gone"):
        run(store(file, "memory://shelf"))


def test_transfer_that_breaks_off_is_resumed(
    output: Any, store: Store, files: FileServer, memory: Any
) -> None:
    file = output("out.png", BIG)
    files.breaks["out.png"] = [2**20]
    assert memory.cat(run(store(file, "memory://shelf"))) == BIG
    assert [each.range for each in files.asked] == [None, f"bytes={2**20}-"]


def test_earlier_files_of_an_output_stay_and_are_recorded_when_a_later_one_fails(
    output: Any, store: Store, files: FileServer, memory: Any
) -> None:
    made, records = [output("a.png", PNG), output("b.png", PNG)], list[StoredFile]()
    files.status["b.png"] = 404
    with pytest.raises(FileExpired, match="File 1 of the prediction p1"):
        run(store(made, "memory://shelf", on_stored=records.append))
    assert [each.url for each in records] == ["memory://shelf/p1-0.png"]
    assert memory.find("/") == ["/shelf/p1-0.png"]


@pytest.mark.parametrize("folder", ["memory://shelf"])
class TestWhereANameIsTaken:
    """What `if_exists` does."""

    @pytest.fixture(autouse=True)
    def _before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: Any, store: Store, folder: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        run(store(output("first.png", PNG, "image/png"), folder))

    def content(self, url: str) -> bytes:
        with fsspec.open(url, "rb") as file:
            return bytes(file.read())

    def test_skip_keeps_it_and_asks_nothing(
        self, output: Any, store: Store, files: FileServer, folder: str
    ) -> None:
        file = output("second.png", BIG)
        files.asked.clear()
        stored = run(store(file, SaveTo(folder, if_exists="skip")))
        assert (self.content(stored), files.asked) == (PNG, [])

    def test_skip_knows_the_name_by_the_type_at_last(self, output: Any, store: Store, folder: str) -> None:
        file = output("second", BIG, "image/png")
        assert self.content(run(store(file, SaveTo(folder, if_exists="skip")))) == PNG

    def test_error_keeps_it_and_says_what_to_do(self, output: Any, store: Store, folder: str) -> None:
        with pytest.raises(FileError, match=r"is there already\. Pass another folder or name"):
            run(store(output("second.png", BIG), SaveTo(folder, if_exists="error")))


def test_known_file_that_is_still_there_is_not_transferred_again(
    output: Any, store: Store, files: FileServer, memory: Any, drive: Any
) -> None:
    records: list[StoredFile] = []
    file = output("out.png", PNG)
    run(store(file, "memory://shelf", on_stored=records.append))
    files.asked.clear()
    assert drive(store(file, "memory://shelf", stored=records)) == "memory://shelf/p1.png"
    assert files.asked == []


def test_known_file_that_is_gone_or_cut_is_transferred_again(
    output: Any, store: Store, memory: Any, tmp_path: Path
) -> None:
    records: list[StoredFile] = []
    file = output("out.png", PNG)
    path = run(store(file, tmp_path, on_stored=records.append))
    Path(path).write_bytes(PNG[:10])
    run(store(file, tmp_path, stored=records))
    assert Path(path).read_bytes() == PNG
    assert run(store(file, "memory://elsewhere", stored=records)) == "memory://elsewhere/p1.png"


@pytest.mark.parametrize("folder", ["memory://shelf/"])
def test_template_names_the_files(
    output: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    digest = hashlib.sha256(PNG).hexdigest()
    made = output("out.png", PNG)
    assert run(store(made, folder + "{model}/{prediction_id}/{index}{ext}")) == folder + "acme-draw/p1/0.png"
    assert run(store(made, folder + "{sha256}{ext}")) == f"{folder}{digest}.png"
    fields = {"prompt": "../A hill"}
    assert (
        run(store(made, folder + "{row:03}-{prompt}.jpg", row=5, fields=fields)) == folder + "005-A-hill.jpg"
    )


def test_same_content_is_stored_once_under_its_digest(output: Any, store: Store, memory: Any) -> None:
    save_to = SaveTo("memory://shelf", name="{sha256}{ext}", if_exists="skip")
    stored = run(store([output("a.png", PNG), output("b.png", PNG)], save_to))
    assert stored[0] == stored[1]
    assert len(memory.find("/")) == 1


class TestCheck:
    """What is found out before anything is paid for."""

    def test_folder_is_made_and_memory_is_taken(self, client: Client, tmp_path: Path, drive: Any) -> None:
        drive(check_target(tmp_path / "new", client.session))
        drive(check_target("memory://shelf", client.session))
        assert (tmp_path / "new").is_dir()

    def test_unknown_protocol_is_refused(self, client: Client, drive: Any) -> None:
        with pytest.raises(ConfigError, match="fsspec knows no protocol 'shelf'"):
            drive(check_target("shelf://a/b", client.session))

    @pytest.mark.parametrize("url", ["https://example.com/x", "zip://a::memory://b.zip", "replicate://files"])
    def test_place_that_takes_no_files_is_refused(self, client: Client, url: str) -> None:
        with pytest.raises(ConfigError, match="files cannot be saved to"):
            run(check_target(url, client.session))

    @pytest.mark.parametrize(
        ("url", "extra"),
        [
            ("s3://bucket/x", "s3"),
            ("gs://bucket/x", "gcs"),
            ("abfs://bucket/x", "azure"),
            ("simplecache::s3://bucket/x", "s3"),
        ],
    )
    def test_missing_filesystem_names_the_extra(
        self, client: Client, monkeypatch: pytest.MonkeyPatch, url: str, extra: str
    ) -> None:
        real = fsspec.get_filesystem_class

        def missing(protocol: str) -> Any:
            if protocol == "simplecache":
                return real(protocol)
            raise ImportError(protocol)

        monkeypatch.setattr("fsspec.get_filesystem_class", missing)
        with pytest.raises(MissingExtraError, match=rf'pip install "replicate-kit\[{extra}\]"'):
            run(check_target(url, client.session))

    def test_other_missing_filesystem_is_told_in_fsspecs_words(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing(protocol: str) -> Any:
            raise ImportError("Install webdav4 to access WebDAV")

        monkeypatch.setattr("fsspec.get_filesystem_class", missing)
        with pytest.raises(ConfigError, match="Install webdav4"):
            run(check_target("webdav://host/folder", client.session))

    def test_wrong_storage_options_are_refused(self, client: Client) -> None:
        class Picky(MemoryFileSystem):
            protocol = "picky"

            def __init__(self, *, colour: str) -> None:
                super().__init__()

        fsspec.register_implementation("picky", Picky, clobber=True)
        with pytest.raises(ConfigError, match="cannot be opened"):
            run(check_target("picky://shelf", client.session, {"color": "red"}))

    def test_folder_that_may_not_be_written_to_is_refused(
        self, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(FileError, match="may not be written to"):
            run(check_target(tmp_path, client.session))

    def test_file_in_the_place_of_the_folder_is_refused(self, client: Client, tmp_path: Path) -> None:
        (tmp_path / "taken").touch()
        with pytest.raises(FileError, match="cannot be made"):
            run(check_target(tmp_path / "taken", client.session))

    def test_template_is_checked_against_the_fields_that_there_are(self, client: Client) -> None:
        run(check_target("memory://shelf/{prompt}", client.session, fields=["prompt"]))
        with pytest.raises(ConfigError, match="names colour"):
            run(check_target("memory://shelf/{colour}", client.session, fields=["prompt"]))
        with pytest.raises(ConfigError, match="there are no rows here"):
            run(check_target("memory://shelf/{row}", client.session, rows=False))


def test_other_filesystem_that_cannot_move_takes_copies(
    output: Any, store: Store, tmp_path: Path, memory: Any
) -> None:
    class Shelf(DirFileSystem):
        protocol = "shelf"

        def __init__(self, **options: Any) -> None:
            super().__init__(path="/shelf", fs=memory, **options)

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return path.removeprefix("shelf://").strip("/")

    fsspec.register_implementation("shelf", Shelf, clobber=True)
    assert run(store(output("out.png", BIG), "shelf://a")) == "shelf://a/p1.png"
    assert memory.find("/") == ["/shelf/a/p1.png"]
