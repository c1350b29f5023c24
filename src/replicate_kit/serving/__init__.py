"""The simulator on sockets of this machine, for programs in any language: HTTP, HTTPS, and a page to look at.

Needs the extra `server`. `replicate-kit serve` is this with a command line around it.

>>> from replicate_kit.serving import Server
>>> with Server(https=False) as server:
...     from replicate_kit import Client
...     Client("any", backend="http", base_url=server.url).run("demo/poet", {"prompt": "sea", "lines": 1}) is not None
True
"""

from __future__ import annotations

from replicate_kit.errors import MissingExtraError

try:
    from replicate_kit.serving._server import Server
except ModuleNotFoundError as error:
    if error.name not in ("starlette", "uvicorn", "trustme"):
        raise
    raise MissingExtraError(f"Serving the simulator ({error.name})", "server") from None

__all__ = ["Server"]
