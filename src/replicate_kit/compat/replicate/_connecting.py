"""How the stand-in's clients connect: our session, with the settings and the errors of `replicate` 1.x."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import httpx

from replicate_kit._formats.wording import with_safe_repr
from replicate_kit._http.session import Session
from replicate_kit._http.token_origin import with_kept_token
from replicate_kit._plugins.registry import Plugins
from replicate_kit.compat.replicate._failing import as_theirs
from replicate_kit.config import Config, sendable_token
from replicate_kit.hooks import hookimpl
from replicate_kit.transport import Backend, Request, Response

if TYPE_CHECKING:
    from replicate_kit.simulator import Simulator

__all__ = ["StandInSession", "connect"]

_PATIENT = 86_400.0
"""Seconds, where 1.x was told to wait without end."""

_POLL_INTERVAL = 0.5
"""Seconds between two looks of 1.x."""


def connect(
    api_token: str | None,
    base_url: str | None,
    timeout: Any,
    backend: str | Backend | Simulator | None,
    options: Mapping[str, Any],
) -> StandInSession:
    """Make the session of a client."""
    if not api_token:
        _import_cog()
    phases = None if timeout is None else httpx.Timeout(timeout).as_dict()
    settings: dict[str, Any] = {
        "explicit_token": str(api_token) if api_token else None,  # 1.x writes whatever it is into the header
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
    config = with_kept_token(config, chosen)
    session = StandInSession(config, chosen, plugins.hooks, plugins.layers(config))
    session.phases = {name: each for name, each in (phases or {}).items() if name != "read"}
    return session


def _root(base_url: str | None) -> str:
    """Add the version that 1.x leaves out of its base URL, unless the base URL is said to be complete."""
    config = Config(base_url=base_url) if base_url else Config()
    bare = config.add_version and not config.base_url.endswith("/v1")
    return f"{config.base_url}/v1" if bare else config.base_url


@with_safe_repr
@dataclass(frozen=True)
class _Config(Config):
    """Settings as 1.x has them: the token may come from the scope that Cog has opened for one prediction, and
    the API is asked without one, too, since a gateway may add it. Its looks are half a second apart, unless somebody
    said otherwise.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.poll_interval is None:
            object.__setattr__(self, "poll_interval", _POLL_INTERVAL)

    @property
    def api_token(self) -> str | None:
        if self.explicit_token:
            return sendable_token(f"{self.explicit_token}")
        scoped = _token_of_cog_scope()
        if scoped is _UNSCOPED:
            return super().api_token
        # A scope that holds no token is that of somebody without one, who must not spend the environment's.
        return sendable_token(f"{scoped}") if scoped else None

    @property
    def requires_token(self) -> bool:
        return False


_UNSCOPED = object()
"""Instead of a token, where Cog has no say in it."""


def _token_of_cog_scope() -> Any:
    """Find the token, of whatever type, in Cog's current scope; asked for each request, because the next one is
    another tenant's.

    Whatever goes wrong in Cog leaves the token to the environment, as in 1.x.
    """
    cog = sys.modules.get("cog")
    with suppress(Exception, SystemExit):
        for key, value in cog.current_scope().context.items() if cog else ():
            if key.upper() == "REPLICATE_API_TOKEN":
                return value
    return _UNSCOPED


def _import_cog() -> None:
    """Import Cog if it is there: a program that runs in it need not have done so yet."""
    with suppress(Exception, SystemExit):
        import_module("cog")


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

    async def request(self, method: str, path: str, /, **options: Any) -> Response:
        if method == "POST" and not options.get("repeatable"):
            options.setdefault("retries", 0)
        with as_theirs():
            return await super().request(method, path, **options)

    async def _send(self, request: Request, *, stream: bool) -> Response:
        request.timeout = request.timeout._replace(**self.phases)
        return await super()._send(request, stream=stream)
