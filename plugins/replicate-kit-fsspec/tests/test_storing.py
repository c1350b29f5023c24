"""Output files arrive at their target whole, under the right name, on every kind of store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replicate_kit import Client
from replicate_kit.saving import store_outputs

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20


def storing(output: Any, folder: Any, client: Client, **options: Any) -> Callable[[], Any]:
    """Make the operation that stores an output."""
    return lambda: store_outputs(
        output, folder=folder, prediction_id="p1", model="acme/draw", session=client.session, **options
    )


def test_file_arrives_in_a_local_folder(output: Any, client: Client, tmp_path: Path, drive: Any) -> None:
    stored = drive(storing(output("out-0.png", PNG, "image/png"), tmp_path / "new" / "folder", client))
    assert stored == os.path.join(tmp_path, "new", "folder", "p1.png")
    assert Path(stored).read_bytes() == PNG
    assert os.listdir(tmp_path / "new" / "folder") == ["p1.png"]


def test_file_arrives_in_memory(output: Any, client: Client, memory: Any, drive: Any) -> None:
    stored = drive(storing(output("out-0.png", PNG, "image/png"), "memory://shelf/", client))
    assert stored == "memory://shelf/p1.png"
    assert memory.cat(stored) == PNG
    assert memory.ls("/shelf", detail=False) == ["/shelf/p1.png"]


def test_file_url_stays_a_url(output: Any, client: Client, tmp_path: Path) -> None:
    stored = storing(output("out-0.png", PNG), f"file://{tmp_path}", client)
    from replicate_kit._blocking import run

    assert run(stored()) == f"file://{tmp_path}/p1.png"
