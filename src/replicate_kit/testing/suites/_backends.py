"""What every backend has to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from replicate_kit import errors
from replicate_kit._files.outputs import FileOutput
from replicate_kit.client import Client
from replicate_kit.testing.suites._drivers import Drive, DriverSuite
from replicate_kit.transport import Backend

__all__ = ["BackendSuite"]


class BackendSuite(DriverSuite):
    """Tests of a backend; the fixture `backend` gives one that runs the demo models.

    `replicate_kit.simulator.install` publishes them; override `text_model`, `file_model`, `slow_model` and
    `failing_model` (a name and an input each) for a backend that cannot have them.
    """

    text_model: tuple[str, dict[str, Any]] = ("demo/poet", {"prompt": "sea", "lines": 2})
    file_model: tuple[str, dict[str, Any]] = ("demo/painter", {"prompt": "sea", "width": 16, "height": 16})
    slow_model: tuple[str, dict[str, Any]] = ("demo/slow", {"seconds": 600})
    failing_model: tuple[str, dict[str, Any]] = ("demo/flaky", {"prompt": "x", "failure_rate": 1})

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

    def test_a_model_runs(self, client: Client, drive: Drive) -> None:
        output = drive(client.async_run(*self.text_model, timeout=30))
        assert "".join(output).strip()

    def test_a_file_can_be_read_and_shows_the_token_to_nobody(self, client: Client, drive: Drive) -> None:
        output = drive(client.async_run(*self.file_model, timeout=30))
        file = output[0] if isinstance(output, list) else output
        assert isinstance(file, FileOutput)
        assert drive(file.async_read())

    def test_a_stream_comes_to_its_end(self, client: Client, drive: Drive) -> None:
        async def read() -> str:
            return "".join([str(event) async for event in client.async_stream(*self.text_model)])

        assert drive(read()).strip()

    def test_a_create_is_answered_before_the_end_and_can_be_canceled(
        self, client: Client, drive: Drive
    ) -> None:
        async def create_and_cancel() -> tuple[str, str]:
            prediction = await client.predictions.async_create(*self.slow_model)
            before = prediction.status
            await prediction.async_cancel()
            return before, prediction.status

        before, after = drive(create_and_cancel())
        assert before in ("starting", "processing")
        assert after == "canceled"

    def test_a_failure_is_the_models(self, client: Client, drive: Drive) -> None:
        with pytest.raises(errors.ModelError) as caught:
            drive(client.async_run(*self.failing_model, timeout=30))
        assert caught.value.prediction.status == "failed"

    def test_what_is_not_there_is_not_found(self, client: Client, drive: Drive) -> None:
        with pytest.raises(errors.NotFound):
            drive(client.predictions.async_get("there-is-no-such-prediction"))

    def test_a_client_works_in_one_event_loop_after_another(self, client: Client, drive: Drive) -> None:
        name = self.text_model[0]
        assert [str(drive(client.models.async_get(name)).name) for _ in range(2)] == [name.split("/")[1]] * 2

    def test_it_can_be_closed_twice(self, client: Client, drive: Drive) -> None:
        drive(client.models.async_get(self.text_model[0]))
        drive(client.aclose())
        drive(client.aclose())
