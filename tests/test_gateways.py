"""A gateway between the client and the API: everything goes through it, and nothing past it.

The gateway is a proxy on loopback with a path of its own and one more header, as Cloudflare's and Portkey's are; the
API behind it is `replicate-kit serve`. The gateway alone knows the token that the API takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import replicate_kit.compat.replicate as stand_in
from replicate_kit import Client
from replicate_kit._files.outputs import FileOutput
from replicate_kit.errors import APIError
from replicate_kit.serving import Server
from replicate_kit.simulator import Simulator, install, sleep

from .conftest import Handle, Origin, Received

pytestmark = pytest.mark.slow  # a large family

TOKEN = "r8_upstream"
HEADER = {"cf-aig-authorization": "Bearer mine"}
KNOWN = "https://api.replicate.com"


@dataclass(frozen=True)
class Shape:
    """How a gateway's URLs are made: what comes before the path, and what that stands for."""

    prefix: str
    upstream: str
    add_version: bool = True
    renames: bool = True

    def target(self, path: str) -> str | None:
        """What the API is asked for."""
        if not path.startswith(self.prefix):
            return None
        return self.upstream + path.removeprefix(self.prefix)


SHAPES = {
    "for the origin": Shape("/team/replicate", ""),
    "for the origin, with a version in its own path": Shape("/v1/ACCOUNT/NAME/replicate", ""),
    "for the origin, at the root": Shape("", ""),
    "for the versioned API": Shape("/v1/ACCOUNT/NAME/replicate", "/v1", add_version=False),
    "for the versioned API, at the root": Shape("", "/v1", add_version=False),
    "for the versioned API, ending like it": Shape("/v1", "/v1"),
    "for the origin, whose API names itself otherwise": Shape("/team/replicate", "", renames=False),
    "for the versioned API, which names itself otherwise": Shape(
        "/v1/ACCOUNT/NAME/replicate", "/v1", add_version=False, renames=False
    ),
}


@dataclass
class Gateway:
    """A gateway that runs, and what it saw."""

    shape: Shape
    origin: Origin
    server: Server
    create_is_lost: bool = False

    @property
    def url(self) -> str:
        """Its base URL."""
        return self.origin.url + self.shape.prefix

    @property
    def simulator(self) -> Simulator:
        """The API behind it."""
        return self.server.simulator

    def pass_on(self, received: Received) -> tuple[int, dict[str, str], bytes]:
        """Ask the API, with its token."""
        target = self.shape.target(received.path)
        if target is None or received.headers.get("cf-aig-authorization") != HEADER["cf-aig-authorization"]:
            return 403, {}, b"{}"
        kept = {
            name: received.headers[name] for name in ("content-type", "prefer") if name in received.headers
        }
        answer = httpx.request(
            received.method,
            self.server.url + target,
            headers={**kept, "Authorization": f"Bearer {TOKEN}"},
            content=self._renamed(received.body, KNOWN, self.server.url),
            timeout=60,
        )
        if self.create_is_lost and received.method == "POST":
            self.create_is_lost = False
            return 502, {}, b"{}"
        body = self._renamed(answer.content, self.server.url, KNOWN)
        return answer.status_code, {"Content-Type": answer.headers.get("content-type", "text/plain")}, body

    def _renamed(self, body: bytes, old: str, new: str) -> bytes:
        """Let the API have the name that it has in reality."""
        return body.replace(old.encode(), new.encode()) if self.shape.renames else body

    def saw_everything(self) -> bool:
        """Whether every request that the API got went through it, and it refused none."""
        asked = len(self.simulator.requests)
        return asked == len(self.origin.received) > 0


def shout(text: str, seconds: float = 0.0) -> str:
    sleep(seconds)
    return text.upper()


def link(url: str) -> str:
    return url


def tokens(text: str) -> Iterator[str]:
    yield from text


def train(seconds: float = 0.0) -> bytes:
    sleep(seconds)
    return b"weights"


def publish(simulator: Simulator) -> None:
    install(simulator)
    simulator.model("acme/shout")(shout)
    simulator.model("acme/link")(link)
    simulator.model("acme/tokens")(tokens)
    simulator.model("acme/base", official=False)(tokens)
    simulator.trainer("acme/base")(train)
    simulator.deployment("shouting", model="acme/shout")


@pytest.fixture(params=SHAPES)
def gateway(request: pytest.FixtureRequest, serve: Callable[[Handle], Origin]) -> Iterator[Gateway]:
    with Server(publish, https=False, tokens=[TOKEN], require_token=True) as server:
        gateway = Gateway(SHAPES[request.param], serve(lambda received: gateway.pass_on(received)), server)
        yield gateway
        assert gateway.saw_everything()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    with Client(
        base_url=gateway.url, add_version=gateway.shape.add_version, headers=HEADER, poll_interval=0
    ) as client:
        yield client


@pytest.fixture
def theirs(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[stand_in.Client]:
    monkeypatch.setenv("REPLICATE_KIT_ADD_VERSION", str(int(gateway.shape.add_version)))
    client = stand_in.Client(base_url=gateway.url, headers=dict(HEADER))
    client.poll_interval = 0
    yield client
    client.close()


def test_runs_and_what_follows_them(client: Client) -> None:
    assert client.run("acme/shout", {"text": "x"}) == "X"
    assert client.run("acme/shout", {"text": "x"}, wait=False) == "X"
    assert client.run("deployments/local/shouting", {"text": "x"}) == "X"
    made = client.predictions.create("acme/shout", {"text": "x", "seconds": 30})
    made.reload()
    made.cancel()
    made.wait()
    assert (made.status, client.predictions.get(made.id).status) == ("canceled", "canceled")
    assert made.id in [each.id for each in client.predictions.list_all()]


def test_streams(client: Client) -> None:
    assert "".join(str(each) for each in client.stream("acme/tokens", {"text": "abc"})) == "abc"


def linked(client: Client, url: str) -> Any:
    """A file that a model gave, of whose schema nothing is known."""
    made = client.predictions.create("acme/link", {"url": url})
    made.wait()
    return client.predictions.get(made.id).output


def test_files(client: Client, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    uploaded = client.files.create(tmp_path / "a.txt")
    assert uploaded.id in [each.id for each in client.files.list_all()]
    output = linked(client, uploaded.urls["get"])
    assert isinstance(output, FileOutput)
    assert client.files.get(uploaded.id).name == "a.txt"
    assert uploaded.id.encode() in output.read()
    assert client.files.delete(uploaded.id) is None


def test_a_file_for_the_next_model_keeps_the_link_that_the_api_knows(client: Client, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    uploaded = client.files.create(tmp_path / "a.txt")
    output = linked(client, uploaded.urls["get"])
    assert client.predictions.create("acme/link", {"url": output}).input == {"url": uploaded.urls["get"]}


def test_pages_and_batches(client: Client) -> None:
    rows = [{"text": f"x{number}"} for number in range(105)]
    done = client.map("acme/shout", rows, concurrency=30, creates_per_minute=100_000)
    assert [each.output for each in done] == [f"X{number}" for number in range(105)]
    assert len(list(client.predictions.list_all())) == 105


def test_a_batch_finds_what_it_paid_for(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    gateway.create_is_lost = True
    done = client.map("acme/shout", [{"text": "x"}], journal=tmp_path / "journal.db")
    assert [each.output for each in done] == ["X"]
    assert gateway.simulator.calls["models.predictions.create"] == 1


def test_trainings(client: Client, gateway: Gateway) -> None:
    client.models.create("local", "mine", visibility="private", hardware="cpu")
    version = f"acme/base:{gateway.simulator.version('acme/base')}"
    training = client.trainings.create(version, {"seconds": 30}, "local/mine")
    training.reload()
    training.cancel()
    assert client.trainings.get(training.id).status == "canceled"
    assert training.id in [each.id for each in client.trainings.list_all()]


def test_asynchronous_forms(client: Client) -> None:
    async def main() -> Any:
        prediction = await client.predictions.async_create("acme/tokens", {"text": "abc"})
        streamed = [str(event) async for event in prediction.async_stream()]
        await prediction.async_wait()
        (mapped,) = [each async for each in client.async_map("acme/shout", [{"text": "x"}])]
        return "".join(streamed), prediction.status, mapped.output

    assert asyncio.run(main()) == ("abc", "succeeded", "X")


def test_the_stand_in_as_well(theirs: stand_in.Client, gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    assert theirs.run("acme/shout", {"text": "x"}) == "X"
    assert "".join(map(str, theirs.stream("acme/tokens", input={"text": "abc"}))) == "abc"
    made = theirs.predictions.create(model="acme/shout", input={"text": "x", "seconds": 30})
    made.cancel()
    made.reload()
    assert made.status == "canceled"
    uploaded = theirs.files.create(tmp_path / "a.txt")
    output = theirs.run("acme/link", {"url": uploaded.urls["get"]})
    if gateway.shape.renames:  # 1.x takes no text for a file that does not begin with "https:"
        assert uploaded.id.encode() in output.read()
    pages = list(stand_in.paginate(theirs.predictions.list))
    assert made.id in [each.id for page in pages for each in page]
    assert asyncio.run(theirs.async_run("acme/shout", {"text": "x"})) == "X"


def test_the_callers_token_goes_to_the_gateway_alone(gateway: Gateway) -> None:
    with Client(
        "r8_mine", base_url=gateway.url, add_version=gateway.shape.add_version, headers=HEADER
    ) as client:
        client.run("acme/shout", {"text": "x"})
    assert {each.headers["authorization"] for each in gateway.origin.received} == {"Bearer r8_mine"}


def test_without_the_gateway_there_is_no_way_in(gateway: Gateway) -> None:
    with Client(base_url=gateway.server.url) as client, pytest.raises(APIError) as caught:
        client.accounts.current()
    assert caught.value.status == 401
    gateway.simulator.requests.clear()
    with Client(base_url=gateway.url, add_version=gateway.shape.add_version, headers=HEADER) as client:
        assert client.accounts.current().username == "local"
