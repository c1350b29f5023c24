"""Replicate's API, or one like it, over HTTP, by one of the two libraries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from replicate_kit.backends._common.api import APIBackend, with_token
from replicate_kit.backends._options.libraries import OPTIONS, Library
from replicate_kit.transport import Abilities, Transport

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = ["LibraryBackend"]


class LibraryBackend(APIBackend):
    """Sends requests to the base URL. Replicate's own is asked only with a token."""

    library: Library
    abilities = Abilities(options=OPTIONS, kept_token=True)

    def check_options(self, options: Mapping[str, Any], /) -> None:
        """Raise `ConfigError` or `MissingExtraError` for values that no connection can be made with."""
        if options:
            from replicate_kit.backends._options.checks import check_http_options

            check_http_options(options, self.library)

    def connect(self, config: Config, /, *, blocking: bool) -> Transport:
        """Open a pool of connections."""
        from replicate_kit.backends._httpx.pools import connect

        return with_token(connect(config, self.library, blocking=blocking), config)
