"""The simulator: takes an HTTP request and gives the answer that Replicate's API would."""

from __future__ import annotations

import pathlib
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeVar

from replicate_kit._runtime.runtimes import is_preemptive
from replicate_kit.simulator._api.exchange import Answer, Call, answer_problem, read_body, without_body
from replicate_kit.simulator._api.operations import OPERATIONS
from replicate_kit.simulator._api.operations.subject import model_of
from replicate_kit.simulator._api.routing import Operation, Router
from replicate_kit.simulator._faults.rules import Faults
from replicate_kit.simulator._service import forking
from replicate_kit.simulator._service.limits import RateLimits
from replicate_kit.simulator._service.publishing import Publisher
from replicate_kit.simulator._service.recovery import restore
from replicate_kit.simulator._service.service import Service, Settings
from replicate_kit.simulator._service.webhooks import Sender
from replicate_kit.simulator._state.clock import Clock, http_date
from replicate_kit.simulator._state.problems import HTTPProblem
from replicate_kit.simulator._views import published, recent
from replicate_kit.transport import URL, Request

if TYPE_CHECKING:
    from replicate_kit._runtime.runtimes import Runtime
    from replicate_kit.simulator._faults.faults import Fault

__all__ = ["Seen", "Simulator"]

F = TypeVar("F", bound=Callable[..., Any])


class Seen(NamedTuple):
    """A request that came: which operation it was for ("" for none), and how it was answered."""

    operation: str
    method: str
    url: str
    status: int
    authorized: bool


class Simulator:
    """Replicate's API in a box: predictions with their lifecycle, streams, files, pages, errors. No sockets.

    Models are Python functions. The options, all of them keywords:

    - `base_url`, `files_url`, `streams_url`: the roots of the links that it emits.
    - `account`: the user name of whoever asks.
    - `tokens`: maps tokens to user names, or lists tokens of `account`. Left out, any token is good, and so is none
      unless `require_token`.
    - `wait_style`: how `Prefer: wait` is answered when a model succeeds: `"recorded"` (status "processing" with the
      output, as the real API was recorded to do) or `"terminal"`.
    - `rate_limits`: a `RateLimits`; left out, requests are not throttled.
    - `credit`: dollars to spend; left out, as many as one likes.
    - `run_limit`, `retention`, `upload_lifetime`: seconds that a model may run, that data is kept after the end, and
      that uploads are kept. `keep`: how many predictions are remembered.
    - `workers`: how many predictions of a model run at once.
    - `stream_idle`: seconds after which a silent stream is closed.
    - `fetch_inputs`: whether input files that are elsewhere may be fetched over the network.
    - `state`: a folder in which predictions and files outlive the process; those that were running when it was killed
      run again, under the same ids.
    - `seed`: makes ids repeat. `clock`: a `Clock` that can be moved.
    - `faults`: what is to go wrong; they can be changed later through the attribute `faults`.
    - `webhook_sender`: delivers webhooks in place of httpx: takes a `transport.Request` and gives (or awaits) a status
      code.

    >>> simulator = Simulator()
    >>> @simulator.model("acme/shout")
    ... def shout(text: str, times: int = 1) -> str:
    ...     return text.upper() + "!" * times
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        faults: Iterable[Fault] = (),
        webhook_sender: Sender | None = None,
        base_url: str = "https://api.replicate.test/v1",
        files_url: str = "https://files.replicate.test",
        streams_url: str = "https://stream.replicate.test",
        account: str = "local",
        tokens: Mapping[str, str] | Iterable[str] | None = None,
        require_token: bool = False,
        wait_style: Literal["recorded", "terminal"] = "recorded",
        rate_limits: RateLimits | None = None,
        credit: float | None = None,
        run_limit: float = 1800,
        retention: float = 3600,
        upload_lifetime: float = 86_400,
        keep: int = 100_000,
        workers: int = 8,
        stream_idle: float = 30.0,
        fetch_inputs: bool = False,
        state: str | pathlib.Path | None = None,
        seed: int | None = None,
    ) -> None:
        # Has to be the first line: `locals()` has nothing but the parameters then.
        options = {name: value for name, value in locals().items() if name in Settings._fields}
        self.clock = clock or Clock()
        self.faults = Faults(faults)
        self._service = Service(Settings(**options), self.clock, self.faults, webhook_sender)
        self._publisher = Publisher(self._service)
        self._router = Router(OPERATIONS, self._service.links.prefix)
        self._hosts = _hosts(self._service.settings)
        self.calls: Counter[str] = Counter()
        """How often each operation was asked for, by its name in the API's description (`predictions.create`)."""
        self.requests: deque[Seen] = deque(maxlen=1000)
        """The latest requests, oldest first."""
        if self._service.journal is not None:
            restore(self._service, self._service.journal)
        forking.survive(self._service)

    @property
    def base_url(self) -> str:
        """The root of the API."""
        return self._service.links.api

    @property
    def files_url(self) -> str:
        """The root of the files that models make."""
        return self._service.links.files

    @property
    def webhook_secret(self) -> str:
        """What webhooks are signed with, as `GET /webhooks/default/secret` gives it."""
        return self._service.webhook_secret

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that it answers for."""
        return frozenset(self._hosts)

    @property
    def created(self) -> int:
        """How many predictions were created through requests, however they were addressed."""
        return self._service.created

    def recent(self, count: int = 50, /) -> list[dict[str, Any]]:
        """The newest predictions and trainings, newest first, as the API writes them."""
        return recent(self._service, count)

    def published(self) -> list[dict[str, Any]]:
        """The models that there are, as the API writes them."""
        return published(self._service)

    def model(
        self,
        name: str,
        /,
        *,
        official: bool = True,
        visibility: Literal["public", "private"] = "public",
        description: str | None = None,
        readme: str | None = None,
        hardware: str = "cpu",
        schema: Mapping[str, Any] | None = None,
        workers: int | None = None,
        cold_start: float = 0.0,
        price: float = 0.0,
        links: Mapping[str, str] | None = None,
    ) -> Callable[[F], F]:
        """Publish a function as the model `name` (`owner/name`): a decorator that leaves the function as it is.

        The function's parameters are the inputs, what it returns is the output; `replicate_kit.schema` says which types
        are understood. A generator's items stream; `bytes`, paths, open files and images among the results become
        files. Functions run on threads of the simulator's own, `async def` ones in an event loop of their own. An
        exception makes the prediction fail with its text. `replicate_kit.simulator.log`, `progress` and `sleep` reach
        the prediction that is being worked for.

        An `official` model runs by its name alone; another needs a version, as community models do. `schema` is an
        OpenAPI document to publish in place of the signature's. `workers` is how many predictions run at once,
        `cold_start` the seconds before a worker's first one, `price` the dollars that one costs. `links` may have
        `github_url`, `paper_url`, `license_url` and `cover_image_url`.
        """
        about: dict[str, Any] = {
            "official": official,
            "visibility": visibility,
            "description": description,
            "readme": readme,
        }
        about |= {"hardware": hardware, "price": price, "links": links}

        def publish(function: F) -> F:
            self._publisher.model(
                name, function, schema=schema, workers=workers, cold_start=cold_start, **about
            )
            return function

        return publish

    def load(self, path: str | pathlib.Path, /) -> list[str]:
        """Publish the models of a Python file and give their names.

        They are the functions marked with `replicate_kit.simulator.model`, or else all public ones as `local/<name>`.

        Raises ImportError, with file and line, for a file that does not run; LookupError for one without functions.
        """
        from replicate_kit.simulator._models.loading import load

        found = load(path, lambda value: isinstance(value, Simulator) and bool(value.published()))
        for function, name, options in found:
            self.model(name, **options)(function)
        return [each.name for each in found]

    def imitate(self, name: str, schema: Mapping[str, Any], /, **options: Any) -> None:
        """Publish a model of which only its OpenAPI document is known, such as a real model's `openapi_schema`.

        Inputs are checked as by the real one; outputs are made up, but fit the output schema. Files are pictures.
        """
        self.model(name, schema=schema, **options)(_imitation(schema))

    def load_records(self, records: Mapping[str, Any] | str | pathlib.Path, /) -> None:
        """Put in models, versions, predictions, files and so on, under ids that you choose: a mapping, or a JSON file.

        `docs/simulator.md` has the format. What is loaded replaces what has its id or name.

        Raises ValueError, with the path of each wrong entry (`predictions[3].version: …`); nothing is loaded then.

        >>> simulator = Simulator()
        >>> model = {"owner": "acme", "name": "shout"}
        >>> version = {"model": "acme/shout", "id": "9dcd6d78", "openapi_schema": {"components": {"schemas": {}}}}
        >>> simulator.load_records({"models": [model], "versions": [version]})
        >>> simulator.version("acme/shout")
        '9dcd6d78'
        """
        from replicate_kit.simulator._records.loading import load_records, read_records

        if isinstance(records, Mapping):
            load_records(self._service, records, _imitation, "The records")
        else:
            load_records(self._service, read_records(records), _imitation, str(records))

    def trainer(self, name: str, /) -> Callable[[F], F]:
        """Make a published model trainable: the function takes the training's inputs and returns the weights (a file).

        The version that a training makes runs the model's own function, with the weights as its `replicate_weights`
        if it has such a parameter.
        """

        def publish(function: F) -> F:
            self._publisher.trainer(name, function)
            return function

        return publish

    def deployment(
        self,
        name: str,
        /,
        *,
        model: str,
        hardware: str = "cpu",
        min_instances: int = 1,
        max_instances: int = 1,
    ) -> None:
        """Deploy a published model as `account/name`."""
        self._publisher.deployment(name, model, hardware=hardware, instances=(min_instances, max_instances))

    def collection(
        self,
        slug: str,
        /,
        *,
        models: Iterable[str],
        name: str | None = None,
        description: str = "",
        full_description: str | None = None,
    ) -> None:
        """Group models under a slug such as `text-to-image`."""
        title = name or slug.replace("-", " ").capitalize()
        self._publisher.collection(slug, title, description, models, full_description)

    def example(self, name: str, /, *, input: Mapping[str, Any], output: Any) -> None:
        """Show what a published model does; the first example is its `default_example`."""
        self._publisher.example(name, input, output)

    def version(self, name: str, /) -> str:
        """The id of a published model's latest version."""
        return self._publisher.find(name).id

    def sign_download(self, file_id: str, expiry: int, /, *, owner: str | None = None) -> str:
        """Sign the download of an uploaded file until `expiry` (unix seconds of the simulator's clock)."""
        from replicate_kit.signing import sign_download

        return sign_download(
            owner or self._service.settings.account, file_id, expiry, self._service.files_secret
        )

    async def handle(self, request: Request, runtime: Runtime, /) -> Answer:
        """Answer a request. Never suspends under a blocking runtime.

        A streamed body is read with the response's asynchronous methods, also under a blocking runtime.
        """
        # As with a network, others in the event loop get their turn, and whoever asks can be cancelled. Threads get
        # theirs anyway.
        if not is_preemptive(runtime):
            await runtime.sleep(0.0)
        # A forked child has none of its parent's threads. The first request in it runs again what they ran.
        if self._service.orphaned:
            self._service.relaunch()
        call = Call(self._service, request, runtime)
        operation: Operation | None = None
        try:
            if request.method == "OPTIONS":
                allowed = self._router.allowed(request.url.target, self._sites(request.url))
                response = Answer(204, headers={"allow": allowed})
            else:
                operation, call.params = self._route(request.method, request.url)
                # Counted before anything can refuse it: tests ask how often a client came, not how often it got in.
                self.calls[operation.id] += 1
                response = await self._answer(operation, call)
        except HTTPProblem as problem:
            response = answer_problem(problem)
        if request.method == "HEAD":
            response = without_body(response)
        response.headers["date"] = http_date(self.clock.now())
        self._note(operation, request, response)
        return response

    def is_by_url(self, method: str, url: URL, /) -> bool:
        """Whether a request reads something whose URL is the secret: an output file, a stream or a signed download."""
        try:
            return self._route(method, url)[0].by_url
        except HTTPProblem:
            return False

    def _route(self, method: str, url: URL) -> tuple[Operation, dict[str, str]]:
        """Find the operation, among those of the host that was asked."""
        return self._router.match(method, url.target, self._sites(url))

    def _sites(self, url: URL) -> frozenset[str]:
        return self._hosts.get(url.host, _EVERYWHERE)

    async def _answer(self, operation: Operation, call: Call) -> Answer:
        """Do what is asked for, unless something is to go wrong."""
        # The body first: a fault may be for one model, and only the body of a create names its model.
        call.body = await read_body(call.request, is_form=operation.id == "files.create")
        faults = self.faults.matching(operation.id, partial(model_of, call))
        if faults:
            from replicate_kit.simulator._api.injection import inject

            return await inject(faults, call, partial(self._perform, operation, call))
        return await self._perform(operation, call)

    async def _perform(self, operation: Operation, call: Call) -> Answer:
        """Let the request in, then do what it asks for."""
        service, headers = self._service, {}
        if not operation.public:
            # In this order: a request without a valid token must not use up an account's rate.
            call.account = service.accounts.of(call.request)
            headers = service.limiter.admit(call.account, create=operation.creates)
        response = await operation.handler(call)
        response.headers.update(headers)
        return response

    def _note(self, operation: Operation | None, request: Request, response: Answer) -> None:
        authorized = "authorization" in request.headers
        response.operation = operation.id if operation else ""
        self.requests.append(
            Seen(response.operation, request.method, str(request.url), response.status_code, authorized)
        )

    def close(self) -> None:
        """Let go of the state folder. Predictions that still run are not waited for."""
        if self._service.journal is not None:
            self._service.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _imitation(schema: Mapping[str, Any]) -> Callable[..., Any]:
    """A function that fits a schema; files are pictures."""
    from replicate_kit.simulator._models.samples import imitation
    from replicate_kit.simulator.demo._picture import landscape

    def draw(text: str, chance: random.Random) -> bytes:
        return landscape(text, 256, 256, chance)

    return imitation(schema, draw)


_EVERYWHERE: frozenset[str] = frozenset({"api", "files", "streams"})


def _hosts(settings: Settings) -> dict[str, frozenset[str]]:
    """Which kinds of operations each host has. A host of an unknown name is a proxy's, and has all."""
    hosts: dict[str, set[str]] = {}
    for site, root in (
        ("api", settings.base_url),
        ("files", settings.files_url),
        ("streams", settings.streams_url),
    ):
        hosts.setdefault(URL(root).host, set()).add(site)
    return {host: frozenset(sites) for host, sites in hosts.items()}
