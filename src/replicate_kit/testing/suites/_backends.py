"""What every backend has to do, wherever it runs predictions."""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

import anyio
import pytest

from replicate_kit import errors
from replicate_kit._files.outputs import FileOutput
from replicate_kit._runtime.blocking import is_blocking
from replicate_kit.client import Client
from replicate_kit.testing.suites._drivers import DRIVERS, Drive, DriverSuite, need
from replicate_kit.transport import Abilities, Backend, Once, Request, Timeout, Transport

__all__ = ["BackendSuite", "connected", "in_each_loop"]

Model: TypeAlias = tuple[str, dict[str, Any]]
"""A model by its name, and an input for it."""

_LARGE = bytes(range(256)) * 1000


class BackendSuite(DriverSuite):
    """Tests of a backend; the fixture `backend` gives one that runs the demo models.

    `replicate_kit.simulator.install` publishes them. A backend that cannot have them overrides `text_model`,
    `file_model`, `slow_model`, `failing_model` and `long_model` (a name and an input each), or sets to None what it has
    none of; `takes_files = False` says that nothing can be uploaded. What needs these is skipped then. One that works
    only under some drivers says so by `drivers`, and has to raise `ConfigError` under the others.
    """

    text_model: Model | None = ("demo/poet", {"prompt": "sea", "lines": 2})
    """Gives text at once."""
    file_model: Model | None = ("demo/painter", {"prompt": "sea", "width": 16, "height": 16})
    """Gives a file, or a list of them."""
    slow_model: Model | None = ("demo/slow", {"seconds": 600})
    """Is not done before it is canceled."""
    failing_model: Model | None = ("demo/flaky", {"prompt": "x", "failure_rate": 1})
    """Fails."""
    long_model: Model | None = ("demo/poet", {"prompt": "sea", "lines": 64, "delay": 0.05})
    """Streams for seconds."""
    takes_files: bool = True
    """Whether files can be uploaded (`POST /files`)."""
    drivers: Collection[str] = ("blocking", "asyncio", "trio")
    """What may drive it; those in event loops are named by their library."""

    @pytest.fixture(autouse=True)
    def _skip_other_drivers(self, request: pytest.FixtureRequest) -> None:
        """Skip what runs under a driver for which the backend is not made."""
        given: dict[str, Any] = getattr(getattr(request.node, "callspec", None), "params", {})
        if any(given[name] not in self.drivers for name in ("drive", "library") if name in given):
            pytest.skip("The backend does not work under this driver.")

    @pytest.fixture
    def backend(self) -> Backend:
        """The backend to test."""
        raise TypeError("Override the fixture `backend` with one that gives your backend.")

    @pytest.fixture
    def client_options(self) -> dict[str, Any]:
        """Options of `Client` that the backend needs, such as `base_url`."""
        return {}

    @pytest.fixture
    def client(self, backend: Backend, client_options: dict[str, Any]) -> Iterator[Client]:
        """A client of the backend."""
        with Client(backend=backend, poll_interval=0.01, **client_options) as client:
            yield client

    @pytest.fixture
    def abilities(self, backend: Backend) -> Abilities:
        """What the backend says that it can do."""
        return getattr(backend, "abilities", Abilities())

    # What it says of itself.

    def test_it_is_a_backend(self, backend: Backend) -> None:
        assert isinstance(backend, Backend)

    def test_the_base_url_has_no_slash_at_its_end(self, client: Client, backend: Backend) -> None:
        url = backend.base_url(client.config)
        assert url.startswith(("http://", "https://"))
        assert not url.endswith("/")

    def test_origins_of_outputs_are_origins(self, client: Client, backend: Backend) -> None:
        for origin in backend.output_origins(client.config):
            scheme, _, rest = origin.partition("://")
            assert scheme in ("http", "https")
            assert "/" not in rest

    def test_its_abilities_can_be_read(self, abilities: Abilities) -> None:
        assert isinstance(abilities, Abilities)
        assert all(400 <= status < 600 for status in abilities.refuses)
        assert all(option.isidentifier() for option in abilities.options)

    def test_an_option_that_it_has_not_is_refused(
        self, backend: Backend, client_options: dict[str, Any]
    ) -> None:
        with pytest.raises(errors.ConfigError):
            Client(backend=backend, **client_options, there_is_no_such_option=1)

    def test_a_prediction_is_listed_where_it_lists_them(
        self, client: Client, abilities: Abilities, drive: Drive
    ) -> None:
        if not abilities.lists_predictions:
            pytest.skip("The backend does not list predictions.")
        created = drive(client.predictions.async_create(*_needed(self.text_model)))
        assert created.id in [each.id for each in drive(client.predictions.async_list())]

    # Predictions.

    def test_a_model_runs(self, client: Client, drive: Drive) -> None:
        output = drive(client.async_run(*_needed(self.text_model), timeout=30))
        in_chunks = isinstance(output, Iterable) and not isinstance(output, str)
        assert ("".join(map(str, output)) if in_chunks else str(output)).strip()

    def test_a_file_can_be_read(self, client: Client, drive: Drive) -> None:
        output = drive(client.async_run(*_needed(self.file_model), timeout=30))
        file = output[0] if isinstance(output, list) else output
        assert isinstance(file, FileOutput)
        assert drive(file.async_read())

    def test_a_stream_comes_to_its_end(self, client: Client, drive: Drive) -> None:
        model = _needed(self.text_model)

        async def read() -> str:
            return "".join([str(event) async for event in client.async_stream(*model)])

        assert drive(read()).strip()

    def test_a_stream_may_be_left(self, client: Client, drive: Drive) -> None:
        model = _needed(self.long_model)

        async def read_one() -> str:
            prediction = await client.predictions.async_create(*model)
            async with aclosing(prediction.async_stream()) as events:
                async for _ in events:
                    break
            await prediction.async_cancel()
            return str(prediction.status)

        assert drive(read_one()) == "canceled"

    def test_a_create_is_answered_before_the_end_and_can_be_canceled(
        self, client: Client, drive: Drive
    ) -> None:
        model = _needed(self.slow_model)

        async def create_and_cancel() -> tuple[str, str]:
            prediction = await client.predictions.async_create(*model)
            before = prediction.status
            await prediction.async_cancel()
            return before, prediction.status

        before, after = drive(create_and_cancel())
        assert before in ("starting", "processing")
        assert after == "canceled"

    def test_a_failure_is_the_models(self, client: Client, drive: Drive) -> None:
        with pytest.raises(errors.ModelError) as caught:
            drive(client.async_run(*_needed(self.failing_model), timeout=30))
        assert caught.value.prediction.status == "failed"

    def test_what_is_not_there_is_not_found(self, client: Client, drive: Drive) -> None:
        with pytest.raises(errors.NotFound):
            drive(client.predictions.async_get("there-is-no-such-prediction"))

    # Bodies, up and down.

    def test_an_upload_arrives_whole(self, client: Client, drive: Drive) -> None:
        self._need_files()
        file = drive(client.files.async_create(io.BytesIO(_LARGE), filename="large.bin"))
        assert file.size == len(_LARGE)
        assert file.checksums.get("sha256", _DIGEST) == _DIGEST

    def test_a_body_that_is_replayable_is_sent_as_often_as_it_is_asked_for(
        self, client: Client, backend: Backend, drive: Drive
    ) -> None:
        self._need_files()

        async def send_twice() -> list[int]:
            request = _request(client, "POST", "files", files={"content": ("a.bin", io.BytesIO(_LARGE))})
            async with connected(backend, client) as transport:
                return [(await transport.send(request)).json()["size"] for _ in range(2)]

        assert drive(send_twice()) == [len(_LARGE)] * 2

    @pytest.mark.parametrize("is_announced", [True, False])
    def test_a_body_that_is_there_once_is_read_once(
        self, is_announced: bool, client: Client, backend: Backend, drive: Drive
    ) -> None:
        self._need_files()
        form = _request(client, "POST", "files", files={"content": ("a.bin", _LARGE)})
        assert not isinstance(form.body, bytes | None)
        chunks, read = list(form.body.blocking()), list[int]()

        def given() -> Iterator[bytes]:
            for number, chunk in enumerate(chunks):
                read.append(number)
                yield chunk

        async def send() -> Any:
            body = Once(given(), form.body.length if is_announced else None)  # type: ignore[union-attr]
            request = _request(client, "POST", "files", body=body)
            request.headers["content-type"] = form.headers["content-type"]
            async with connected(backend, client) as transport:
                return (await transport.send(request)).json()["size"]

        assert drive(send()) == len(_LARGE)
        assert read == list(range(len(chunks)))

    def test_an_answer_has_been_read_and_knows_its_request(
        self, client: Client, backend: Backend, drive: Drive
    ) -> None:
        name = _needed(self.text_model)[0]
        request = _request(client, "GET", f"models/{name}")

        async def send() -> Any:
            async with connected(backend, client) as transport:
                return await transport.send(request)

        response = drive(send())
        assert (response.status_code, response.is_read, response.request) == (200, True, request)
        assert response.json()["name"] == name.split("/")[1]

    def test_a_streamed_answer_is_read_by_its_methods_and_closed(
        self, client: Client, backend: Backend, drive: Drive
    ) -> None:
        path = f"models/{_needed(self.text_model)[0]}"

        async def read() -> list[bytes]:
            async with connected(backend, client) as transport:
                one = await transport.send(_request(client, "GET", path), stream=True)
                chunks = [chunk async for chunk in one.aiter_bytes()]
                other = await transport.send(_request(client, "GET", path), stream=True)
                whole = await other.aread()
                for response in (one, other, one):
                    await response.aclose()
                return [b"".join(chunks), whole]

        in_chunks, whole = drive(read())
        assert in_chunks == whole != b""

    # Drivers, loops and closing.

    @pytest.mark.parametrize("driver", ["blocking", "asyncio", "trio"])
    def test_a_driver_for_which_it_is_not_made_is_refused(self, driver: str, client: Client) -> None:
        if driver in self.drivers:
            pytest.skip("The backend works under this driver.")
        if driver != "blocking":
            need(driver)
        with pytest.raises(errors.ConfigError):
            DRIVERS[driver](client.models.async_get(_needed(self.text_model)[0]))

    def test_a_client_works_in_one_event_loop_after_another(self, client: Client, drive: Drive) -> None:
        name = _needed(self.text_model)[0]
        assert [str(drive(client.models.async_get(name)).name) for _ in range(2)] == [name.split("/")[1]] * 2

    def test_a_client_works_in_two_event_loops_at_once_and_blocks_beside_them(self, client: Client) -> None:
        name = _needed(self.text_model)[0]
        together = threading.Barrier(3)

        async def ask() -> str:
            await anyio.to_thread.run_sync(together.wait)
            return str((await client.models.async_get(name)).name)

        def block() -> str:
            together.wait()
            return str(client.models.get(name).name)

        with ThreadPoolExecutor(3) as threads:
            asked = [threads.submit(asyncio.run, ask()) for _ in range(2)] + [threads.submit(block)]
            assert [each.result(30) for each in asked] == [name.split("/")[1]] * 3

    @pytest.mark.parametrize("library", ["asyncio", "trio"])
    def test_many_ask_at_once(self, library: str, client: Client) -> None:
        name, found = _needed(self.text_model)[0], list[str]()

        async def ask() -> None:
            found.append((await client.models.async_get(name)).name)

        async def main() -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(40):
                    tasks.start_soon(ask)

        in_each_loop(library, main)
        assert len(found) == 40

    @pytest.mark.parametrize("library", ["asyncio", "trio"])
    def test_it_can_be_used_after_a_request_was_cancelled(
        self, library: str, client: Client, abilities: Abilities
    ) -> None:
        name, input = _needed(self.slow_model)

        async def main() -> bool:
            with anyio.move_on_after(0.3) as scope:
                await client.predictions.async_create(name, input, wait=30)
            for each in await client.predictions.async_list() if abilities.lists_predictions else ():
                if not each.ended:
                    await each.async_cancel()
            return scope.cancelled_caught and bool(await client.models.async_get(name))

        assert in_each_loop(library, main)

    def test_it_can_be_closed_twice(self, client: Client, backend: Backend, drive: Drive) -> None:
        path = f"models/{_needed(self.text_model)[0]}"

        async def close() -> None:
            async with connected(backend, client) as transport:
                await transport.send(_request(client, "GET", path))
                await transport.aclose()

        drive(close())
        drive(client.aclose())
        drive(client.aclose())

    def _need_files(self) -> None:
        """Skip what needs uploads where there are none."""
        if not self.takes_files:
            pytest.skip("The backend takes no files.")


_DIGEST = hashlib.sha256(_LARGE).hexdigest()


def _needed(model: Model | None) -> Model:
    """Give a model, or skip the test that needs it."""
    if model is None:
        pytest.skip("The backend has no such model.")
    return model


def in_each_loop(library: str, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run an operation in an event loop of a library; skip the test where that is not installed."""
    need(library)
    return anyio.run(main, backend=library)


@asynccontextmanager
async def connected(backend: Backend, client: Client) -> AsyncIterator[Transport]:
    """A transport of the backend for whoever drives, without a client's retries and layers."""
    transport = backend.connect(client.config, blocking=is_blocking())
    try:
        yield transport
    finally:
        await transport.aclose()


def _request(client: Client, method: str, path: str, **body: Any) -> Request:
    """A request of the API, as clients make it."""
    token = client.config.api_token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"{client.session.base_url}{path}"
    return Request(method, url, headers=headers, timeout=Timeout(30.0, 30.0, 30.0, 30.0), **body)
