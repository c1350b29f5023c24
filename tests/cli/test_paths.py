"""Paths that are typed wrong: each is refused with its reason, before anything is done, and nothing is changed."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from replicate_kit.cli._paths import Unwritable, check_folder, check_writable, said_of
from replicate_kit.simulator import default

pytestmark = pytest.mark.slow  # a large family

Invoke = Callable[..., Result]

MAP = ("map", "demo/poet", "t.csv")
SERVE = ("serve", "--port", 0, "--https-port", 0)
JOURNAL_COMMANDS: dict[str, tuple[object, ...]] = {
    "list": ("journal", "list", "PATH"),
    "export": ("journal", "export", "PATH", "all.csv"),
    "prune": ("journal", "prune", "PATH", "--yes"),
    "retry": ("journal", "retry", "PATH"),
    "settle": ("journal", "settle", "PATH"),
    "settle a row": ("journal", "settle", "PATH", "aa", "--none"),
    "hash-inputs": ("journal", "hash-inputs", "PATH", "--yes"),
    "remove": ("journal", "remove", "PATH", "--yes"),
}
READING: dict[str, tuple[object, ...]] = {
    **JOURNAL_COMMANDS,
    "map": ("map", "demo/poet", "PATH"),
    "serve": (*SERVE, "PATH"),
    "verify": ("files", "verify", "PATH"),
}
WRITING: dict[str, tuple[object, ...]] = {
    "map --out": (*MAP, "--out", "PATH"),
    "map --gallery": (*MAP, "--gallery", "PATH"),
    "map --journal": (*MAP, "--journal", "PATH"),
    "map --save-to": (*MAP, "--save-to", "PATH"),
    "run --save-to": ("run", "demo/poet", "prompt=sea", "--save-to", "PATH"),
    "export": ("journal", "export", "j.sqlite", "PATH"),
    "demo": ("demo", "--fast", "--out", "PATH"),
    "serve --state": (*SERVE, "--state", "PATH"),
    "serve --authority": (*SERVE, "--authority", "PATH"),
}
FOLDERS = ("map --save-to", "run --save-to", "demo", "serve --state")


@pytest.fixture(autouse=True)
def _folder(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a table, a journal, and files of other kinds."""
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("prompt\nsea\n")
    assert invoke(*MAP, "--journal", "j.sqlite").exit_code == 0
    Path("folder").mkdir()
    Path("empty").touch()
    Path("bytes").write_bytes(b"\0\1\xff" * 50)
    Path("damaged").write_bytes(b"SQLite format 3\0 and then something else" * 9)
    with closing(sqlite3.connect("other.sqlite")) as other:
        other.execute("CREATE TABLE wombats (name)")


def refused(result: Result, *said: str) -> None:
    """What was typed is wrong, and the message says how, in words."""
    assert result.exit_code == 2, result.output
    assert "Error: " in result.stderr
    assert all(words in result.stderr for words in said), result.stderr
    assert not any(words in result.output for words in ("Traceback", "Errno", "None)")), result.output


def filled(command: tuple[object, ...], path: str) -> list[object]:
    return [path if each == "PATH" else each for each in command]


def contents() -> dict[str, tuple[int, bytes]]:
    """All files, with their modes: what is refused is not to be changed, either."""
    return {
        str(each): (stat.S_IMODE(each.stat().st_mode), each.read_bytes())
        for each in Path().rglob("*")
        if each.is_file()
    }


@pytest.mark.parametrize("command", READING.values(), ids=READING)
@pytest.mark.parametrize(
    "path",
    ["missing", "missing.csv", "nowhere/a.py", "", " ", "-", "a\0b", "a\nb", "t.csv/below", "x" * 5000],
)
def test_what_cannot_be_read_is_refused(invoke: Invoke, command: tuple[object, ...], path: str) -> None:
    before = contents()
    refused(invoke(*filled(command, path)))
    assert contents() == before


@pytest.mark.parametrize("command", {**READING, **WRITING}.values(), ids={**READING, **WRITING})
@pytest.mark.parametrize(
    "url",
    ["postgresql://me:hunter2@host/db", "s3://key:hunter2@bucket/a", "sftp://me:hunter2@host/a.csv?x=1"],
)
def test_what_is_typed_as_a_url_is_told_without_its_password(
    invoke: Invoke, command: tuple[object, ...], url: str
) -> None:
    result = invoke(*filled(command, url))
    assert "hunter2" not in result.output + result.stderr


@pytest.mark.parametrize("command", [*JOURNAL_COMMANDS.values(), WRITING["map --journal"]])
@pytest.mark.parametrize("path", ["t.csv", "bytes", "damaged", "other.sqlite"])
def test_a_file_that_is_no_journal_is_neither_used_nor_changed(
    invoke: Invoke, command: tuple[object, ...], path: str
) -> None:
    before = contents()
    refused(invoke(*filled(command, path)), f"'{path}' is not a journal")
    assert contents() == before


@pytest.mark.parametrize("command", JOURNAL_COMMANDS.values(), ids=JOURNAL_COMMANDS)
def test_an_empty_file_is_not_made_a_journal_by_looking_at_it(
    invoke: Invoke, command: tuple[object, ...]
) -> None:
    refused(invoke(*filled(command, "empty")), "'empty' is not a journal")
    assert Path("empty").read_bytes() == b""


@pytest.mark.parametrize("command", READING.values(), ids=READING)
def test_a_folder_for_a_file_or_a_file_for_a_folder_is_refused(
    invoke: Invoke, command: tuple[object, ...]
) -> None:
    path = "t.csv" if command == READING["verify"] else "folder"
    refused(invoke(*filled(command, path)), f"'{path}' is a")


@pytest.mark.parametrize("command", WRITING.values(), ids=WRITING)
@pytest.mark.parametrize("path", ["", " ", "a\0b", "t.csv/below.csv", "t.csv/below/it.csv", "x" * 5000])
def test_what_cannot_be_written_is_refused_before_anything_is_created(
    invoke: Invoke, command: tuple[object, ...], path: str
) -> None:
    before, created = contents(), default().created
    refused(invoke(*filled(command, path)))
    assert (contents(), default().created) == (before, created)


@pytest.mark.parametrize("name", [name for name in WRITING if name != "map --out"])
def test_standard_output_takes_results_alone(invoke: Invoke, name: str) -> None:
    before, created = contents(), default().created
    refused(invoke(*filled(WRITING[name], "-")), "standard")
    assert (contents(), default().created) == (before, created)


@pytest.mark.parametrize("name", WRITING)
def test_what_is_of_the_other_kind_is_not_written_to(invoke: Invoke, name: str) -> None:
    before, created = contents(), default().created
    path = "t.csv" if name in FOLDERS else "folder"
    refused(invoke(*filled(WRITING[name], path)), f"'{path}' is a")
    assert (contents(), default().created) == (before, created)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
@pytest.mark.parametrize(
    ("name", "path"),
    [("map --out", "/proc/x.csv"), ("map --gallery", "/proc/x"), ("demo", "/proc/x"), ("export", "/proc/x.csv"),
     ("serve --state", "/proc/x"), ("serve --authority", "/proc/x")],
)  # fmt: skip
def test_a_file_system_that_takes_no_files_is_told_in_words(invoke: Invoke, name: str, path: str) -> None:
    created = default().created
    refused(invoke(*filled(WRITING[name], path)), f"{path} cannot be written (No such file or directory)")
    assert default().created == created


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize(
    "name", ["map --out", "map --gallery", "map --journal", "export", "serve --authority"]
)
def test_a_device_or_a_pipe_is_not_replaced(invoke: Invoke, name: str) -> None:
    os.mkfifo("pipe.csv")
    refused(invoke(*filled(WRITING[name], "pipe.csv")), "is a device or a pipe")
    assert stat.S_ISFIFO(Path("pipe.csv").stat().st_mode)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--out", "./t.csv"), "--out is the table itself"),
        (("--gallery", "./t.csv"), "--gallery is the table itself"),
        (("--out", "o.csv", "--gallery", "folder/../o.csv"), "--gallery is --out"),
        (("--out", "j.csv", "--journal", "j.csv"), "--out is the journal"),
        (("--gallery", "j.sqlite", "--journal", "j.sqlite"), "--gallery is the journal"),
        (("--gallery", "t-results.csv"), "--gallery is --out"),
    ],
)
def test_no_file_is_written_over_another_of_the_same_run(
    invoke: Invoke, options: tuple[str, ...], said: str
) -> None:
    before, created = contents(), default().created
    refused(invoke(*MAP, *options), said)
    assert (contents(), default().created) == (before, created)


def test_an_export_is_not_written_over_its_journal(invoke: Invoke) -> None:
    Path("j.sqlite").rename("j.csv")
    before = contents()
    refused(invoke("journal", "export", "j.csv", "./j.csv"), "the table is the journal")
    assert contents() == before


def test_a_journal_whose_mark_is_still_in_the_log_of_sqlite_is_one(invoke: Invoke, tmp_path: Path) -> None:
    with closing(sqlite3.connect("young.sqlite")) as young:
        young.execute("PRAGMA journal_mode = WAL")
        young.execute("PRAGMA application_id = 1")
        result = invoke("journal", "list", "young.sqlite")
    assert "is an SQLite database, and not a journal" in result.stderr


@pytest.mark.parametrize("check", [check_writable, check_folder])
@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOENT, 2), (errno.EACCES, 1), (errno.EROFS, 1), (errno.ENOSPC, 1), (errno.ENAMETOOLONG, 2)],
)
def test_what_can_never_be_is_wrong_usage_and_what_is_refused_now_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, check: Callable[[Path], None], number: int, code: int
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("replicate_kit.cli._paths.TemporaryFile", refuse)
    assert tempfile.TemporaryFile is not refuse
    with pytest.raises(Unwritable) as failed:
        check(tmp_path / "new")
    assert failed.value.exit_code == code
    assert os.strerror(number) in failed.value.message


def test_what_may_not_be_looked_at_is_not_said_to_be_missing(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Path.stat

    def refuse(path: Path, **options: Any) -> os.stat_result:
        if path.name == "closed.csv":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    refused(invoke("map", "demo/poet", "closed.csv"), "'closed.csv': Permission denied.")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "a"), "'a': No such file or directory."),
        (OSError(18, "Invalid cross-device link", "a", None, "b"), "'a' and 'b': Invalid cross-device link."),
        (OSError(28, "No space left on device"), "No space left on device."),
        (OSError("odd"), "odd"),
    ],
)
def test_errors_of_the_system_are_told_without_their_numbers(error: OSError, said: str) -> None:
    assert said_of(error) == said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "lists no files. Such a list is kept where --manifest asks for it."),
        ("", "lists no files"),
        ("not json\n[1]\n", "lists no files"),
        ('{"name": "a.png"}\n', "has a line that is no record of a file"),
        (
            '{"name": "a", "url": "a", "source": "b", "saved_at": "soon"}\n',
            "has a line that is no record of a file",
        ),
        ("a folder", "cannot be read (Is a directory). Check its rights."),
    ],
)
def test_a_manifest_that_cannot_be_used_is_told(invoke: Invoke, content: str | None, said: str) -> None:
    manifest = Path("folder/manifest.jsonl")
    if content == "a folder":
        manifest.mkdir()
    elif content is not None:
        manifest.write_text(content)
    result = invoke("files", "verify", "folder")
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Errno" not in result.stderr
