"""Journals that hold a password of a place are cleaned when they are opened, and still find their files."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from replicate_kit import Client

CANARY = "CaNaRy-7f3a"
URL = f"memory://me:{CANARY}@host/dir"


def test_an_earlier_journal_is_cleaned_and_goes_on(tmp_path: Path) -> None:
    path, rows = tmp_path / "j.sqlite", [{"prompt": "sea"}, {"prompt": "hill"}]
    options: Any = {"save_to": URL, "journal": path}
    client = Client(backend="mock")
    (first, *_) = [list(client.map("demo/painter", rows, **options))]
    clean = URL.replace(f":{CANARY}", "")
    with closing(sqlite3.connect(path)) as old:  # as an earlier version wrote it
        old.execute("DROP TABLE redacted")
        old.execute("UPDATE items SET stored_in = ?, stored = replace(stored, ?, ?)", (URL, clean, URL))
        old.execute("UPDATE names SET folder = ?", (URL,))
        old.commit()
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert CANARY.encode() in path.read_bytes()
    plan = client.plan("demo/painter", rows, **options)
    assert (plan.cached, plan.to_pay) == (2, 0)
    again = list(client.map("demo/painter", rows, **options))
    assert [each.output for each in again] == [each.output for each in first]
    assert not any(CANARY in json.dumps([each.output, *map(str, each.files or ())]) for each in again)
    assert CANARY.encode() not in b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.is_file())
