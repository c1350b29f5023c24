"""The manifest lists what was stored, and `replicate-kit files verify` finds what is no longer so."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from replicate_kit import Client, SaveTo
from replicate_kit._runtime.blocking import run
from replicate_kit.cli import cli
from replicate_kit.errors import FileError
from replicate_kit.storage import StoredFile
from replicate_kit.stores import manifest
from replicate_kit.stores._local import local_folder
from replicate_kit.stores._saving import record_files, store_outputs

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture(params=["local", "file://local", "./local//"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder to store in."""
    monkeypatch.chdir(tmp_path)
    return str(request.param)


async def save(client: Client, output: Any, folder: str, id: str = "p1", **options: Any) -> list[StoredFile]:
    """Store an output and keep records of it."""
    records: list[StoredFile] = []
    save_to = SaveTo(folder, manifest=True)
    await store_outputs(
        output,
        folder=save_to,
        prediction_id=id,
        model="acme/draw",
        session=client.session,
        on_stored=records.append,
        **options,
    )
    await record_files(records, save_to, client.session)
    return records


def problems(folder: str, **options: Any) -> dict[str, str | None]:
    """What is wrong with the files of a folder."""
    return {each.name: each.problem for each in manifest.verify(local_folder(folder), **options)}


def change(folder: str, name: str, content: bytes | None) -> None:
    """Change or remove a file behind the manifest's back."""
    path = Path(local_folder(folder).join(name).path)
    path.unlink() if content is None else path.write_bytes(content)


def test_records_are_kept_beside_the_files(client: Client, output: Any, folder: str, drive: Any) -> None:
    made = [output("a.png", PNG), output("b.png", PNG * 2)]
    records = drive(save(client, made, folder))
    found = manifest.read(local_folder(folder))
    assert list(found) == ["p1-0.png", "p1-1.png"]
    assert list(found.values()) == records
    assert problems(folder) == {"p1-0.png": None, "p1-1.png": None}


def test_later_record_of_a_name_takes_the_place_of_the_earlier(
    client: Client, output: Any, folder: str
) -> None:
    run(save(client, output("a.png", PNG), folder))
    run(save(client, output("b.png", PNG), folder, id="p2"))
    run(save(client, output("a.png", PNG * 2), folder))
    found = manifest.read(local_folder(folder))
    assert {name: file.size for name, file in found.items()} == {"p1.png": 2 * len(PNG), "p2.png": len(PNG)}


def test_line_that_a_crash_cut_off_is_left_out(client: Client, output: Any, tmp_path: Path) -> None:
    run(save(client, output("a.png", PNG), str(tmp_path)))
    path = tmp_path / manifest.NAME
    path.write_text(path.read_text() + '{"name": "p2.p\n[1]\n', encoding="utf-8")
    assert problems(str(tmp_path)) == {"p1.png": None}


def test_missing_and_changed_files_are_found(client: Client, output: Any, folder: str) -> None:
    for id in ("p1", "p2", "p3", "p4"):
        run(save(client, output("a.png", PNG), folder, id=id))
    change(folder, "p2.png", None)
    change(folder, "p3.png", PNG[:-1])
    change(folder, "p4.png", PNG[:-1] + b"x")
    bad = {"p1.png": None, "p2.png": "missing", "p3.png": f"{len(PNG) - 1} bytes instead of {len(PNG)}"}
    assert problems(folder) == {**bad, "p4.png": "other content than was stored"}
    assert problems(folder, quick=True) == {**bad, "p4.png": None}


def test_folder_that_was_moved_is_checked_where_it_is(client: Client, output: Any, tmp_path: Path) -> None:
    run(save(client, output("a.png", PNG), str(tmp_path / "here")))
    (tmp_path / "here").rename(tmp_path / "there")
    assert problems(str(tmp_path / "there")) == {"p1.png": None}


def test_folder_without_a_manifest_is_told(folder: str) -> None:
    with pytest.raises(FileError, match="lists no files"):
        manifest.read(local_folder(folder))


def test_nothing_is_kept_unless_it_is_asked_for(client: Client, output: Any, tmp_path: Path) -> None:
    records: list[StoredFile] = []
    store = store_outputs(
        output("a.png", PNG),
        folder="shelf",
        prediction_id="p1",
        model=None,
        session=client.session,
        on_stored=records.append,
    )
    run(store)
    run(record_files(records, "shelf", client.session))
    assert [each.name for each in (tmp_path / "shelf").iterdir()] == ["p1.png"]


def test_line_after_one_that_was_cut_off_is_kept(client: Client, output: Any, tmp_path: Path) -> None:
    run(save(client, output("a.png", PNG), str(tmp_path)))
    path = tmp_path / manifest.NAME
    path.write_text(path.read_text() + '{"name": "p2.p', encoding="utf-8")
    run(save(client, output("b.png", PNG), str(tmp_path), id="p3"))
    assert problems(str(tmp_path)) == {"p1.png": None, "p3.png": None}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_records_that_cannot_be_kept_are_told_and_the_files_stay(
    client: Client, output: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = os.open

    def fail(path: Any, *args: Any) -> int:
        if str(path).endswith(manifest.NAME):
            raise OSError(number, os.strerror(number))
        return real(path, *args)

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(FileError, match=rf"The files are stored, .*{os.strerror(number)}"):
        run(save(client, output("a.png", PNG), str(tmp_path)))
    assert [each.name for each in tmp_path.iterdir()] == ["p1.png"]


@pytest.mark.parametrize("plugin", ["", "fsspec"])
def test_command_for_a_store_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, plugin: str) -> None:
    monkeypatch.setenv("REPLICATE_KIT_DISABLE_PLUGINS", plugin)
    result = CliRunner().invoke(cli, ["files", "verify", "memory://nothing"])
    assert result.exit_code == 1
    said = "lists no files" if not plugin else "'memory://nothing' needs an optional part"
    assert said in result.stderr
    assert "save-to" not in result.stderr.partition("Such a list")[0]


def test_run_keeps_a_manifest(tmp_path: Path) -> None:
    with Client(backend="mock") as client:
        client.run("demo/painter", {"prompt": "sea"}, save_to=SaveTo(str(tmp_path), manifest=True))
    assert list(problems(str(tmp_path)).values()) == [None]


def test_command_tells_what_is_wrong_and_fails(client: Client, output: Any, folder: str) -> None:
    run(save(client, output("a.png", PNG), folder))
    good = CliRunner().invoke(cli, ["files", "verify", folder, "--quick"])
    assert (good.exit_code, good.stdout) == (0, "")
    assert good.stderr == "1 files, 0 of them missing or changed.\n"
    change(folder, "p1.png", None)
    bad = CliRunner().invoke(cli, ["files", "verify", folder, "--storage-options", "{}"])
    assert (bad.exit_code, bad.stdout) == (1, "p1.png: missing\n")


def test_command_prints_json(client: Client, output: Any, folder: str) -> None:
    run(save(client, output("a.png", PNG), folder))
    result = CliRunner().invoke(cli, ["files", "verify", folder, "--json"])
    line = json.loads(result.stdout)
    assert (line["name"], line["problem"], line["size"]) == ("p1.png", None, len(PNG))


@pytest.mark.parametrize("options", ["[1]", "{"])
def test_command_refuses_options_that_are_no_object(options: str) -> None:
    result = CliRunner().invoke(cli, ["files", "verify", "x", "--storage-options", options])
    assert (result.exit_code, "--storage-options" in result.stderr) == (2, True)
