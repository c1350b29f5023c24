"""The backend `cog`: the API's requests go in, and Cog's servers do the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from replicate_kit.backends.http import HTTPBackend
from replicate_kit.config import Config
from replicate_kit.transport import Abilities, Transport
from replicate_kit_cog.locations import OPTIONS, servers_of, urls

__all__ = ["CogBackend"]


class CogBackend:
    """Runs predictions on your own Cog servers, which all run one model.

    `servers` is a URL, or several: they are one pool. Without it, as where the backend is named ("cog"), a client's
    option `servers=` says it, its `base_url=`, or the variable REPLICATE_KIT_COG_SERVERS. All clients of a process with
    the same servers share their slots and their predictions. `patience` is for how many seconds predictions wait where
    no server can be used, before they fail.

    A model's name is for you to choose. No token is sent anywhere; `headers=` of a client are sent to the servers.

    >>> from replicate_kit import Client
    >>> from replicate_kit_cog import CogBackend
    >>> client = Client(backend=CogBackend(["http://gpu-1:5000", "http://gpu-2:5000"]))
    >>> client.session.base_url.host
    'gpu-1'
    """

    abilities = Abilities(costs_money=False, options=OPTIONS | {"servers"}, creates_per_minute=60_000)

    def __init__(self, servers: str | Sequence[str] | None = None, *, patience: float = 60.0) -> None:
        self._urls = None if servers is None else urls(servers)
        self._patience = patience

    def check_options(self, options: Mapping[str, Any], /) -> None:
        """Raise `ConfigError` for values that no connection can be made with."""
        if "servers" in options:
            urls(options["servers"])
        HTTPBackend().check_options({name: value for name, value in options.items() if name in OPTIONS})

    def connect(self, config: Config, /, *, blocking: bool) -> Transport:
        """Open a way to the servers; nothing is sent yet."""
        from replicate_kit_cog.transports import CogTransport, shared

        return CogTransport(shared(self._servers(config), config, self._patience), config, blocking=blocking)

    def base_url(self, config: Config, /) -> str:
        """The first server's URL, as if the API was there."""
        return f"{self._servers(config)[0]}/v1"

    def output_origins(self, config: Config, /) -> Sequence[str]:
        """Nowhere: outputs are data URLs."""
        return ()

    def _servers(self, config: Config) -> tuple[str, ...]:
        return self._urls or servers_of(config)
