"""What the fixtures are made of, for other test runners: Replicate replaced for as long as a block runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from replicate_kit._formats.wording import with_safe_repr
from replicate_kit.client import Client
from replicate_kit.simulator import Clock, Fault, Simulator, install
from replicate_kit.simulator.defaults import replaced, to_this_machine

if TYPE_CHECKING:
    from replicate_kit.serving import Server

__all__ = ["ReplicateMock", "mocked", "served"]

F = TypeVar("F", bound=Callable[..., Any])
Publish = Callable[[Simulator], object]
POLL = 0.01  # seconds: a test waits for nobody


@with_safe_repr
@dataclass(frozen=True)
class ReplicateMock:
    """A simulator, and a client of it."""

    simulator: Simulator
    client: Client

    def model(self, name: str, /, **options: Any) -> Callable[[F], F]:
        """Publish a function as a model, as `Simulator.model` does."""
        return self.simulator.model(name, **options)

    @property
    def clock(self) -> Clock:
        """The simulator's clock, which can be moved."""
        return self.simulator.clock

    def fault(self, fault: Fault | str, /) -> None:
        """Let something go wrong from now on: a `Fault`, or one as the command line writes it."""
        self.simulator.faults.add(_fault(fault))


@contextmanager
def mocked(
    *,
    models: str | Path | Publish | Iterable[str | Path | Publish] = (),
    faults: Iterable[Fault | str] = (),
    demo: bool | None = None,
    **options: Any,
) -> Iterator[ReplicateMock]:
    """Replace Replicate by a fresh simulator in this process: for the default client, and for those made meanwhile.

    The options are those of the fixture `replicate_mock`. Webhooks are sent to this machine only, unless there is a
    `webhook_sender`.

    >>> import replicate_kit
    >>> with mocked() as mock:
    ...     @mock.model("acme/shout")
    ...     def shout(text: str) -> str:
    ...         return text.upper()
    ...     replicate_kit.run("acme/shout", {"text": "hello"}), mock.simulator.created
    ('HELLO', 1)
    """
    published = _listed(models)
    options.setdefault("webhook_sender", to_this_machine)
    with Simulator(faults=map(_fault, faults), **options) as simulator:
        if demo or (demo is None and not published):
            install(simulator)
        for each in published:
            simulator.load(each) if isinstance(each, str | Path) else each(simulator)
        with (
            Client(backend=simulator, poll_interval=POLL) as client,
            _redirected(client),
            replaced(simulator),
            _environment({"REPLICATE_KIT_BACKEND": "mock", "REPLICATE_POLL_INTERVAL": str(POLL)}),
        ):
            yield ReplicateMock(simulator, client)


@contextmanager
def served(
    *,
    models: str | Path | Publish | Iterable[str | Path | Publish] = (),
    faults: Iterable[Fault | str] = (),
    **options: Any,
) -> Iterator[Server]:
    """Serve a fresh simulator, and point the environment and the default client at it. Needs the extra `server`.

    The options are those of the fixture `replicate_server`.

    >>> import httpx, os
    >>> with served(https=False) as server:
    ...     token = {"authorization": f"Bearer {os.environ['REPLICATE_API_TOKEN']}"}
    ...     httpx.get(os.environ["REPLICATE_BASE_URL"] + "/v1/account", headers=token).json()["username"]
    'local'
    """
    from replicate_kit.serving import Server

    with Server(*_listed(models), faults=[_fault(each) for each in faults], **options) as server:
        found = {**server.environment, "REPLICATE_KIT_BACKEND": "http", "REPLICATE_POLL_INTERVAL": str(POLL)}
        with _environment(found), Client(backend="http", poll_interval=POLL) as client, _redirected(client):
            yield server


def _listed(models: Any) -> list[Any]:
    return [models] if isinstance(models, str | Path) or callable(models) else list(models)


def _fault(fault: Fault | str) -> Fault:
    return Fault.parse(fault) if isinstance(fault, str) else fault


@contextmanager
def _redirected(client: Client) -> Iterator[None]:
    """Let the default client do what `client` does: also for those who have taken its methods (`from … import run`)."""
    default: Client = import_module("replicate_kit._default").default_client
    session, config = default.session, default.config
    before = dict(vars(session))
    default.config = client.config
    vars(session).update(vars(client.session))
    try:
        yield
    finally:
        default.config = config
        vars(session).clear()
        vars(session).update(before)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables, and put back what was there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
