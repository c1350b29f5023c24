"""The client: settings, plugins, a backend and a session, put together."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, TypeVar, Unpack

from replicate_kit._door.sendable import check_headers
from replicate_kit._files.inputs import check_texts
from replicate_kit._formats.wording import listed, with_safe_repr
from replicate_kit._http.session import Session
from replicate_kit._http.token_origin import with_kept_token
from replicate_kit._moved import advice, with_moved_names
from replicate_kit._plugins.options import check_options
from replicate_kit._plugins.registry import Plugins
from replicate_kit._runtime.awaited import awaitable_too
from replicate_kit._runtime.blocking import blocking
from replicate_kit._runtime.tracebacks import entrance
from replicate_kit.batch._mapping import Maps
from replicate_kit.config import Config, set_up_logging
from replicate_kit.errors import ConfigError
from replicate_kit.resources._jobs.creating import reference_of
from replicate_kit.resources._resource import Resource, present
from replicate_kit.resources._running.running import Run, Runnable
from replicate_kit.transport import URL

if TYPE_CHECKING:
    from replicate_kit._formats.sse import ServerSentEvent
    from replicate_kit.resources._functions import ModelFunction
    from replicate_kit.resources.accounts import Accounts
    from replicate_kit.resources.collections import Collections
    from replicate_kit.resources.deployments import Deployments
    from replicate_kit.resources.files import Files
    from replicate_kit.resources.hardware import HardwareKinds
    from replicate_kit.resources.models import Models
    from replicate_kit.resources.predictions import Prediction, Predictions, WebhookEvent
    from replicate_kit.resources.search import Search
    from replicate_kit.resources.trainings import Trainings
    from replicate_kit.resources.webhooks import Webhooks
    from replicate_kit.simulator import Simulator
    from replicate_kit.stores._saving import Destination
    from replicate_kit.transport import Backend, Response

__all__ = ["Client"]

R = TypeVar("R", bound=Resource)


class RequestOptions(TypedDict, total=False):
    """The options of `request`; see `Session.request`."""

    json: Any
    params: Mapping[str, Any] | None
    headers: Mapping[str, str] | None
    content: str | bytes | None
    files: Mapping[str, Any] | None
    data: Mapping[str, str] | None
    timeout: float | None
    repeatable: bool
    retries: int | None


class RunOptions(TypedDict, total=False):
    """The options that `run` and `stream` share; see `Client.run`."""

    cancel_on_exit: bool
    cancel_after: float | str | None
    check_input: bool
    webhook: str | None
    webhook_events_filter: Iterable[WebhookEvent] | None


class UseOptions(RunOptions, total=False):
    """The options of `use`, which hold for each call; see `Client.run`."""

    wait: bool | int
    timeout: float | None
    save_to: Destination | None
    storage_options: Mapping[str, Any] | None
    progress: Callable[[Prediction], None] | None


@with_moved_names
@with_safe_repr
class Client(Maps):
    """Runs models, and does whatever else the API offers. Safe to share between threads and event loops.

    `api_token` is read when a request is made, if it is not given: from REPLICATE_API_TOKEN, else it is the one that
    `replicate-kit auth login` kept for `base_url`. `backend` is
    where predictions run: "http" (the default), "mock", the name of one that a plugin adds, a `Backend`, or a
    `Simulator`; it is read from REPLICATE_KIT_BACKEND if it is not given. `base_url` is that of the API, with
    or without its "/v1"; with `add_version=False` it is complete, as that of a gateway is which stands for all
    of "https://api.replicate.com/v1". `timeout` is that of each phase of a request, `poll_interval` the pause
    between two looks at a running prediction (0 for none), both in seconds; without it, looks are timed by how long
    others of the same model took. `retries` is how often at most a
    request is sent again that may be (a create only where it certainly was not acted on). `file_encoding` says
    how files go into inputs: "inline" as data URLs, "upload", or "auto" (the default), which depends on their
    size. `trusted_hosts`, `max_answer_bytes` and `max_file_bytes` say from where output files are fetched and how
    much is read: see `Config`. `plugins` are objects with hooks, in addition to the installed ones. `headers`,
    `params` and `cookies` are sent to the API's own origin only. Other options are the backend's: "http" takes those
    of `httpx.Client`, of which a `transport` must serve both blocking and async use.

    Use it in `with` or `async with`, or call `close`, to close its connections early.

    >>> with Client(backend="mock") as client:
    ...     (picture,) = client.run("demo/painter", {"prompt": "a wombat at sea"})
    >>> picture.name.endswith(".png")
    True
    """

    accounts: Accounts
    collections: Collections
    deployments: Deployments
    files: Files
    hardware: HardwareKinds
    models: Models
    predictions: Predictions
    search: Search
    trainings: Trainings
    webhooks: Webhooks

    @entrance
    def __init__(
        self,
        api_token: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float | None = None,
        backend: str | Backend | Simulator | None = None,
        plugins: Iterable[object] | None = None,
        poll_interval: float | None = None,
        retries: int | None = None,
        file_encoding: Literal["auto", "inline", "upload"] | None = None,
        add_version: bool | None = None,
        trusted_hosts: Iterable[str] | None = None,
        max_answer_bytes: int | None = None,
        max_file_bytes: int | None = None,
        **options: Any,
    ) -> None:
        check_headers(options)
        set_up_logging()
        settings = {
            "explicit_token": api_token,
            "base_url": base_url,
            "timeout": timeout,
            "poll_interval": poll_interval,
            "retries": retries,
            "file_encoding": file_encoding,
            "add_version": add_version,
            "trusted_hosts": trusted_hosts,
            "max_answer_bytes": max_answer_bytes,
            "max_file_bytes": max_file_bytes,
            "backend": backend if isinstance(backend, str) else None,
            "http_options": options,
        }
        self.config = Config(**present(settings))
        given = tuple(listed(plugins or ()))
        self._given = {"backend": backend or self.config.backend, "plugins": given}
        self.plugins = Plugins(self.config, given)
        chosen = self.plugins.backend(self.config.backend if backend is None else backend)
        own = [name for name in Client.__init__.__annotations__ if name not in ("return", "options")]
        check_options(options, chosen, own, from_environment=backend is None)
        self.config = with_kept_token(self.config, chosen)
        self.session = Session(self.config, chosen, self.plugins.hooks, self.plugins.layers(self.config))
        self._resources: dict[str, Resource] = {}
        self._kinds = self.plugins.resources(OWN_NAMES)

    def __getattr__(self, name: str) -> Any:
        # Resources, ours included, are those that the plugins contributed; each is made when it is first asked for.
        if not name.startswith("_") and name in self._resources:
            return self._resources[name]
        if name.startswith("_") or name not in self._kinds:
            raise AttributeError(
                f"Client has no {name!r}.{advice(type(self), name)} Its resources are: "
                f"{', '.join(sorted(self.__dict__.get('_kinds', {})))}"
            )
        return self._resources.setdefault(name, self._kinds.made(name, self.session))

    def resource(self, kind: type[R], /) -> R:
        """Give the resource of this class, with its type, whichever plugin it is from.

        >>> from replicate_kit.resources.models import Models
        >>> Client(backend="mock").resource(Models).get("demo/poet")
        <Model: demo/poet>
        """
        for name, each in self._kinds.items():
            if each is kind:
                found = getattr(self, name)
                assert isinstance(found, kind)
                return found
        raise ConfigError(
            f"No plugin adds {kind.__name__} to clients. Install its package, or pass its plugin as "
            "Client(plugins=[…])."
        )

    async def async_run(
        self,
        ref: Any,
        input: Mapping[str, Any] | None = None,
        *,
        wait: bool | int = True,
        timeout: float | None = None,
        save_to: Destination | None = None,
        storage_options: Mapping[str, Any] | None = None,
        progress: Callable[[Prediction], None] | None = None,
        **options: Unpack[RunOptions],
    ) -> Any:
        """Run a model and give its output: text, numbers, lists, dicts, and files as `FileOutput`.

        `ref` is `owner/name`, `owner/name:version`, `deployments/owner/name`, or an object that has one of
        them. A model that gives its output chunk by chunk gives an `OutputIterator` at once, unless
        `timeout`, `progress` or `save_to` need the whole of it.

        - `wait`: let the API hold its first answer for 1 to 60 seconds (True: 60; False: not at all).
        - `timeout`: seconds that the prediction may take in all, from its creation; then `PredictionTimeout`.
        - `cancel_on_exit`: cancel the prediction on a timeout, on Ctrl-C, or when the task is cancelled.
        - `cancel_after`: let the API end the prediction after so many seconds (at least 5) or a time such as
          "1m30s".
        - `save_to`: store the output's files in this folder or fsspec URL; the output then holds the new
          URLs. It may be a template of names, such as "pictures/{prediction_id}{ext}", or a
          `replicate_kit.storage.SaveTo`. `storage_options` go to the filesystem.
        - `progress`: called with the `Prediction` whenever it was looked at.
        - `check_input`: check the input against the model's schema first, where the API shows one.
        - `webhook`, `webhook_events_filter`: where the API sends which events.

        Raises `NotFound` for a name that does not exist and `InputError` for an input that the model does not
        take, both before anything is spent; `ModelError`, `PredictionCanceled`, `PredictionAborted` and
        `PredictionTimeout`, which carry the prediction; and `UncertainCreate` where it is unknown whether the
        prediction was created.

        >>> client = Client(backend="mock")
        >>> client.run("demo/painter", {"prompt": "a wombat", "num_outputs": 2})[1].media_type
        'image/png'
        """
        run = Run.with_options(
            wait=wait,
            timeout=timeout,
            save_to=save_to,
            storage_options=storage_options,
            progress=progress,
            **options,
        )
        return await run(await self._runnable(ref, input), input, self.session)

    @awaitable_too
    async def async_stream(
        self,
        ref: Any,
        input: Mapping[str, Any] | None = None,
        **options: Unpack[RunOptions],
    ) -> AsyncGenerator[ServerSentEvent]:
        """Run a model and give the events of its stream as they come; `str(event)` is the text of an output
        event.

        Takes the `ref`, the `input` and these options of `run`: `cancel_after`, `cancel_on_exit`, `check_input`
        and those of webhooks. A `break` leaves the prediction running. A model without a stream gives its output
        once it has ended. Raises `StreamError` if a stream stays broken, `ModelError` if the model fails.

        >>> client = Client(backend="mock")
        >>> "".join(str(event) for event in client.stream("demo/poet", {"prompt": "sea"})) != ""
        True
        """
        events = Run.with_options(**options).stream(await self._runnable(ref, input), input, self.session)
        async with aclosing(events):
            async for event in events:
                yield event

    async def async_use(self, ref: Any, **options: Unpack[UseOptions]) -> ModelFunction:
        """Make a function of a model: its parameters are the model's inputs, as `help()` and completion show.

        `ref` and the options are those of `run`; the options hold for each call.

        >>> paint = Client(backend="mock").use("demo/painter")
        >>> paint(prompt="a wombat")[0].media_type
        'image/png'
        """
        from replicate_kit.resources._functions import ModelFunction

        return ModelFunction(await self._runnable(ref), Run.with_options(**options), self.session)

    async def _runnable(self, ref: Any, input: Any = None) -> Runnable:
        """Find out what a reference leads to; refuse before that an input that no model can be sent."""
        check_texts(input)
        return await self.models.async_resolve(reference_of(ref, self.session))

    run = blocking(async_run)
    stream = blocking(async_stream)
    use = blocking(async_use)

    @entrance
    def with_options(
        self,
        *,
        api_token: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        timeout: float | None = None,
        poll_interval: float | None = None,
        retries: int | None = None,
        file_encoding: Literal["auto", "inline", "upload"] | None = None,
    ) -> Client:
        """Give a client with other settings that shares this one's connections; what is not given stays as it
        is.

        `headers` and `params` are added to those that the client already sends.

        >>> Client(backend="mock").with_options(timeout=5, headers={"X-Team": "surf"}).config.timeout
        5.0
        """
        options = dict(self.config.http_options)
        for name, added in (("headers", headers), ("params", params)):
            if added is not None and not isinstance(added, Mapping):
                raise ConfigError(
                    f"{name}={added!r:.80} is no mapping. Pass one such as {{'X-Team': 'surf'}}."
                )
            if added:
                options[name] = {**dict(options.get(name) or {}), **added}
        check_headers(options)
        changes = {
            "explicit_token": api_token,
            "timeout": timeout,
            "poll_interval": poll_interval,
            "retries": retries,
            "file_encoding": file_encoding,
            "http_options": options,
        }
        other = object.__new__(type(self))
        other.__dict__ |= self.__dict__
        return other._reconfigured(dataclasses.replace(self.config, **present(changes)))

    def _reconfigured(self, config: Config) -> Client:
        """Take other settings, over the same connections."""
        self.config, self.session, self._resources = config, self.session.with_config(config), {}
        return self

    async def async_request(
        self, method: str, path: str | URL, /, **options: Unpack[RequestOptions]
    ) -> Response:
        """Send any request to the API and give the response itself, for its headers or for what has no method
        here.

        `path` is relative to the base URL. Raises the same errors as every operation.

        >>> Client(backend="mock").request("GET", "account").headers["content-type"]
        'application/json; charset=utf-8'
        """
        return await self.session.request(method, str(path) if isinstance(path, URL) else path, **options)

    request = blocking(async_request)

    async def aclose(self) -> None:
        """Close the connections of the running loop, and those of blocking calls. The client cannot be used
        afterwards.
        """
        await self.session.aclose()

    close = blocking(aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __reduce__(self) -> tuple[Any, ...]:
        # Rebuilt from its settings: connections do not travel, and a token from the environment stays there.
        return _rebuild, (self.config, self._given)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._kinds})

    def __repr__(self) -> str:
        return f"<Client of {self.session.base_url} ({type(self.session.backend).__name__})>"


OWN_NAMES = frozenset({*dir(Client), "config", "plugins", "session"})
"""The names of a client that are no resources: a resource that had one of them could not be reached."""


def _rebuild(config: Config, given: Mapping[str, Any]) -> Client:
    """Make a client again in another process."""
    return Client(
        config.explicit_token,
        base_url=config.base_url,
        timeout=config.timeout,
        poll_interval=config.poll_interval,
        retries=config.retries,
        file_encoding=config.file_encoding,
        add_version=config.add_version,
        trusted_hosts=config.trusted_hosts,
        max_answer_bytes=config.max_answer_bytes,
        max_file_bytes=config.max_file_bytes,
        **given,
        **config.http_options,
    )
