"""Nobody but its owner can read a journal."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from replicate_kit import Client
from replicate_kit.batch._ledger.tables import make_private, open_journal

pytestmark = pytest.mark.skipif(os.name == "nt", reason="files have no such modes")


def modes(folder: Path) -> set[int]:
    return {each.stat().st_mode & 0o777 for each in folder.iterdir()}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_journal_is_its_owners_from_the_beginning(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        connection = open_journal(tmp_path / "j.sqlite")
        connection.execute("CREATE TABLE x (y)")
        assert {each.name for each in tmp_path.iterdir()} == {"j.sqlite", "j.sqlite-wal", "j.sqlite-shm"}
        assert modes(tmp_path) == {0o600}
        connection.close()
    finally:
        os.umask(before)


def test_one_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    # SQLite makes files as 644 at most: who gave a group the right to write has meant it.
    for mode, after in (
        *((0o644, 0o600), (0o604, 0o600), (0o600, 0o600)),
        *((0o666, 0o660), (0o664, 0o660), (0o660, 0o660), (0o640, 0o640)),
    ):
        open_journal(path).close()
        path.chmod(mode)
        reader = sqlite3.connect(path)
        open_journal(path).close()
        assert path.stat().st_mode & 0o777 == after
        reader.close()
        path.unlink()


def test_a_run_leaves_nothing_that_others_can_read(tmp_path: Path) -> None:
    list(Client(backend="mock").map("demo/poet", [{"prompt": "sea"}], journal=tmp_path / "j.sqlite"))
    assert {each & 0o077 for each in modes(tmp_path)} == {0}


def test_where_a_file_cannot_be_linked_the_journal_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    make_private(tmp_path / "j.sqlite")
    assert list(tmp_path.iterdir()) == []
    open_journal(tmp_path / "j.sqlite").close()
    open_journal(tmp_path / "j.sqlite").close()
    assert modes(tmp_path) == {0o600}
