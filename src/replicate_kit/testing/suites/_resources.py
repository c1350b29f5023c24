"""What every resource has to do: each of its operations, in three ways of being driven."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import pytest

from replicate_kit import errors
from replicate_kit._runtime.blocking import blocking
from replicate_kit.client import Client
from replicate_kit.hooks import hookimpl
from replicate_kit.resources._resource import Resource
from replicate_kit.testing.suites._drivers import Drive, DriverSuite
from replicate_kit.transport import Backend, Layer, Request, Response, Transport

__all__ = ["ResourceSuite"]

Arguments: TypeAlias = Sequence[Any] | Mapping[str, Any]
Call: TypeAlias = Arguments | Callable[[Client], Arguments]
Calls: TypeAlias = Mapping[str, Call]


class _Between:
    """A plugin whose layer notes the requests that are sent, or answers them in the place of the backend."""

    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.status: int | None = None
        self.failure: type[errors.TransportError] | None = None

    @hookimpl
    def replicate_transport_layer(self) -> Layer:
        return lambda inner: _Layer(self, inner)


class _Layer:
    def __init__(self, between: _Between, inner: Transport) -> None:
        self._between, self._inner = between, inner

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        self._between.sent.append(request)
        if self._between.failure is not None:
            raise self._between.failure("it was told to fail", request=request)
        if self._between.status is not None:
            return Response(self._between.status, json={"detail": "It was told to fail."}, request=request)
        return await self._inner.send(request, stream=stream)

    async def aclose(self) -> None:
        await self._inner.aclose()


class ResourceSuite(DriverSuite):
    """Tests of a resource, which `resource` names; the fixture `calls` says with what each operation can be called.

    The keys of `calls` are the names of the blocking operations, the values a list of arguments, a dict of keywords, or
    a function that makes them with a client, before each call. The plugin that adds the resource is found where it is
    installed; the fixture `plugins` gives one that is not. The fixture `backend` gives the backend that has what the
    resource is about; without one it is the mock with the demo models.

    ```python
    class TestBoards(ResourceSuite):
        resource = Boards

        @pytest.fixture
        def calls(self):
            return {"names": [], "get": ["ideas"]}
    ```
    """

    resource: type[Resource]
    """The class of the resource."""
    not_called: Collection[str] = ()
    """Operations that it does not call, because nothing can be said for them here."""
    needs_no_request: Collection[str] = ()
    """Operations that may be done without a request."""

    @pytest.fixture
    def calls(self) -> Calls:
        """Arguments for each operation that the suite calls."""
        raise TypeError("Override the fixture `calls`: the operations by name, each with its arguments.")

    @pytest.fixture
    def plugins(self) -> Sequence[object]:
        """Plugins that are not installed."""
        return ()

    @pytest.fixture
    def backend(self) -> str | Backend:
        """Where the requests go: a backend, or its name."""
        return "mock"

    @pytest.fixture
    def client_options(self) -> dict[str, Any]:
        """Options of `Client` that the backend needs."""
        return {}

    @pytest.fixture
    def between(self) -> _Between:
        """What stands between the client and the backend."""
        return _Between()

    @pytest.fixture
    def client(
        self,
        backend: str | Backend,
        plugins: Sequence[object],
        between: _Between,
        client_options: dict[str, Any],
    ) -> Iterator[Client]:
        """A client that has the resource."""
        options = {"poll_interval": 0.01, "retries": 0, **client_options}
        with Client(backend=backend, plugins=[*plugins, between], **options) as client:
            yield client

    # What it is.

    def test_a_client_has_it_by_its_class(self, client: Client) -> None:
        assert isinstance(client.resource(self.resource), self.resource)
        assert client.resource(self.resource) is client.resource(self.resource)

    def test_each_operation_has_a_blocking_twin(self) -> None:
        lacking = [name for name in _asynchronous(self.resource) if not _is_twin(self.resource, name)]
        assert not lacking, (
            f"add blocking twins: {', '.join(f'{name} = blocking(async_{name})' for name in lacking)}"
        )

    def test_each_blocking_operation_has_its_async_form(self) -> None:
        lacking = sorted(set(_twins(self.resource)) - set(_asynchronous(self.resource)))
        assert not lacking, f"name their operations async_…, for whoever awaits them: {', '.join(lacking)}"

    def test_each_operation_says_what_it_does(self) -> None:
        silent = [
            name for name in _asynchronous(self.resource) if not _operation(self.resource, name).__doc__
        ]
        assert not silent, f"these have no docstring: {', '.join(silent)}"

    def test_each_operation_is_called_by_the_suite(self, calls: Calls) -> None:
        named = {*calls, *self.not_called}
        assert named == set(_asynchronous(self.resource)), (
            "`calls` and `not_called` have to name each operation"
        )

    # What it does.

    def test_each_operation_comes_to_its_end(self, client: Client, calls: Calls, drive: Drive) -> None:
        for name in calls:
            try:
                drive(_whole(self._called(client, f"async_{name}", calls[name])))
            except Exception as error:
                error.add_note(f"It was raised by async_{name}.")
                raise

    def test_each_twin_gives_what_its_async_form_gives(
        self, client: Client, calls: Calls, drive: Drive
    ) -> None:
        for name in calls:
            awaited = drive(_whole(self._called(client, f"async_{name}", calls[name])))
            given = self._called(client, name, calls[name])
            given = list(given) if isinstance(given, Iterator) else given
            assert type(given) is type(awaited), f"{name} gives something else than async_{name}"

    def test_requests_go_to_the_root_of_the_api(
        self, client: Client, calls: Calls, between: _Between
    ) -> None:
        for name in calls:
            _ended(self._called(client, name, calls[name]))
        root = str(client.session.base_url)
        elsewhere = [str(each.url) for each in between.sent if not str(each.url).startswith(root)]
        assert not elsewhere, f"pass paths to the session, not whole URLs: {elsewhere}"

    @pytest.mark.parametrize("kind", [errors.ConnectFailed, errors.ConnectionLost, errors.RequestTimeout])
    def test_a_request_that_fails_is_an_error(
        self, kind: type[errors.TransportError], client: Client, calls: Calls, between: _Between
    ) -> None:
        def fail() -> None:
            between.failure = kind

        self._must_raise(client, calls, between, fail)

    @pytest.mark.parametrize("status", [401, 404, 422, 500])
    def test_an_answer_that_is_an_error_is_raised(
        self, status: int, client: Client, calls: Calls, between: _Between
    ) -> None:
        def fail() -> None:
            between.status = status

        self._must_raise(client, calls, between, fail)

    def _must_raise(self, client: Client, calls: Calls, between: _Between, fail: Callable[[], None]) -> None:
        """Let each operation meet a failure."""
        for name in set(calls) - set(self.needs_no_request):
            between.failure = between.status = None
            arguments = _arguments(calls[name], client)
            fail()
            said = None
            try:
                _ended(_applied(getattr(client.resource(self.resource), name), arguments))
            except errors.ReplicateError as error:
                said = error
            assert said is not None, f"{name} said nothing of a request that had failed"

    def _called(self, client: Client, attribute: str, call: Call) -> Any:
        """Begin an operation."""
        return _applied(getattr(client.resource(self.resource), attribute), _arguments(call, client))


def _arguments(call: Call, client: Client) -> Arguments:
    """What an operation is called with."""
    return call(client) if callable(call) else call


def _applied(operation: Any, arguments: Arguments) -> Any:
    """Call an operation."""
    return operation(**arguments) if isinstance(arguments, Mapping) else operation(*arguments)


def _ended(given: Any) -> None:
    """Use up what comes bit by bit."""
    if isinstance(given, Iterator):
        list(given)


async def _whole(given: Any) -> Any:
    """Await an operation; gather what an async generator gives."""
    if isinstance(given, AsyncIterator):
        return [each async for each in given]
    return await given


def _asynchronous(resource: type[Resource]) -> list[str]:
    """The operations of a resource, by the names of their blocking twins."""
    names = [name for name, _ in inspect.getmembers(resource, callable) if name.startswith("async_")]
    return sorted(name.removeprefix("async_") for name in names)


def _operation(resource: type[Resource], name: str) -> Any:
    return getattr(resource, f"async_{name}")


def _is_twin(resource: type[Resource], name: str) -> bool:
    """Whether the class has the blocking twin of an operation, made by `blocking`."""
    return isinstance(inspect.getattr_static(resource, name, None), blocking)


def _twins(resource: type[Resource]) -> list[str]:
    """The names that were made by `blocking`."""
    return [name for name in dir(resource) if _is_twin(resource, name)]
