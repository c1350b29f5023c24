"""What the servers do not have is answered here: predictions that are kept, files, and what there is not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from replicate_kit_cog import transports
from replicate_kit_cog.background import BACKGROUND
from replicate_kit_cog.service import Service

from replicate_kit import Client
from replicate_kit.errors import NotFound, ValidationError

from .standin import StandIn

MODEL = "acme/shout"
UNKNOWN = "cog" + "x" * 26


@pytest.fixture
def client(server: StandIn) -> Iterator[Client]:
    with Client("r8_secret", backend="cog", base_url=server.url, poll_interval=0.01) as client:
        yield client


def forget(server: StandIn) -> None:
    """Be another process, which knows nothing of what this one did."""

    async def end(service: Service) -> None:
        for prediction in service._predictions.values():
            service._pool.cancel(prediction)
        service._predictions.clear()

    for service in transports.SERVICES.values():
        if service.servers[0].url == server.url:
            BACKGROUND.start(end(service)).result()


@pytest.mark.parametrize("headers", [{}, {"X-Gate": "open"}])
def test_the_token_is_sent_nowhere_and_headers_of_the_client_are(
    server: StandIn, headers: dict[str, str]
) -> None:
    with Client("r8_secret", backend="cog", base_url=server.url, headers=headers) as client:
        client.run(MODEL, {"prompt": "sea"})
    assert all("r8_secret" not in str(seen) and "authorization" not in seen[2] for seen in server.seen)
    assert {seen[2].get("x-gate") for seen in server.seen} == {headers.get("X-Gate")}


def test_predictions_are_listed_page_by_page_and_shared_by_clients(client: Client, server: StandIn) -> None:
    made = [client.predictions.create(MODEL, {"prompt": str(number)}).id for number in range(120)]
    with Client(backend="cog", base_url=server.url) as other:
        listed = [each.id for each in other.predictions.list_all()]
        assert listed == made[::-1]
        first = other.predictions.get(made[0])
        first.wait()
        assert first.output == "0"


def test_a_list_leaves_out_what_is_large(client: Client) -> None:
    prediction = client.predictions.create(MODEL, {"prompt": "sea" * 30_000})
    prediction.wait()
    assert prediction.output == "SEA" * 30_000
    (listed,) = client.predictions.list()
    assert (listed.status, listed.output, listed.input) == ("succeeded", None, {})


@pytest.mark.parametrize("option", ["inline", "upload"])
def test_a_file_arrives_as_a_data_url(option: Any, server: StandIn) -> None:
    with Client(backend="cog", base_url=server.url, file_encoding=option) as client:
        client.run(MODEL, {"file": io.BytesIO(b"\x89PNG wombat")})
    assert server.inputs[0]["file"].partition(";base64,")[2] == "iVBORyB3b21iYXQ="


def test_a_file_that_was_deleted_stays_a_url(client: Client, server: StandIn) -> None:
    file = client.files.create(io.BytesIO(b"wombat"))
    client.files.delete(file.id)
    url = f"{server.url}/v1/files/{file.id}"
    client.run(MODEL, {"file": url, "more": [{"deep": url}]}, check_input=False)
    assert server.inputs[0]["more"] == [{"deep": url}]


@pytest.mark.parametrize(
    "path",
    [
        "account",
        "collections",
        "deployments/acme/shout",
        "trainings",
        "hardware",
        "models/acme/shout/examples",
    ],
)
def test_what_cog_has_not_is_told(path: str, client: Client) -> None:
    with pytest.raises(NotFound, match=r"Cog's servers have no .* each runs one model"):
        client.request("GET", path)


def test_a_webhook_is_refused(client: Client) -> None:
    with pytest.raises(ValidationError, match="send no webhooks"):
        client.predictions.create(MODEL, {}, webhook="https://example.com")


def test_a_prediction_of_another_process_was_interrupted(client: Client) -> None:
    prediction = client.predictions.get(UNKNOWN)
    assert prediction.status == "failed"
    assert str(prediction.error).startswith("Prediction interrupted: this process knows nothing of it")
    with pytest.raises(NotFound, match="no such prediction"):
        client.predictions.get("no-such")


def test_rows_of_a_process_that_was_killed_run_again(client: Client, server: StandIn, tmp_path: Path) -> None:
    journal = tmp_path / "rows.sqlite"
    rows = [{"prompt": "slow"}, {"prompt": "sea"}]
    with client.map(MODEL, rows, journal=journal, on_interrupt="detach") as run:
        while not server.inputs:
            pass
        run.close()
    forget(server)
    server.replies.extend([(200, {"output": "AGAIN", "status": "succeeded"})] * 2)
    results = list(client.map(MODEL, rows, journal=journal))
    assert [each.output for each in results] == ["AGAIN", "AGAIN"]


def test_what_is_old_is_forgotten(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicate_kit_cog.service._PAGE", 1)
    monkeypatch.setattr("replicate_kit_cog.service._RETENTION", timedelta(0))
    monkeypatch.setattr("replicate_kit_cog.service._MOST_KEPT", 2)
    ids = []
    for number in range(3):
        prediction = client.predictions.create(MODEL, {"prompt": str(number)})
        prediction.wait()
        ids.append(prediction.id)
    assert [each.id for each in client.predictions.list_all()] == [ids[2], ids[1]]
    assert client.predictions.get(ids[1]).data_removed
    assert str(client.predictions.get(ids[0]).error).startswith("Prediction interrupted")
