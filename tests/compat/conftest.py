"""A client of the stand-in over a simulator, and one over answers that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest

from replicate_kit.compat import install_as_replicate, uninstall_replicate
from replicate_kit.compat.replicate import Client
from replicate_kit.simulator import Simulator, install, sleep

PREDICTION = {
    "id": "p1",
    "model": "acme/shout",
    "version": "hidden",
    "status": "starting",
    "input": {},
    "output": None,
    "logs": "",
    "error": None,
    "urls": {"get": "https://api.replicate.com/v1/predictions/p1"},
}


def shout(text: str, seconds: float = 0.0) -> str:
    sleep(seconds)
    return text.upper()


def count(upto: int = 3, pause: float = 0.0) -> Iterator[int]:
    for number in range(upto):
        yield number
        sleep(pause)


@pytest.fixture
def simulator() -> Simulator:
    simulator = install(Simulator())
    simulator.model("acme/shout")(shout)
    simulator.model("acme/count", official=False)(count)
    simulator.deployment("shouting", model="acme/shout")
    simulator.collection("loud", models=["acme/shout"])
    return simulator


@pytest.fixture
def client(simulator: Simulator) -> Iterator[Client]:
    client = Client(api_token="r8_test", backend=simulator)
    client.poll_interval = 0
    yield client
    client.close()


@pytest.fixture
def replicate(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    stand_in = install_as_replicate()
    yield stand_in
    stand_in.default_client.close()
    uninstall_replicate()


Asked = list[httpx.Request]
Answering = Callable[..., tuple[Client, Asked]]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Make a client whose requests are answered in turn, the last answer again and again; give its requests as well."""
    made = []

    def make(*answers: Any, **options: Any) -> tuple[Client, Asked]:
        asked: Asked = []

        def answer(request: httpx.Request) -> httpx.Response:
            request.read()
            asked.append(request)
            found = answers[min(len(asked), len(answers)) - 1]
            if isinstance(found, Exception):
                raise found
            if isinstance(found, httpx.Response):  # a new one each time: a body is read once
                return httpx.Response(found.status_code, headers=found.headers, content=found.content)
            return httpx.Response(201, json=found)

        client = Client(api_token="r8_test", transport=httpx.MockTransport(answer), **options)
        client.poll_interval = 0
        made.append(client)
        return client, asked

    yield make
    for client in made:
        client.close()
