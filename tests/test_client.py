"""The client: settings, resources, and what becomes of it in other threads and processes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import multiprocessing
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

import replicate_kit
from replicate_kit import Client, Resource, hookimpl
from replicate_kit._plugins.builtin import replicate_resources
from replicate_kit.backends.mock import MockBackend
from replicate_kit.errors import ConfigError
from replicate_kit.simulator import Simulator

Connect = Callable[..., tuple[Client, list[httpx.Request]]]


class Boards(Resource):
    """A resource of a plugin."""


class Plugin:
    """A plugin that travels."""

    @hookimpl
    def replicate_resources(self) -> Mapping[str, type[Resource]]:
        return {"boards": Boards}


def answer(request: httpx.Request) -> httpx.Response:
    """Say what was sent."""
    return httpx.Response(200, json={"headers": dict(request.headers)})


def test_options_that_nobody_knows_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"does not know the option api_key .*Did you mean 'api_token'.*http2.*transport"
    ):
        Client(api_key="r8_any")
    with pytest.raises(ConfigError, match="does not know the options a, b"):
        Client(a=1, b=2)


def test_a_backend_is_chosen_by_name_object_or_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = Simulator(base_url="https://mine.test/v1")
    assert str(Client(backend="mock").session.base_url) == "https://api.replicate.test/v1/"
    assert str(Client(backend=MockBackend(simulator)).session.base_url) == "https://mine.test/v1/"
    assert str(Client(backend=simulator).session.base_url) == "https://mine.test/v1/"
    assert str(Client().session.base_url) == "https://api.replicate.com/v1/"
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    assert str(Client().session.base_url) == "https://api.replicate.test/v1/"
    assert str(Client(backend="http").session.base_url) == "https://api.replicate.com/v1/"


def test_a_simulator_answers_the_client_that_it_is_given_to(drive: Any) -> None:
    simulator = Simulator()

    @simulator.model("acme/shout")
    def shout(text: str) -> str:
        return text.upper()

    client = Client(backend=simulator)
    assert isinstance(client.session.backend, MockBackend)
    assert drive(client.async_run("acme/shout", {"text": "hello"})) == "HELLO"
    assert simulator.created == 1


@pytest.mark.parametrize("given", [Simulator, object(), 7])
def test_what_is_no_backend_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"is no backend\. Pass .* or a Simulator"):
        Client(backend=given)


def test_annotations_are_what_the_hook_registers() -> None:
    assert Client.__annotations__ == {name: kind.__name__ for name, kind in replicate_resources().items()}
    assert list(Client.__annotations__) == sorted(Client.__annotations__)


def test_resources_are_there_by_name_and_by_class() -> None:
    client = Client(backend="mock", plugins=[Plugin()])
    for name, kind in replicate_resources().items():
        assert type(getattr(client, name)) is kind
        assert name in dir(client)
        assert client.resource(kind) is getattr(client, name)
    assert client.resource(Boards) is client.boards
    assert repr(client.models) == "<Models of https://api.replicate.test/v1/>"


def test_an_unknown_resource_is_named_with_those_that_exist() -> None:
    client = Client(backend="mock")
    with pytest.raises(
        AttributeError, match=r"Client has no 'boards'\. Its resources are: accounts, .*webhooks"
    ):
        _ = client.boards
    with pytest.raises(ConfigError, match="No plugin adds Boards to clients"):
        client.resource(Boards)
    assert not hasattr(object.__new__(Client), "models")


def test_the_repr_says_where_it_leads_and_no_secret() -> None:
    client = Client("r8_secret", headers={"X-Secret": "hidden"})
    assert repr(client) == "<Client of https://api.replicate.com/v1/ (HTTPBackend)>"
    assert "hidden" not in repr(client.config)


# Other settings.


def test_other_settings_share_the_connections(connect: Connect) -> None:
    client, requests = connect({}, headers={"X-A": "1"})
    other = client.with_options(
        api_token="r8_other", headers={"X-B": "2"}, params={"p": "3"}, timeout=5, retries=0
    )
    other.request("GET", "account")
    client.request("GET", "account")
    theirs, ours = requests
    assert (theirs.headers["authorization"], theirs.headers["x-a"], theirs.headers["x-b"]) == (
        "Bearer r8_other",
        "1",
        "2",
    )
    assert theirs.url.query == b"p=3"
    assert theirs.extensions["timeout"]["read"] == 5
    assert ours.headers["authorization"] == "Bearer r8_secret"
    assert "x-b" not in ours.headers
    assert ours.url.query == b""
    assert other.models is not client.models
    assert other.models.session.config.timeout == 5
    client.close()
    with pytest.raises(ConfigError, match="was closed"):
        other.request("GET", "account")


# Travelling.


@pytest.mark.parametrize(
    "travel", [lambda client: pickle.loads(pickle.dumps(client)), copy.copy, copy.deepcopy]
)
def test_a_client_is_made_again_from_its_settings(travel: Any) -> None:
    client = Client(
        "r8_mine",
        base_url="https://gw.test/v1",
        timeout=7,
        poll_interval=0.25,
        retries=1,
        file_encoding="inline",
        plugins=iter([Plugin()]),
        headers={"X-Team": "surf"},
        transport=httpx.MockTransport(answer),
    )
    again = travel(client)
    assert again is not client
    for name in (
        "explicit_token",
        "base_url",
        "backend",
        "timeout",
        "poll_interval",
        "retries",
        "file_encoding",
    ):
        assert getattr(again.config, name) == getattr(client.config, name)
    assert type(again.boards) is Boards
    sent = again.request("GET", "account").json()["headers"]
    assert sent["x-team"] == "surf"
    assert sent["authorization"] == "Bearer r8_mine"


def test_a_token_of_the_environment_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_environment")
    packed = pickle.dumps(Client())
    assert b"r8_environment" not in packed
    assert pickle.loads(packed).config.api_token == "r8_environment"


def test_a_client_with_options_travels_with_them() -> None:
    client = Client("r8_mine", transport=httpx.MockTransport(answer)).with_options(
        headers={"X-Late": "1"}, timeout=3
    )
    again = pickle.loads(pickle.dumps(client))
    assert again.config.timeout == 3
    assert again.request("GET", "account").json()["headers"]["x-late"] == "1"


def run_there(client: Client) -> str:
    """Run a model in another process."""
    return str(client.run("demo/flaky", {"prompt": "sea", "failure_rate": 0}))


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_client_works_in_another_process(method: str) -> None:
    client = Client(backend="mock", poll_interval=0.01)
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(run_there, client).result() == "After some hesitation: sea"


# Threads and loops.


def test_threads_and_loops_share_a_client(client: Client) -> None:
    def blocking(number: int) -> str:
        return str(client.run("demo/flaky", {"prompt": f"sea {number}", "failure_rate": 0}))

    def in_a_loop(number: int) -> str:
        return str(
            asyncio.run(client.async_run("demo/flaky", {"prompt": f"sea {number}", "failure_rate": 0}))
        )

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = [*pool.map(blocking, range(8)), *pool.map(in_a_loop, range(8))]
    assert found == [f"After some hesitation: sea {number}" for number in (*range(8), *range(8))]


def test_a_resource_is_made_once_however_many_ask(client: Client) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert len({id(found) for found in pool.map(lambda _: client.predictions, range(64))}) == 1


def test_a_closed_client_can_be_closed_again(connect: Connect) -> None:
    client, _ = connect({})
    client.request("GET", "account")
    client.close()
    client.close()
    asyncio.run(client.aclose())


# The default client.


def test_the_default_client_is_made_when_it_is_first_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    assert (
        replicate_kit.run("demo/flaky", {"prompt": "sea", "failure_rate": 0}) == "After some hesitation: sea"
    )
    assert replicate_kit.models is replicate_kit.default_client.models


def test_everything_works_in_a_cell_of_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    inputs = {"prompt": "sea", "failure_rate": 0}

    async def cell() -> tuple[Any, Any]:
        return replicate_kit.run("demo/flaky", inputs), await replicate_kit.async_run("demo/flaky", inputs)

    assert asyncio.run(cell()) == ("After some hesitation: sea", "After some hesitation: sea")
