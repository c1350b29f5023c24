"""How the stand-in's clients connect: our session, with the settings and the errors of `replicate` 1.x."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from replicate_kit import errors
from replicate_kit.compat.replicate.exceptions import ReplicateError, ReplicateException
from replicate_kit.config import Config
from replicate_kit.hookspecs import hookimpl
from replicate_kit.plugins import Plugins
from replicate_kit.session import Session
from replicate_kit.transport import Backend
from replicate_kit.wording import with_safe_repr

if TYPE_CHECKING:
    from replicate_kit.simulator import Simulator

__all__ = ["StandInSession", "as_theirs", "chain", "connect"]

_PATIENT = 86_400.0
"""Seconds, where 1.x was told to wait without end."""


def connect(
    api_token: str | None,
    base_url: str | None,
    timeout: Any,
    backend: str | Backend | Simulator | None,
    options: Mapping[str, Any],
) -> StandInSession:
    """Make the session of a client."""
    phases = None if timeout is None else httpx.Timeout(timeout).as_dict()
    settings: dict[str, Any] = {
        "explicit_token": api_token,
        "base_url": _root(base_url),
        "file_encoding": "upload",
        "http_options": dict(options),
    }
    if isinstance(backend, str):
        settings["backend"] = backend
    if phases is not None:
        settings["timeout"] = phases["read"] or _PATIENT
    config = _Config(**settings)
    plugins = Plugins(config, [_OutputsAsInputs()])
    chosen = plugins.backend(config.backend if backend is None else backend)
    session = StandInSession(config, chosen, plugins, plugins.layers(config))
    session.phases = {name: each for name, each in (phases or {}).items() if name != "read"}
    return session


def _root(base_url: str | None) -> str:
    """Add the version that 1.x leaves out of its base URL."""
    url = Config(base_url=base_url).base_url if base_url else Config().base_url
    return url if url.endswith("/v1") else f"{url}/v1"


@with_safe_repr
@dataclass(frozen=True)
class _Config(Config):
    """Settings whose token may come from the scope that Cog has opened for one prediction."""

    @property
    def api_token(self) -> str | None:
        return self.explicit_token or _token_of_cog_scope() or super().api_token


def _token_of_cog_scope() -> str | None:
    """Find a token in Cog's current scope; asked for each request, because the next one is another tenant's."""
    with suppress(Exception):  # no Cog, an older one, or no scope
        for key, value in sys.modules["cog"].current_scope().context.items():
            if key.upper() == "REPLICATE_API_TOKEN":
                return str(value)
    return None


class _OutputsAsInputs:
    """Lets one model's output be the next one's input."""

    @hookimpl
    def replicate_encode_input(self, value: Any) -> Any:
        """Send a file that a model made as its URL."""
        from replicate_kit.compat.replicate.helpers import FileOutput

        return value.url if isinstance(value, FileOutput) else None


class StandInSession(Session):
    """Our session, which sends a POST once only and fails as 1.x does."""

    phases: Mapping[str, float | None] = {}
    """Timeouts in seconds of connecting, writing and waiting for a connection, where they were given."""

    async def fetch(self, method: str, path: str, /, **options: Any) -> Any:
        with as_theirs():
            return await super().fetch(method, path, **options)

    async def request(self, method: str, path: str, /, **options: Any) -> httpx.Response:
        if method == "POST" and not options.get("repeatable"):
            options.setdefault("retries", 0)
        with as_theirs():
            return await super().request(method, path, **options)

    async def _send(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        request.extensions["timeout"] |= self.phases
        return await super()._send(request, stream=stream)


@contextmanager
def as_theirs() -> Iterator[None]:
    """Turn our errors into those that code written for 1.x expects: its own, or those of httpx."""
    try:
        yield
    except ReplicateException:
        raise
    except errors.ReplicateError as error:
        raise _theirs(error) from None


def _theirs(error: errors.ReplicateError) -> BaseException:
    """Find the error of 1.x for one of ours. What ours says is kept as a note."""
    for each in chain(error):
        if isinstance(each, errors.MissingToken):
            # The API's own words, without having asked it.
            return ReplicateError(
                title="Unauthenticated", status=401, detail="You did not pass an authentication token"
            )
        if isinstance(each, errors.APIError):
            return ReplicateError.of(each)
        if not isinstance(each, errors.ReplicateError):
            each.add_note(str(error))
            return each
    return error if isinstance(error, ValueError) else ReplicateException(str(error))


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error and what caused it, the outermost first."""
    while error is not None:
        yield error
        error = error.__cause__
