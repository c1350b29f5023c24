"""Datasets of Hugging Face as rows, and what `Dataset.map` pays for, as docs/datasets.md says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.errors import FileError, InputError
from replicate_kit.simulator import Simulator

datasets = pytest.importorskip("datasets", reason="runs in tox's environment `neighbours`")

DATA = {"id": [7, 8, 9], "prompt": ["sea", "hill", "sea"], "max_tokens": [20, None, 20]}
POET = "meta/meta-llama-3-70b-instruct"


@pytest.mark.parametrize("streams", [False, True], ids=["Dataset", "IterableDataset"])
def test_columns_fill_the_inputs_of_their_names(streams: bool, simulator: Simulator, client: Client) -> None:
    data = datasets.Dataset.from_dict(DATA)
    results = list(client.map(POET, data.to_iterable_dataset() if streams else data))
    assert [result.input for result in results] == [
        {"prompt": "sea", "max_tokens": 20},
        {"prompt": "hill"},
        {"prompt": "sea", "max_tokens": 20},
    ]
    assert simulator.created == 2


def test_whole_numbers_are_whole_again(client: Client) -> None:
    [result] = client.map(POET, datasets.Dataset.from_dict({"prompt": ["sea"], "max_tokens": [20.0]}))
    assert result.input == {"prompt": "sea", "max_tokens": 20}


def test_a_column_that_is_no_input_is_not_read(client: Client) -> None:
    broken = datasets.Dataset.from_dict({"prompt": ["sea"], "photo": [{"bytes": b"no image", "path": None}]})
    broken = broken.cast_column("photo", datasets.Image())
    assert [result.status for result in client.map(POET, broken)] == ["succeeded"]


def test_a_null_that_the_model_needs_makes_its_row_invalid(simulator: Simulator, client: Client) -> None:
    data = datasets.Dataset.from_dict({"prompt": ["sea", None]})
    assert [result.status for result in client.map(POET, data)] == ["succeeded", "invalid"]
    assert simulator.created == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: datasets.DatasetDict(train=datasets.Dataset.from_dict(DATA)), "The rows are a DatasetDict"),
        (lambda: datasets.Dataset.from_dict({"title": ["sea"]}), "No column has the name of an input"),
    ],
)
def test_what_is_no_rows_is_refused(make: Any, said: str, simulator: Simulator, client: Client) -> None:
    with pytest.raises(InputError, match=said):
        list(client.map(POET, make()))
    assert simulator.created == 0


def test_images_are_known_again_by_their_content(
    simulator: Simulator, client: Client, tmp_path: Path
) -> None:
    pillow = pytest.importorskip("PIL.Image")
    shots = [pillow.new("RGB", (16, 16), colour) for colour in ("red", "green")]
    photos = datasets.Dataset.from_dict(
        {"image": shots}, features=datasets.Features({"image": datasets.Image()})
    )
    for data in (photos, photos.select([1, 0])):
        results = list(client.map("andreasjansson/blip-2", data, journal=tmp_path / "journal.sqlite"))
        assert [result.status for result in results] == ["succeeded"] * 2
    assert simulator.created == 2


def test_a_map_of_the_dataset_is_cached_by_its_fingerprint_and_free_by_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    journal = str(tmp_path / "journal.sqlite")

    def write(batch: Any) -> Any:
        from replicate_kit import Client

        rows = [{"prompt": prompt} for prompt in batch["prompt"]]
        with Client().map("demo/poet", rows, journal=journal) as results:
            outputs = [result.output for result in results]
        note(results.plan.to_pay)
        return {"poem": outputs}

    def note(count: int) -> None:
        with (tmp_path / "paid.txt").open("a") as file:
            file.write(f"{count}\n")

    datasets.Dataset.from_dict(DATA).save_to_disk(tmp_path / "ideas")
    stored = datasets.load_from_disk(tmp_path / "ideas")
    stored.map(write, batched=True)
    stored.map(write, batched=True)
    stored.map(write, batched=True, batch_size=2)
    paid = [int(line) for line in (tmp_path / "paid.txt").read_text().split()]
    assert paid == [2, 0, 0]


def test_the_hub_out_of_reach_is_an_error_before_anything_is_paid(
    simulator: Simulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(FileError, match=r"the store cannot be reached.*Nothing was created"):
        list(
            client.map(
                "black-forest-labs/flux-schnell", [{"prompt": "sea"}], save_to="hf://datasets/me/pictures"
            )
        )
    assert simulator.created == 0
