"""A process that is killed in the middle of a transfer leaves nothing half-written, and the next one pays nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from replicate_kit import Client
from replicate_kit.serving import Server
from replicate_kit.simulator import Simulator

SIZE = 16 * 2**20
ROWS = [{"seed": seed} for seed in range(4)]

SAVING = """
import json, sys
from replicate_kit import Client
url, rows, options = json.loads(sys.argv[1])
with Client("token", backend="http", base_url=url, poll_interval=0.01) as client:
    with client.map("acme/draw", rows, **options) as batch:
        print([each.output for each in batch])
"""


def publish(simulator: Simulator) -> None:
    """Publish a model that makes large files."""

    @simulator.model("acme/draw")
    def draw(seed: int) -> bytes:
        return bytes([seed]) * SIZE


@pytest.fixture
def served() -> Iterator[str]:
    """The URL of a server that outlives who is killed."""
    with Server(publish, https=False) as server:
        yield server.url


def finished(folder: Path) -> dict[str, int]:
    """The sizes of what has a final name."""
    return {each.name: each.stat().st_size for each in folder.iterdir() if not each.name.startswith(".")}


def is_saving(folder: Path) -> bool:
    """Whether a part of an output is there. Files may go, or be given their names, while they are looked at."""
    try:
        sizes = [each.stat().st_size for each in folder.glob(".*.part") if "probe" not in each.name]
    except FileNotFoundError:
        return False
    return any(sizes)


def test_table_that_was_killed_completes_without_new_predictions(served: str, tmp_path: Path) -> None:
    folder, journal = tmp_path / "pictures", tmp_path / "journal.sqlite"
    options = {"save_to": str(folder), "journal": str(journal), "progress": False}
    arguments = json.dumps([served, ROWS, options])
    with subprocess.Popen([sys.executable, "-c", SAVING, arguments], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not is_saving(folder):
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert set(finished(folder).values()) <= {SIZE}
    with Client("token", backend="http", base_url=served, poll_interval=0.01) as client:
        before = len(list(client.predictions.list_all()))
        with client.map("acme/draw", ROWS, **options) as batch:  # type: ignore[arg-type]
            outputs = [each.output for each in batch]
        assert len(list(client.predictions.list_all())) == len(ROWS)
        assert before <= len(ROWS)
    assert [Path(each).read_bytes() == bytes([seed]) * SIZE for seed, each in enumerate(outputs)] == [
        True
    ] * 4
    assert sorted(finished(folder)) == sorted(os.path.basename(each) for each in outputs)
