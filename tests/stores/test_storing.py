"""Output files arrive in local folders whole and under the right name, with the package alone."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import FileOutput, SaveTo
from replicate_kit._formats.file_names import partial_name
from replicate_kit._formats.store_urls import local_path
from replicate_kit._runtime.blocking import run
from replicate_kit.errors import FileError, FileExpired
from replicate_kit.storage import StoredFile
from replicate_kit.stores._local import LocalLocation, is_local, local_folder
from replicate_kit.testing import FileServer
from tests.waiting import until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
BIG = os.urandom(3 * 2**20 + 7)

Store = Callable[..., Any]


def read(url: str) -> bytes:
    """Read what a stored file's path or URL leads to."""
    path = local_path(url)
    assert path is not None
    return Path(path).read_bytes()


def test_file_arrives_in_a_local_folder_that_is_made(
    output: Any, store: Store, tmp_path: Path, drive: Any
) -> None:
    stored = drive(store(output("out-0.png", PNG, "image/png"), tmp_path / "new" / "folder"))
    assert stored == os.path.join(tmp_path, "new", "folder", "p1.png")
    assert Path(stored).read_bytes() == PNG
    assert os.listdir(tmp_path / "new" / "folder") == ["p1.png"]


def test_every_file_in_an_output_is_replaced_in_its_place(output: Any, store: Store, drive: Any) -> None:
    made = {"text": "a hill", "pictures": [output("a", PNG), output("b", b"ID3sound")], "none": None}
    stored = drive(store(made, "shelf"))
    assert stored == {
        "text": "a hill",
        "pictures": ["shelf/p1-0.png", "shelf/p1-1.mp3"],
        "none": None,
    }


def test_data_url_is_stored_without_a_request(files: FileServer, store: Store, drive: Any) -> None:
    stored = drive(store(FileOutput("data:text/plain;base64,aGVsbG8="), "shelf"))
    assert (stored, Path(stored).read_bytes(), files.asked) == ("shelf/p1.txt", b"hello", [])


@pytest.mark.parametrize("folder", ["local", "file://local"])
def test_empty_file_is_a_file(
    output: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    assert read(run(store(output("out.txt", b""), folder))) == b""


def test_record_tells_everything_of_the_file(output: Any, store: Store, drive: Any) -> None:
    records: list[StoredFile] = []
    file = output("out.png", BIG, "image/png")
    drive(store(file, "shelf", row=7, input_key="abc", on_stored=records.append))
    (record,) = records
    assert record.saved_at is not None
    assert datetime.now(UTC) >= record.saved_at
    assert StoredFile.from_json(record.to_json()) == record
    known = {key: value for key, value in record.to_json().items() if key != "saved_at"}
    assert known == {
        "url": "shelf/p1.png",
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


def test_saved_file_has_the_permissions_of_any_new_file(output: Any, store: Store, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    stored = run(store(output("out.png", PNG), tmp_path))
    assert stat.S_IMODE(os.stat(stored).st_mode) == stat.S_IMODE(os.stat(tmp_path / "other").st_mode)


@pytest.mark.parametrize("folder", ["local", "file://local"])
def test_source_that_breaks_off_for_good_leaves_nothing(
    output: Any,
    store: Store,
    files: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    drive: Any,
    folder: str,
) -> None:
    file = output("out.png", BIG)
    files.breaks["out.png"] = [2 * 2**20]
    files.headers["out.png"]["Content-Range"] = "bytes 0-1/2"
    with pytest.raises(FileError, match=r"File 0 of the prediction p1 could not be stored in .*continued"):
        drive(store(file, folder))
    assert list(tmp_path.rglob("*.p*")) == []


def test_nothing_is_visible_under_the_final_name_before_the_end(
    output: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    original = os.write

    def watching(handle: int, data: Any) -> int:
        seen.append(os.listdir(tmp_path))
        return original(handle, data)

    monkeypatch.setattr(os, "write", watching)
    run(store(output("out.png", BIG), tmp_path))
    assert len(seen) >= 3
    assert all(name.startswith(".p1.png.") and name.endswith(".part") for names in seen for name in names)
    assert os.listdir(tmp_path) == ["p1.png"]


def test_what_killed_processes_left_goes_and_everything_else_stays(
    output: Any, store: Store, tmp_path: Path
) -> None:
    left = tmp_path / partial_name("film.mp4")
    kept = [tmp_path / name for name in (".film.mp4", ".film.mp4.part", "film.mp4.0123abcd.part", "film.mp4")]
    for each in (left, *kept):
        each.touch()
        os.utime(each, (time.time() - 2 * 3600,) * 2)
    under_way = tmp_path / partial_name("film.mp4")
    under_way.touch()
    run(store(output("out.png", BIG), tmp_path))
    assert {*tmp_path.iterdir()} == {*kept, under_way, tmp_path / "p1.png"}


def test_folder_that_may_not_be_listed_takes_files(
    output: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: str) -> Any:
        raise PermissionError(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert Path(run(store(output("out.png", BIG), tmp_path))).is_file()


@pytest.mark.parametrize("folder", ["local", "file://local"])
def test_cancelled_transfer_leaves_nothing(
    output: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    file = output("out.png", BIG)

    def begun() -> bool:
        return any(tmp_path.rglob("*.part"))

    async def main() -> None:
        task = asyncio.create_task(store(file, folder))
        await asyncio.to_thread(until, begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert not begun()


def test_expired_source_names_the_prediction(output: Any, store: Store, files: FileServer) -> None:
    file = output("out.png", PNG)
    files.status["out.png"] = 404
    with pytest.raises(FileExpired, match=r"File 0 of the prediction p1 .* is gone"):
        run(store(file, "shelf"))


def test_transfer_that_breaks_off_is_resumed(output: Any, store: Store, files: FileServer) -> None:
    file = output("out.png", BIG)
    files.breaks["out.png"] = [2**20]
    assert Path(run(store(file, "shelf"))).read_bytes() == BIG
    assert [each.range for each in files.asked] == [None, f"bytes={2**20}-"]


def test_earlier_files_of_an_output_stay_and_are_recorded_when_a_later_one_fails(
    output: Any, store: Store, files: FileServer
) -> None:
    made, records = [output("a.png", PNG), output("b.png", PNG)], list[StoredFile]()
    files.status["b.png"] = 404
    with pytest.raises(FileExpired, match="File 1 of the prediction p1"):
        run(store(made, "shelf", on_stored=records.append))
    assert [each.url for each in records] == ["shelf/p1-0.png"]
    assert os.listdir("shelf") == ["p1-0.png"]


@pytest.mark.parametrize("folder", ["local", "file://local"])
class TestWhereANameIsTaken:
    """What `if_exists` does."""

    @pytest.fixture(autouse=True)
    def _before(self, output: Any, store: Store, folder: str) -> None:
        run(store(output("first.png", PNG, "image/png"), folder))

    def content(self, url: str) -> bytes:
        return read(url)

    def test_overwrite_replaces_it(self, output: Any, store: Store, folder: str) -> None:
        assert self.content(run(store(output("second.png", BIG), folder))) == BIG

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


def test_whoever_is_faster_keeps_the_name(
    output: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalLocation, "size", lambda self: None)  # nobody sees the other coming
    run(store(output("first.png", PNG), tmp_path))
    stored = run(store(output("second.png", BIG), SaveTo(str(tmp_path), if_exists="skip")))
    assert Path(stored).read_bytes() == PNG
    assert os.listdir(tmp_path) == ["p1.png"]


def test_known_file_that_is_still_there_is_not_transferred_again(
    output: Any, store: Store, files: FileServer, drive: Any
) -> None:
    records: list[StoredFile] = []
    file = output("out.png", PNG)
    run(store(file, "shelf", on_stored=records.append))
    files.asked.clear()
    assert drive(store(file, "shelf", stored=records)) == "shelf/p1.png"
    assert files.asked == []


@pytest.mark.parametrize("folder", ["local/", "file://local/"])
def test_template_names_the_files(
    output: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    digest = hashlib.sha256(PNG).hexdigest()
    made = output("out.png", PNG)
    assert run(store(made, folder + "{model}/{prediction_id}/{index}{ext}")) == folder + "acme-draw/p1/0.png"
    assert run(store(made, folder + "{sha256}{ext}")) == f"{folder}{digest}.png"
    fields = {"prompt": "../A hill"}
    assert (
        run(store(made, folder + "{row:03}-{prompt}.jpg", row=5, fields=fields)) == folder + "005-A-hill.jpg"
    )


def test_same_content_is_stored_once_under_its_digest(output: Any, store: Store) -> None:
    save_to = SaveTo("shelf", name="{sha256}{ext}", if_exists="skip")
    stored = run(store([output("a.png", PNG), output("b.png", PNG)], save_to))
    assert stored[0] == stored[1]
    assert len(os.listdir("shelf")) == 1


@pytest.mark.parametrize(
    ("folder", "stored"),
    [
        ("file://{tmp}/a b", "file://{tmp}/a b/p1.png"),
        ("file://{tmp}/a/", "file://{tmp}/a/p1.png"),
        ("local://{tmp}", "local://{tmp}/p1.png"),
        ("file://relative", "file://relative/p1.png"),
        ("relative", "relative/p1.png"),
        ("./relative//", "./relative//p1.png"),
        ("a/../relative", "a/../relative/p1.png"),
        (".", "./p1.png"),
        ("{tmp}/größer \N{SNOWMAN}", "{tmp}/größer \N{SNOWMAN}/p1.png"),
        ("{tmp}/100%23#?", "{tmp}/100%23#?/p1.png"),
        ("./shelf:", "./shelf:/p1.png"),
        ("./a:b", "./a:b/p1.png"),
        ("./s3:", "./s3:/p1.png"),
        ("link/../up", "link/../up/p1.png"),
        ("~/pictures", "{tmp}/home/pictures/p1.png"),
        ("file://~/pictures", "file://~/pictures/p1.png"),
    ],
)
def test_path_or_url_leads_to_the_file_and_the_second_time_nothing_is_transferred(
    output: Any,
    store: Store,
    files: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    stored: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to("deep/er")
    records: list[StoredFile] = []
    file = output("out-0.png", PNG)
    found = run(store(file, folder.format(tmp=tmp_path), on_stored=records.append))
    assert found == stored.format(tmp=tmp_path)
    assert read(found) == PNG
    files.asked.clear()
    assert run(store(file, folder.format(tmp=tmp_path), stored=records)) == found
    assert files.asked == []


def test_pathlib_path_is_a_folder(output: Any, store: Store, tmp_path: Path) -> None:
    assert run(store(output("out.png", PNG), tmp_path / "a")) == str(tmp_path / "a" / "p1.png")


def test_name_that_is_no_text_is_a_folder(output: Any, store: Store, tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    assert Path(run(store(output("out.png", PNG), folder))).read_bytes() == PNG


def test_symbolic_links_are_followed_to_folders_and_replaced_as_files(
    output: Any, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / "real" / "p1.png").symlink_to(tmp_path / "precious")
    assert run(store(output("out.png", PNG), "link")) == "link/p1.png"
    assert (tmp_path / "real" / "p1.png").read_bytes() == PNG
    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_link_that_leads_nowhere_is_a_name_that_is_taken(output: Any, store: Store, tmp_path: Path) -> None:
    (tmp_path / "p1.png").symlink_to("nowhere")
    with pytest.raises(FileError, match="is there already"):
        run(store(output("out.png", PNG), SaveTo(str(tmp_path), if_exists="error")))
    assert (tmp_path / "p1.png").is_symlink()


@pytest.mark.parametrize("if_exists", ["overwrite", "skip", "error"])
def test_folder_that_has_the_files_name_is_told(
    output: Any, store: Store, tmp_path: Path, if_exists: Any
) -> None:
    (tmp_path / "p1.png").mkdir()
    with pytest.raises(FileError, match=r"did not take the file: IsADirectoryError|is there already"):
        run(store(output("out.png", PNG), SaveTo(str(tmp_path), if_exists=if_exists)))
    assert os.listdir(tmp_path) == ["p1.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs here")
@pytest.mark.parametrize("if_exists", ["overwrite", "skip", "error"])
def test_what_is_no_file_and_has_the_files_name_stays(
    output: Any, store: Store, tmp_path: Path, if_exists: Any
) -> None:
    os.mkfifo(tmp_path / "p1.png")
    with suppress(FileError):
        run(store(output("out.png", PNG), SaveTo(str(tmp_path), if_exists=if_exists)))
    assert (tmp_path / "p1.png").is_fifo()
    assert os.listdir(tmp_path) == ["p1.png"]


def test_a_link_of_the_files_name_is_replaced_and_not_followed(
    output: Any, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "p1.png").symlink_to("../elsewhere")
    run(store(output("out.png", PNG), SaveTo(str(tmp_path / "folder"), if_exists="overwrite")))
    assert (tmp_path / "folder" / "p1.png").read_bytes() == PNG
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"


@pytest.mark.parametrize("if_exists", ["overwrite", "skip", "error"])
def test_file_in_the_way_of_a_folder_of_the_name_is_told(
    output: Any, store: Store, tmp_path: Path, if_exists: Any
) -> None:
    (tmp_path / "acme-draw").write_bytes(b"mine")
    save_to = SaveTo(str(tmp_path), name="{model}/{prediction_id}{ext}", if_exists=if_exists)
    with pytest.raises(FileError, match="did not take the file: NotADirectoryError"):
        run(store(output("out.png", PNG), save_to))
    assert (tmp_path / "acme-draw").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "name", ["{sha256}{ext}", "{sha256}/{index}{ext}", "{model}/{sha256}/a/{sha256}{ext}"]
)
@pytest.mark.parametrize("if_exists", ["overwrite", "skip"])
def test_digest_may_name_folders(
    output: Any, store: Store, tmp_path: Path, name: str, if_exists: Any
) -> None:
    file, digest = output("out.png", PNG), hashlib.sha256(PNG).hexdigest()
    for _ in range(2):
        stored = run(store(file, SaveTo(str(tmp_path), name=name, if_exists=if_exists)))
        assert Path(stored).read_bytes() == PNG
        assert digest in stored
    assert [each for each in tmp_path.rglob("*") if "{" in each.name or each.name.endswith(".part")] == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace"])
def test_disk_that_fails_in_the_middle_is_told_and_nothing_is_left(
    output: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    file, real = output("out.png", BIG), getattr(os, step)

    def fail(*args: Any, **options: Any) -> Any:
        if step == "open" and not str(args[0]).endswith(".part"):
            return real(*args, **options)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(FileError, match=os.strerror(number)) as caught:
            run(store(file, tmp_path))
    assert os.listdir(tmp_path) == []
    if number in (errno.ENOSPC, errno.EDQUOT):
        assert "Make room there" in str(caught.value)
    if number == errno.EACCES:
        assert "Change its rights, or pass another folder" in str(caught.value)
    assert Path(run(store(file, tmp_path))).read_bytes() == BIG


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EACCES])
def test_disk_without_hard_links_takes_files_that_must_not_be_replaced(
    output: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*args: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    save_to = SaveTo(str(tmp_path), if_exists="skip")
    assert Path(run(store(output("first.png", PNG), save_to))).read_bytes() == PNG
    monkeypatch.setattr(LocalLocation, "size", lambda self: None)  # nobody sees the other coming
    assert Path(run(store(output("second.png", BIG), save_to))).read_bytes() == PNG
    assert os.listdir(tmp_path) == ["p1.png"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.ENOTSUP])
def test_folder_that_cannot_be_synchronised_takes_files(
    output: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = os.open

    def refuse(path: Any, flags: int, *args: Any) -> int:
        if flags & os.O_DIRECTORY:
            raise OSError(number, os.strerror(number))
        return real(path, flags, *args)

    monkeypatch.setattr(os, "open", refuse)
    assert Path(run(store(output("out.png", PNG), tmp_path))).read_bytes() == PNG


@pytest.mark.parametrize(
    ("folder", "local"),
    [
        (r"C:\pictures", True),
        ("C:/pictures", True),
        ("c:pictures", True),
        (r"\\server\share\pictures", True),
        ("file:///C:/pictures", True),
        ("local://pictures", True),
        ("pictures", True),
        ("s3://bucket", False),
        ("FILE:///tmp", False),
        ("simplecache::file:///tmp", False),
        ("file:///tmp::memory://a", False),
    ],
)
def test_drives_and_paths_are_told_from_urls_of_stores(folder: str, local: bool) -> None:
    assert is_local(folder) == local
    if local:
        local_folder(folder)


def test_file_that_was_cut_is_transferred_again(output: Any, store: Store, tmp_path: Path) -> None:
    records: list[StoredFile] = []
    file = output("out.png", PNG)
    path = run(store(file, tmp_path, on_stored=records.append))
    for change in (lambda: Path(path).write_bytes(PNG[:10]), lambda: Path(path).unlink()):
        change()
        run(store(file, tmp_path, stored=records))
        assert Path(path).read_bytes() == PNG


def test_record_of_another_folder_is_of_no_use_here(output: Any, store: Store) -> None:
    records: list[StoredFile] = []
    file = output("out.png", PNG)
    run(store(file, "here", on_stored=records.append))
    assert run(store(file, "there", stored=records)) == "there/p1.png"
    assert read("there/p1.png") == PNG


def test_package_alone_saves_to_folders(tmp_path: Path) -> None:
    code = """
import sys
for name in ("fsspec", "replicate_kit_fsspec"):
    sys.modules[name] = None
from replicate_kit import Client, SaveTo, errors
client = Client(backend="mock")
(path,) = client.run("demo/painter", {"prompt": "sea"}, save_to=SaveTo("pictures", manifest=True))
rows = [{"prompt": "sea"}, {"prompt": "hill"}]
with client.map("demo/painter", rows, save_to="pictures/{row}{ext}", progress=False) as results:
    assert sorted(result.output[0] for result in results) == ["pictures/0.png", "pictures/1.png"]
try:
    client.run("demo/painter", {"prompt": "sea"}, save_to="s3://bucket/a")
except errors.MissingExtraError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.stdout == (
        "save_to='s3://bucket/a' needs an optional part. Install it with: pip install \"replicate-kit[s3]\"\n"
    ), done.stderr
    assert len(os.listdir(tmp_path / "pictures")) == 4
