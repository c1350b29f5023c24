"""Files in stores are inputs: signed where the store can and others can reach it, else sent once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from replicate_kit import Client
from replicate_kit._runtime.blocking import run
from replicate_kit.errors import ConfigError, InputError
from replicate_kit.simulator import Simulator
from replicate_kit.storage import FileURL

SMALL, LARGE = b"small picture", bytes(range(256)) * 2000


class Signing(MemoryFileSystem):
    """A store that signs."""

    protocol = "signing"
    host = "https://signed.example.com"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.replace("signing://", "memory://"))

    def sign(self, path: str, expiration: int = 100, **kwargs: Any) -> str:
        return f"{self.host}{path}?for={expiration}"


@pytest.fixture
def simulator() -> Simulator:
    """A model that tells which file it was given."""
    simulator = Simulator()

    @simulator.model("acme/look")
    def look(image: Path, caption: str = "") -> str:
        return f"{len(image.read_bytes())} bytes {caption}".strip()

    return simulator


@pytest.fixture
def api(simulator: Simulator) -> Iterator[Client]:
    """A client of it."""
    with Client(backend=simulator, poll_interval=0.01) as client:
        yield client


def uploads(client: Client) -> list[int]:
    """The sizes of what was uploaded."""
    return [each.size for each in client.files.list_all()]


def test_small_file_goes_along_with_the_input(api: Client, memory: Any, drive: Any) -> None:
    memory.pipe_file("/shelf/a.png", SMALL)
    encoded = drive(api.session.encode({"image": FileURL("memory://shelf/a.png")}))
    assert encoded == {"image": "data:image/png;base64,c21hbGwgcGljdHVyZQ=="}
    assert uploads(api) == []


def test_large_file_is_uploaded_once(api: Client, memory: Any) -> None:
    memory.pipe_file("/shelf/a.png", LARGE)

    async def both() -> list[Any]:
        input = {"image": FileURL("memory://shelf/a.png")}
        return await asyncio.gather(*(api.session.encode(input) for _ in range(5)))

    first, *others = asyncio.run(both())
    assert first["image"].startswith("https://api.replicate.test/v1/files/")
    assert others == [first] * 4
    assert run(api.session.encode({"image": fsspec.open("memory://shelf/a.png")})) == first
    assert uploads(api) == [len(LARGE)]


def test_changed_file_is_uploaded_again(api: Client, memory: Any) -> None:
    for content in (LARGE, LARGE + b"more"):
        memory.pipe_file("/shelf/a.png", content)
        run(api.session.encode({"image": FileURL("memory://shelf/a.png")}))
    assert sorted(uploads(api)) == [len(LARGE), len(LARGE) + 4]


@pytest.fixture
def signing() -> Iterator[type[Signing]]:
    """The store that signs, with one large file."""
    fsspec.register_implementation("signing", Signing, clobber=True)
    fsspec.filesystem("signing").pipe_file("/shelf/a.png", LARGE)
    yield Signing
    Signing.host = "https://signed.example.com"


def test_large_file_is_signed_where_the_store_can(api: Client, signing: type[Signing], drive: Any) -> None:
    encoded = drive(api.session.encode({"image": FileURL("signing://shelf/a.png")}))
    assert encoded == {"image": "https://signed.example.com/shelf/a.png?for=86400"}
    assert uploads(api) == []


@pytest.mark.parametrize("host", ["http://signed.example.com", "https://localhost:9000", "https://10.0.0.1"])
def test_signed_url_that_nobody_else_can_reach_is_not_used(
    api: Client, signing: type[Signing], host: str
) -> None:
    signing.host = host
    run(api.session.encode({"image": FileURL("signing://shelf/a.png")}))
    assert uploads(api) == [len(LARGE)]


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_model_sees_the_file(api: Client, memory: Any, content: bytes) -> None:
    memory.pipe_file("/shelf/a.png", content)
    assert api.run("acme/look", {"image": "memory://shelf/a.png"}) == f"{len(content)} bytes"


def test_url_in_an_input_that_is_text_stays_text(api: Client, memory: Any) -> None:
    memory.pipe_file("/shelf/a.png", SMALL)
    input = {"image": "memory://shelf/a.png", "caption": "memory://shelf/a.png"}
    assert api.run("acme/look", input) == f"{len(SMALL)} bytes memory://shelf/a.png"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("memory://shelf/none.png", "cannot be read"),
        ("memory://shelf", "is a folder"),
        ("nowhere://a.png", "knows no protocol"),
    ],
)
def test_file_that_cannot_be_read_is_told_before_anything_is_created(
    api: Client, memory: Any, url: str, reason: str
) -> None:
    memory.pipe_file("/shelf/a.png", SMALL)
    with pytest.raises((InputError, ConfigError), match=reason):
        api.run("acme/look", {"image": url})
    assert list(api.predictions.list_all()) == []


def test_output_of_one_prediction_is_the_input_of_another(api: Client, simulator: Simulator) -> None:
    @simulator.model("acme/draw")
    def draw() -> bytes:
        return LARGE

    prediction = api.predictions.create(model="acme/draw", input={}, wait=True)
    name = f"replicate://predictions/{prediction.id}/output/0"
    assert api.run("acme/look", {"image": fsspec.open(name, client=api)}) == f"{len(LARGE)} bytes"


def test_other_values_are_left_to_others(api: Client) -> None:
    assert run(api.session.encode({"image": b"x"}))["image"].startswith("data:")
