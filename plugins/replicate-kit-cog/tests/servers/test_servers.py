"""Predictions on real servers, of both dialects."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from replicate_kit_cog import CogBackend
from replicate_kit_cog.servers import Server
from replicate_kit_cog.serving import CogProcess, looked_at
from replicate_kit_cog.transports import SERVICES

from replicate_kit import Client
from replicate_kit.errors import InputError, ModelError, PredictionCanceled, ServerError
from replicate_kit.testing.suites import BackendSuite
from replicate_kit.transport import Backend

from .conftest import Serve

MODEL = "acme/words"


def until(done: Callable[[], object]) -> None:
    """Wait until something is so."""
    while not done():
        time.sleep(0.005)


def known(*servers: CogProcess) -> list[Server]:
    """What their pool knows of servers."""
    urls = [each.url for each in servers]
    return next(each.servers for each in SERVICES.values() if [server.url for server in each.servers] == urls)


@pytest.fixture
def made() -> Iterator[Callable[..., Client]]:
    """Make a client of servers, which is closed with the test."""
    clients: list[Client] = []

    def make(*servers: CogProcess, **options: Any) -> Client:
        clients.append(
            Client(backend=CogBackend([each.url for each in servers]), poll_interval=0.02, **options)
        )
        return clients[-1]

    yield make
    for client in clients:
        client.close()


class TestConformance(BackendSuite):
    text_model = (MODEL, {"prompt": "sea and sun"})
    failing_model = (MODEL, {"mode": "fail"})
    slow_model = (MODEL, {"mode": "slow"})
    long_model = (MODEL, {"prompt": "sea " * 500})
    file_model = None

    @pytest.fixture
    def backend(self, words: CogProcess) -> Backend:
        return CogBackend(words.url)

    # It can be done before it is canceled: the server says so, and not how long a word takes.
    test_a_stream_may_be_left = None  # type: ignore[assignment]


def test_a_model_runs_streams_and_checks_its_input(
    serve: Serve, made: Callable[..., Client], dialect: str
) -> None:
    server = serve("words")
    client = made(server)
    assert "".join(client.run(MODEL, {"prompt": "sea and sun"})) == "SEA AND SUN "
    words = [
        str(event) for event in client.stream(MODEL, {"prompt": "sea and sun"}) if event.event == "output"
    ]
    assert words == ["SEA ", "AND ", "SUN "]
    assert client.use(MODEL)(prompt="sea", seconds=0.01)
    with pytest.raises(InputError, match="seconds"):
        client.run(MODEL, {"seconds": "soon"})
    (seen,) = known(server)
    assert seen.streams is (dialect == "0.23")


def test_words_come_while_the_model_works(serve: Serve, made: Callable[..., Client], dialect: str) -> None:
    if dialect == "0.16":
        pytest.skip("Cog 0.16 has no streams.")
    client = made(serve("words"))
    prediction = client.predictions.create(MODEL, {"prompt": "sea", "mode": "slow"})
    for event in prediction.stream():
        assert (event.event, event.data) == ("logs", "mode slow\n")
        break
    prediction.cancel()


def test_files_go_in_and_come_out(serve: Serve, made: Callable[..., Client]) -> None:
    client = made(serve("files"))
    assert client.run("acme/files", {"file": io.BytesIO(b"wombat")}).read() == b"WOMBAT"
    large = made(serve("files"), file_encoding="upload")
    assert large.run("acme/files", {"file": io.BytesIO(b"wombat" * 100_000)}).read() == b"WOMBAT" * 100_000


def test_a_failure_is_the_models(serve: Serve, made: Callable[..., Client]) -> None:
    with pytest.raises(ModelError, match="no such prompt"):
        made(serve("words")).run(MODEL, {"mode": "fail"}, timeout=30)


def test_a_canceled_prediction_frees_its_slot(serve: Serve, made: Callable[..., Client]) -> None:
    server = serve("words")
    client = made(server)
    slow = [client.predictions.create(MODEL, {"mode": "slow"}) for _ in range(6)]
    until(lambda: len(known(server)[0].taken) == known(server)[0].slots == 4)
    for prediction in slow:
        prediction.cancel()
        with pytest.raises(PredictionCanceled):
            prediction.raise_for_status()
    until(lambda: not known(server)[0].taken)
    assert client.run(MODEL, {"prompt": "sea"}, timeout=30) == "SEA "


def test_a_crash_is_told_and_a_restarted_server_is_used_again(
    serve: Serve, made: Callable[..., Client], dialect: str
) -> None:
    server = serve("words")
    client = made(server, retries=0)
    with pytest.raises(ModelError, match="crashed while it worked at this prediction") as caught:
        client.run(MODEL, {"mode": "crash"}, timeout=30)
    assert ("Its last lines:\nmode crash" in str(caught.value)) is (dialect == "0.23")
    with pytest.raises(ServerError, match="No Cog server takes predictions now"):
        client.run(MODEL, {"prompt": "sea"}, timeout=30)
    _kill(server)
    serve("words", port=int(server.url.rpartition(":")[2]))
    assert client.run(MODEL, {"prompt": "sea"}, timeout=30) == "SEA "


def test_two_hundred_rows_use_all_slots_of_two_servers_and_none_is_lost(
    serve: Serve, made: Callable[..., Client]
) -> None:
    servers, slots = [serve("words"), serve("words")], [0, 0]
    rows = [{"prompt": f"row {number}", "seconds": 0.1} for number in range(200)]
    with made(*servers).map(MODEL, rows) as run:
        outputs = []
        for each in run:
            outputs.append(each.output)
            # A server that is busy with itself refuses now and then what it has a slot for.
            now = [min(len(seen.taken), seen.slots) for seen in known(*servers)]
            slots = [max(pair) for pair in zip(slots, now, strict=True)]
    assert outputs == [f"ROW {number} " for number in range(200)]
    assert min(slots) >= 4


def test_a_server_that_dies_in_the_middle_and_comes_back(serve: Serve, made: Callable[..., Client]) -> None:
    servers = [serve("words"), serve("words")]
    rows = [{"prompt": f"row {number}", "seconds": 0.3} for number in range(160)]
    with made(*servers).map(MODEL, rows) as run:
        until(lambda: len(known(*servers)[0].taken) >= 3)
        _kill(servers[0])
        until(lambda: not known(*servers)[0].usable)
        serve("words", port=int(servers[0].url.rpartition(":")[2]))
        until(lambda: known(*servers)[0].taken)
        assert [each.output for each in run] == [f"ROW {number} " for number in range(160)]


def test_a_server_is_looked_at(serve: Serve, dialect: str) -> None:
    server = looked_at(serve("words").url)
    assert server.inputs == ("mode", "prompt", "seconds")
    assert server.health is not None
    assert server.health.coglet.startswith("0.23") is (dialect == "0.23")


def _kill(server: CogProcess) -> None:
    """End a server at once, with its worker."""
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()
