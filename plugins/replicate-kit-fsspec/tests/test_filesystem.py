"""`replicate://` reads what Replicate keeps, with anything that takes fsspec's URLs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest

from replicate_kit import Client
from replicate_kit.errors import FileError
from replicate_kit.simulator import Simulator
from replicate_kit_fsspec.filesystem import ReplicateFileSystem

CONTENT = bytes(range(256)) * 300


@pytest.fixture
def simulator() -> Simulator:
    """A model that gives two files and a text."""
    simulator = Simulator()

    @simulator.model("acme/draw")
    def draw(big: bool = False) -> list[bytes]:
        return [b"\x89PNG\r\n\x1a\n" + CONTENT, CONTENT]

    return simulator


@pytest.fixture
def api(simulator: Simulator) -> Iterator[Client]:
    """A client of it."""
    with Client(backend=simulator, poll_interval=0.01) as client:
        yield client


@pytest.fixture
def fs(api: Client) -> ReplicateFileSystem:
    """The filesystem."""
    return ReplicateFileSystem(api)


@pytest.fixture
def id(api: Client) -> str:
    """The id of a prediction that has ended."""
    return api.predictions.create(model="acme/draw", input={}, wait=True).id


def test_it_is_found_by_its_protocol(api: Client, id: str) -> None:
    with fsspec.open(f"replicate://predictions/{id}/output/1", client=api) as file:
        assert file.read() == CONTENT


def test_folders_are_listed(fs: ReplicateFileSystem, id: str) -> None:
    assert fs.ls("", detail=False) == ["files", "predictions"]
    assert fs.ls("replicate://predictions", detail=False) == [f"predictions/{id}"]
    assert fs.find("predictions") == [f"predictions/{id}/output/0", f"predictions/{id}/output/1"]
    assert fs.glob("predictions/*/output/1") == [f"predictions/{id}/output/1"]
    assert fs.isdir(f"predictions/{id}")


def test_file_tells_its_size_and_type(fs: ReplicateFileSystem, id: str) -> None:
    info = fs.info(f"predictions/{id}/output/0")
    assert (info["size"], info["type"], info["mimetype"]) == (len(CONTENT) + 8, "file", "image/png")
    assert fs.created(f"predictions/{id}/output/0").tzinfo is not None


@pytest.mark.parametrize(
    "part", [(0, 10), (100, 200), (-10, None), (5, -5), (None, None), (len(CONTENT), None)]
)
def test_part_of_a_file_is_read(
    fs: ReplicateFileSystem, id: str, part: tuple[int | None, int | None]
) -> None:
    start, end = part
    assert fs.cat_file(f"predictions/{id}/output/1", start, end) == CONTENT[start:end]


def test_file_can_be_sought_in_through_the_caches_of_fsspec(api: Client, id: str, tmp_path: Any) -> None:
    name = f"predictions/{id}/output/1"
    with ReplicateFileSystem(api).open(name, block_size=1000) as file:
        file.seek(50_000)
        assert file.read(10) == CONTENT[50_000:50_010]
    cached = fsspec.filesystem("simplecache", fs=ReplicateFileSystem(api), cache_storage=str(tmp_path))
    with cached.open(name) as file:
        assert file.read() == CONTENT
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_not_there_is_not_found(fs: ReplicateFileSystem, id: str) -> None:
    for path in (
        "predictions/none",
        f"predictions/{id}/output/7",
        f"predictions/{id}/input",
        "models",
        "files/none",
    ):
        with pytest.raises(FileNotFoundError):
            fs.info(path)
        assert not fs.exists(path)


def test_nothing_is_written(fs: ReplicateFileSystem, id: str) -> None:
    with pytest.raises(OSError, match="can only be read"):
        fs.open(f"predictions/{id}/output/0", "wb")


def test_uploaded_file_is_read_with_the_secret_that_signs(simulator: Simulator, api: Client) -> None:
    file = api.files.create(io.BytesIO(CONTENT), filename="mine.bin")
    fs = ReplicateFileSystem(api, files_secret=simulator._service.files_secret)
    assert fs.ls("files")[0]["label"] == "mine.bin"
    assert fs.info(f"files/{file.id}")["size"] == len(CONTENT)
    assert fs.cat_file(f"files/{file.id}", 10, 20) == CONTENT[10:20]
    assert fs.created(f"files/{file.id}") == file.created_at
    assert "signature=" in fs.sign(f"files/{file.id}")


def test_uploaded_file_without_the_secret_says_what_is_needed(fs: ReplicateFileSystem, api: Client) -> None:
    file = api.files.create(CONTENT)
    with pytest.raises(FileError, match="Pass files_secret"):
        fs.cat_file(f"files/{file.id}")


def test_client_is_made_of_options() -> None:
    assert ReplicateFileSystem(backend="mock").ls("", detail=False) == ["files", "predictions"]


def test_pandas_reads_from_it(api: Client, simulator: Simulator) -> None:
    pandas = pytest.importorskip("pandas")

    @simulator.model("acme/table")
    def table() -> bytes:
        return b'[{"a": 1}, {"a": 2}]'

    prediction = api.predictions.create(model="acme/table", input={}, wait=True)
    url = f"replicate://predictions/{prediction.id}/output/0"
    frame = pandas.read_json(url, storage_options={"client": api})
    assert frame["a"].tolist() == [1, 2]
