"""Several servers as one pool: busy ones, broken ones, and those that die in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from replicate_kit_cog import CogBackend

from replicate_kit import Client, Prediction
from replicate_kit.errors import ConnectFailed, ModelError, NotFound, PredictionCanceled, ServerError

from .standin import BUSY, BUSY_OLD, StandIn

MODEL = "acme/shout"
Start = Callable[..., StandIn]


def until(done: Callable[[], object]) -> None:
    """Wait until something is so."""
    while not done():
        time.sleep(0.001)


def output(prediction: Prediction) -> Any:
    """Wait for a prediction's end; raises what it ended with, or gives its output."""
    prediction.wait()
    prediction.raise_for_status()
    return prediction.output


@pytest.fixture
def made() -> Iterator[Callable[..., Client]]:
    """Make a client of servers, which is closed with the test."""
    clients: list[Client] = []

    def make(*servers: StandIn, patience: float = 60.0, **options: Any) -> Client:
        backend = CogBackend([each.url for each in servers], patience=patience)
        clients.append(Client(backend=backend, poll_interval=0.01, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


# Slots.


@pytest.mark.parametrize("dialect", ["0.23", "0.16"])
def test_a_refusal_is_no_failure(dialect: str, start: Start, made: Callable[..., Client]) -> None:
    busy = BUSY if dialect == "0.23" else BUSY_OLD
    server = start(dialect=dialect, replies=[busy] * 7)
    assert made(server).run(MODEL, {"prompt": "sea"}) == "SEA"


def test_a_server_that_still_sets_up_is_waited_for(start: Start, made: Callable[..., Client]) -> None:
    server = start(
        status="STARTING", replies=[(503, {"error": "Setup has not finished yet.", "status": "failed"})]
    )
    prediction = made(server, retries=0).predictions.create(MODEL, {"prompt": "sea"})
    assert prediction.status == "starting"
    server.status = "READY"
    assert output(prediction) == "SEA"


def test_all_slots_are_found_and_no_row_is_lost(start: Start, made: Callable[..., Client]) -> None:
    hold = threading.Event()
    servers = [start(slots=4, hold=hold), start(slots=3, hold=hold, dialect="0.16")]
    client = made(*servers)
    with client.map(MODEL, [{"prompt": f"row {number}"} for number in range(40)]) as run:
        until(lambda: [each.most for each in servers] == [4, 3])
        hold.set()
        assert [each.output for each in run] == [f"ROW {number}" for number in range(40)]


# What breaks.


@pytest.mark.parametrize(
    ("dialect", "said"),
    [("0.23", "Its last lines:\none\nlast words"), ("0.16", "It printed nothing: look at the log of")],
)
def test_a_crash_is_an_error_of_the_row_and_then_the_only_server_is_told_of(
    dialect: str, said: str, start: Start, made: Callable[..., Client]
) -> None:
    server = start(dialect=dialect)
    client = made(server, retries=0)
    with pytest.raises(ModelError, match="crashed while it worked at this prediction") as caught:
        client.run(MODEL, {"prompt": "crash"})
    assert said in str(caught.value)
    with pytest.raises(ServerError, match=r"its worker has crashed.* Restart it"):
        client.run(MODEL, {"prompt": "sea"})
    server.status = "READY"
    assert client.run(MODEL, {"prompt": "sea"}) == "SEA"


def test_a_server_whose_worker_crashed_leaves_the_pool(start: Start, made: Callable[..., Client]) -> None:
    broken, sound = start(), start()
    client = made(broken, sound)
    broken.status = "UNHEALTHY"
    results = client.map(MODEL, [{"prompt": str(number)} for number in range(20)])
    assert [each.output for each in results] == [str(number) for number in range(20)]
    assert broken.inputs == []
    broken.status = "READY"
    until(lambda: client.run(MODEL, {"prompt": "sea"}) and broken.inputs)


def test_a_slot_without_worker_is_a_refusal(start: Start, made: Callable[..., Client]) -> None:
    error = "Failed to send request: Failed to send on slot socket: Broken pipe (os error 32)"
    server = start(replies=[(200, {"id": "x", "error": error, "status": "failed"})])
    assert made(server).run(MODEL, {"prompt": "sea"}) == "SEA"


@pytest.mark.parametrize("reply", ["cut", (502, "bad gateway"), (504, "")])
def test_a_prediction_whose_server_was_gone_runs_again(
    reply: Any, start: Start, made: Callable[..., Client]
) -> None:
    assert made(start(replies=[reply])).run(MODEL, {"prompt": "sea"}) == "SEA"


def test_a_prediction_that_takes_servers_down_is_given_up(start: Start, made: Callable[..., Client]) -> None:
    with pytest.raises(ModelError, match="Servers were gone 3 times"):
        made(start(replies=["cut"] * 3)).run(MODEL, {"prompt": "sea"})


def test_a_server_that_dies_and_comes_back_does_the_rest(start: Start, made: Callable[..., Client]) -> None:
    server = start(hold=threading.Event())
    client = made(server)
    with client.map(MODEL, [{"prompt": f"row {number}"} for number in range(5)]) as run:
        until(lambda: server.inputs)
        server.stop()
        again = start(port=int(server.url.rpartition(":")[2]))
        assert [each.output for each in run] == [f"ROW {number}" for number in range(5)]
    assert len(again.inputs) == 5


def test_what_waits_for_a_server_that_does_not_come_back_ends(
    start: Start, made: Callable[..., Client]
) -> None:
    server = start(hold=threading.Event())
    prediction = made(server, patience=0.0).predictions.create(MODEL, {"prompt": "sea"})
    until(lambda: server.inputs)
    server.stop()
    with pytest.raises(
        ModelError, match=r"Prediction interrupted: No Cog server takes predictions now.*nothing listens"
    ):
        output(prediction)


def test_a_server_that_is_not_there_is_an_error_of_connecting(
    start: Start, made: Callable[..., Client]
) -> None:
    server = start()
    server.stop()
    with pytest.raises(ConnectFailed, match="replicate-kit cog serve"):
        made(server, retries=0).run(MODEL, {})


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            (422, {"detail": [{"loc": ["body", "input", "n"], "msg": "too large"}]}),
            "did not take the input: n: too large",
        ),
        ((500, {"detail": "the output is no text"}), "the output is no text"),
        ((500, "Internal Server Error"), "Internal Server Error. See the log of http://127.0.0.1"),
        ((200, {"status": "processing"}), "'processing', which is no end"),
        ((404, "nothing here"), "nothing here"),
    ],
)
def test_an_answer_that_is_no_output_is_the_error_of_the_row(
    reply: Any, said: str, start: Start, made: Callable[..., Client]
) -> None:
    with pytest.raises(ModelError, match=said):
        made(start(replies=[reply])).run(MODEL, {"prompt": "sea"})


@pytest.mark.parametrize("waits", [False, True])
def test_a_canceled_prediction_ends_and_frees_its_slot(
    waits: bool, server: StandIn, made: Callable[..., Client]
) -> None:
    client = made(server)
    first = client.predictions.create(MODEL, {"prompt": "slow"})
    until(lambda: server.inputs)
    second = client.predictions.create(MODEL, {"prompt": "slow"})
    (second if waits else first).cancel()
    with pytest.raises(PredictionCanceled):
        output(second if waits else first)
    (first if waits else second).cancel()
    assert client.run(MODEL, {"prompt": "sea"}) == "SEA"


def test_a_deadline_cancels(
    server: StandIn, made: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replicate_kit_cog.service.parse_duration", lambda text: 0.05 if text != "0" else 0)
    prediction = made(server).predictions.create(MODEL, {"prompt": "slow"}, cancel_after=5)
    with pytest.raises(PredictionCanceled):
        output(prediction)


# What the servers run.


def test_servers_of_different_models_are_no_pool(start: Start, made: Callable[..., Client]) -> None:
    other = start(schema={"components": {"schemas": {"Input": {"properties": {"text": {"type": "string"}}}}}})
    with pytest.raises(Exception, match=r"do not run the same model: .*takes file, prompt; .*takes text"):
        made(start(), other, retries=0).run(MODEL, {"prompt": "sea"})


def test_a_version_that_is_not_served_any_more_is_refused(
    server: StandIn, made: Callable[..., Client]
) -> None:
    client = made(server)
    with pytest.raises(NotFound, match="runs another version"):
        client.models.versions(MODEL).get("0" * 64)
    with pytest.raises(Exception, match="The servers run the version"):
        client.predictions.create(f"{MODEL}:{'0' * 64}", {"prompt": "sea"})
    assert client.models.versions(MODEL).list()[0].id == client.models.get(MODEL).latest_version.id  # type: ignore[union-attr]


def test_a_model_without_a_schema_runs_unchecked(start: Start, made: Callable[..., Client]) -> None:
    assert made(start(schema=None)).run(MODEL, {"prompt": "sea", "anything": 1}) == "SEA"
