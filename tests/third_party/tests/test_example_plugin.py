"""A plugin that somebody else could have written, installed by entry point, does all that ours do."""

from __future__ import annotations

import asyncio
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from replicate_kit import Client, hookimpl
from replicate_kit.cli import cli
from replicate_kit.config import Config
from replicate_kit.errors import ConfigError
from replicate_kit.testing.suites import BackendSuite, LayerSuite
from replicate_kit.transport import Backend, Layer, Request, Response, Transport
from replicate_kit_example import Pin, Pinboards
from replicate_kit_example.workshop import Stamp, Workshop

STAMP = "X-Workshop-Stamp"


class Watch:
    """A plugin given to one client, whose layer is the innermost: it notes what reaches the backend."""

    def __init__(self) -> None:
        self.seen: list[Request] = []

    @hookimpl
    def replicate_transport_layer(self, config: Config) -> Layer:
        return lambda inner: Noting(inner, self.seen)


class Noting:
    def __init__(self, inner: Transport, seen: list[Request]) -> None:
        self.inner, self.seen = inner, seen

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        self.seen.append(request)
        return await self.inner.send(request, stream=stream)

    async def aclose(self) -> None:
        await self.inner.aclose()


@pytest.fixture
def client() -> Client:
    return Client(backend="workshop")


def test_it_is_installed_by_entry_point() -> None:
    (entry,) = entry_points(group="replicate_kit", name="example")
    assert entry.dist is not None
    assert entry.dist.name == "replicate-kit-example-plugin"
    assert "example" in Client(backend="workshop").plugins.names


def test_resource_is_on_the_client_by_name_and_by_class(client: Client) -> None:
    assert client.pinboards is client.resource(Pinboards)
    assert [board.name for board in client.pinboards.list()] == ["ideas"]


def test_resource_works_under_asyncio_and_trio(client: Client) -> None:
    boards = client.resource(Pinboards)
    asyncio.run(boards.async_add("ideas", Pin("swim")))
    trio.run(boards.async_add, "ideas", Pin("row"))
    assert boards.list()[0].notes == ["surf", "swim", "row"]


def test_backend_runs_predictions(client: Client) -> None:
    prediction = client.predictions.create(model="acme/scribe", input={"prompt": "surf"})
    assert prediction.status == "succeeded"


def test_output_handler_makes_the_output(client: Client) -> None:
    assert client.run("acme/scribe", {"prompt": "surf"}) == Pin("surf")


def test_layer_sees_the_requests_to_its_own_backend(client: Client) -> None:
    assert client.predictions.create(model="acme/scribe", input={"prompt": "surf"}).logs == "stamp: example"


def test_layer_leaves_other_backends_alone() -> None:
    watch = Watch()
    with Client(backend="mock", plugins=[watch]) as elsewhere:
        elsewhere.models.get("demo/poet")
    assert [STAMP in request.headers for request in watch.seen] == [False]


def test_layer_is_seen_by_the_layers_within() -> None:
    watch = Watch()
    with Client(backend="workshop", plugins=[watch]) as client:
        client.resource(Pinboards).list()
    assert [STAMP in request.headers for request in watch.seen] == [True]


class TestWorkshop(BackendSuite):
    """The backend does all that a backend has to, for what can be made in a workshop."""

    text_model = ("acme/scribe", {"prompt": "surf"})
    file_model = slow_model = failing_model = long_model = None
    takes_files = False

    @pytest.fixture
    def backend(self) -> Backend:
        return Workshop()


class TestStamp(LayerSuite):
    """The layer leaves everything as it is that a layer has to."""

    @pytest.fixture
    def layer(self) -> Layer:
        return Stamp


def test_command_is_on_the_command_line() -> None:
    result = CliRunner().invoke(cli, ["pinboards"], catch_exceptions=False)
    assert result.output == "ideas: surf\n"
    assert "List the boards of the workshop." in CliRunner().invoke(cli, ["--help"]).output


def test_disabled_plugin_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_DISABLE_PLUGINS", "example")
    with pytest.raises(ConfigError, match="There is no backend 'workshop'"):
        Client(backend="workshop")
    with pytest.raises(ConfigError, match="No plugin adds Pinboards"):
        Client(backend="mock").resource(Pinboards)


def test_it_is_typed() -> None:
    import replicate_kit_example

    assert (Path(replicate_kit_example.__file__).parent / "py.typed").is_file()
