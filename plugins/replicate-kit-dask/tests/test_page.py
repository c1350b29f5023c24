"""What the page about clusters shows runs on a cluster, from an empty PostgreSQL on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="runs a cluster: tox -e engines")

from replicate_kit_postgres.testing import Postgres

_PAGE = Path(__file__).parents[3] / "docs" / "clusters.md"
_DATABASE = "postgresql://postgres@127.0.0.1/wombats?"


@pytest.mark.skipif(not _PAGE.exists(), reason="the page is not in an sdist")
def test_two_workers_run_the_page_and_pay_for_each_title_once(database: Postgres, tmp_path: Path) -> None:
    _, _, after = _PAGE.read_text("utf-8").partition("# cluster.py\n")
    script = tmp_path / "cluster.py"
    script.write_text(after.partition("```")[0].replace(_DATABASE, f"{database.url('wombats')}?"), "utf-8")
    database.execute("CREATE DATABASE wombats")  # what `createdb` does

    def run() -> list[str]:
        env = {**os.environ, "REPLICATE_KIT_BACKEND": "mock"}
        done = subprocess.run(
            [sys.executable, str(script)], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    told = ["8 poems", "8 poems again, for nothing", "{'finished': 5}"]
    assert run() == told
    predictions = "SELECT count(DISTINCT prediction_id), sum(attempts) FROM poems_items"
    assert database.execute(predictions, "wombats") == [(5, 5)]
    assert run() == told
    assert database.execute(predictions, "wombats") == [(5, 5)]
