"""Tables go to stores and nothing that was paid for is lost, whatever becomes of the source or the store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from replicate_kit import Client, SaveTo
from replicate_kit.backends.mock import MockBackend
from replicate_kit.errors import FileError
from replicate_kit.simulator import Simulator
from replicate_kit_fsspec import manifest

from .servers import Store

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


@pytest.fixture
def simulator(request: pytest.FixtureRequest) -> Simulator:
    """A model that takes its time to draw, and an API that may forget its outputs after some seconds."""
    simulator = Simulator(retention=getattr(request, "param", 3600))

    @simulator.model("acme/draw")
    def draw(prompt: str, seconds: float = 0.0) -> list[bytes]:
        time.sleep(seconds)
        return [b"\x89PNG\r\n\x1a\n" + prompt.encode()]

    return simulator


@pytest.fixture
def api(simulator: Simulator) -> Iterator[Client]:
    """A client of it."""
    with Client(backend=MockBackend(simulator), poll_interval=0.01) as client:
        yield client


def created(client: Client) -> int:
    """How many predictions there are."""
    return sum(1 for _ in client.predictions.list_all())


@pytest.mark.parametrize("simulator", [2.0], indirect=True)
def test_hundred_rows_are_saved_while_their_sources_expire_behind_them(store: Store, api: Client) -> None:
    df = pd.DataFrame({"prompt": [f"hill {number}" for number in range(100)]}, index=range(500, 600))
    output = df["prompt"].replicate.run(
        "acme/draw",
        input={"seconds": 0.25},
        client=api,
        concurrency=8,
        save_to=store.url,
        storage_options=store.options,
    )
    assert output.index.tolist() == df.index.tolist()
    for prompt, url in zip(df["prompt"], output, strict=True):
        assert store.fs.cat_file(url) == b"\x89PNG\r\n\x1a\n" + prompt.encode()
    predictions = list(api.predictions.list_all())
    assert len(store.names()) == len(predictions) == 100
    # The run took longer than outputs are kept: the first of them were gone before the last were made.
    assert [each["output"] for each in predictions[-8:]] == [None] * 8


@pytest.mark.parametrize("server", ["azurite", "rclone"], indirect=True)  # the others accept anybody
def test_wrong_credentials_cost_nothing_twice(store: Store, api: Client, tmp_path: Path) -> None:
    rows = [{"prompt": f"hill {number}"} for number in range(5)]
    options = {"save_to": store.url, "journal": tmp_path / "hills.sqlite"}
    with api.map("acme/draw", rows, storage_options=store.wrong, **options) as batch:
        results = list(batch)
    assert [type(each.error) for each in results] == [FileError] * 5, results
    assert all("credentials" in str(each.error) for each in results)
    assert (store.names(), created(api)) == ([], 5)
    with api.map("acme/draw", rows, storage_options=store.options, **options) as batch:
        results = list(batch)
    assert [each.error for each in results] == [None] * 5
    assert (len(store.names()), created(api)) == (5, 5)


def test_template_and_manifest_of_a_table(store: Store, api: Client) -> None:
    save_to = SaveTo(f"{store.url}/set", name="{row:03}-{prompt}{ext}", manifest=True, options=store.options)
    with api.map("acme/draw", [{"prompt": "a hill"}, {"prompt": "../a sea"}], save_to=save_to) as batch:
        results = list(batch)
    assert [each.output for each in results] == [
        [f"{store.url}/set/000-a-hill.png"],
        [f"{store.url}/set/001-a-sea.png"],
    ]
    records = manifest.read(f"{store.url}/set", store.options)
    assert {name: record.row for name, record in records.items()} == {"000-a-hill.png": 0, "001-a-sea.png": 1}
    assert [each.problem for each in manifest.verify(f"{store.url}/set", store.options)] == [None, None]
