"""The same API by aiohttp, which takes less of a processor for each request; for who names it, and has it installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from replicate_kit.backends._common.api import APIBackend, with_token
from replicate_kit.errors import MissingExtraError
from replicate_kit.transport import Abilities, Transport

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = ["FastBackend"]


class FastBackend(APIBackend):
    """Sends requests by aiohttp, in asyncio and in blocking code. Of the options of httpx it takes `proxy`, `verify`,
    `cert` and `trust_env`, which mean what they do there; the client refuses all others.

    Raises `MissingExtraError` where aiohttp is not installed, and `ConfigError` in trio's event loops and for SOCKS
    proxies, which it cannot use: before anything is sent.

    >>> FastBackend().abilities.lists_predictions
    True
    """

    abilities = Abilities(options=frozenset({"cert", "proxy", "trust_env", "verify"}), kept_token=True)

    def __init__(self) -> None:
        if find_spec("aiohttp") is None:
            raise MissingExtraError("The backend 'fast'", "fast")

    def check_options(self, options: Mapping[str, Any], /) -> None:
        """Raise `ConfigError` for values that no connection can be made with."""
        if options:
            from replicate_kit.backends._aiohttp.settings import check

            check(options)

    def connect(self, config: Config, /, *, blocking: bool) -> Transport:
        """Open a pool of connections."""
        from replicate_kit.backends._aiohttp.settings import Settings

        settings = Settings.of(config, blocking=blocking)
        if blocking:
            from replicate_kit.backends._aiohttp.threads import BlockingPool

            return with_token(BlockingPool(settings), config)
        from replicate_kit.backends._aiohttp.pools import Pool

        return with_token(Pool(settings), config)
