"""Files of inputs arrive with the suffix of their name, whatever they come from and however small they are."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit._files.input_files import INLINE_LIMIT, file_of
from replicate_kit._runtime.blocking import run
from replicate_kit.simulator import Simulator

UPLOADED = [
    "a.jsonl",
    "A.JSONL",
    "b.srt",
    "c.md",
    "d.safetensors",
    "e.tar.gz",
    "f.m4a",
    "g.webp",
    "größe.gguf",
]
INLINE = ["a.csv", "b.wav", "c.PNG", "d.txt", "e.zip", "f.json", "g.bin"]


@pytest.fixture
def simulator(simulator: Simulator) -> Simulator:
    """A simulator with a model that tells the suffix of its file."""

    @simulator.model("acme/suffix")
    def suffix(file: Path, more: list[Path] | None = None) -> str:
        return file.suffix

    return simulator


def _path(folder: pathlib.Path, name: str) -> Any:
    path = folder / name
    path.write_bytes(b"content")
    return path


def _open(folder: pathlib.Path, name: str) -> Any:
    return _path(folder, name).open("rb")


def _open_text(folder: pathlib.Path, name: str) -> Any:
    return _path(folder, name).open(encoding="utf-8")


def _in_memory(folder: pathlib.Path, name: str) -> Any:
    handle = io.BytesIO(b"content")
    handle.name = name
    return handle


def _named_by_a_path(folder: pathlib.Path, name: str) -> Any:
    handle = io.BytesIO(b"content")
    handle.name = folder / name  # type: ignore[assignment]
    return handle


@contextmanager
def _closed(value: Any) -> Iterator[Any]:
    """Close a file in the end."""
    yield value
    if not isinstance(value, Path):
        value.close()


KINDS = pytest.mark.parametrize("make", [_path, _open, _open_text, _in_memory, _named_by_a_path])


@KINDS
@pytest.mark.parametrize("name", [*UPLOADED, *INLINE])
def test_a_model_gets_the_suffix_of_a_small_file(
    simulator: Simulator, tmp_path: pathlib.Path, make: Callable[[pathlib.Path, str], Any], name: str
) -> None:
    with Client(backend=simulator) as client, _closed(make(tmp_path, name)) as file:
        suffix = client.run("acme/suffix", {"file": file})
    assert str(suffix).lower() == Path(name).suffix.lower()
    assert simulator.calls["files.create"] == (name in UPLOADED)


@KINDS
def test_rows_of_a_batch_get_it_too(
    simulator: Simulator, tmp_path: pathlib.Path, make: Callable[[pathlib.Path, str], Any]
) -> None:
    with Client(backend=simulator) as client, _closed(make(tmp_path, "a.jsonl")) as file:
        rows = [{"file": file, "more": []}]
        assert client.plan("acme/suffix", rows).uploads == len(b"content")
        assert next(iter(client.map("acme/suffix", rows))).output == ".jsonl"


def test_what_has_no_name_or_no_suffix_goes_in_the_input(client: Client, tmp_path: pathlib.Path) -> None:
    for value in (b"content", io.BytesIO(b"content"), _path(tmp_path, "README"), _path(tmp_path, ".jsonl")):
        encoded = run(client.session.encode(value))
        assert encoded.startswith("data:application/octet-stream;base64,")
    assert run(client.session.encode(io.StringIO("text"))).startswith("data:text/plain;base64,")


def test_whoever_says_how_files_go_is_obeyed(simulator: Simulator, tmp_path: pathlib.Path) -> None:
    path = _path(tmp_path, "a.webp")
    with Client(backend=simulator, file_encoding="inline") as client:
        assert run(client.session.encode(path)).startswith("data:image/webp;base64,")
    with Client(backend=simulator, file_encoding="upload") as client:
        assert run(client.session.encode(_path(tmp_path, "a.csv"))).startswith("http")


def test_a_large_file_is_uploaded_whatever_its_suffix(simulator: Simulator, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * INLINE_LIMIT)
    with Client(backend=simulator) as client:
        assert run(client.session.encode(path)).startswith("http")


def test_the_name_of_a_handle_is_the_last_part_of_its_name() -> None:
    handle = io.BytesIO()
    for name, expected in (("a/b.md", "b.md"), (b"b.md", "b.md"), (7, "file"), (None, "file"), ("", "file")):
        handle.name = name  # type: ignore[assignment]
        file = file_of(handle)
        assert file is not None
        assert file.name == expected
