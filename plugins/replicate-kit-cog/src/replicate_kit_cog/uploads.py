"""Files that were uploaded for inputs: kept by a simulator of this package, and written into inputs as data URLs."""

from __future__ import annotations

import base64
import time
from typing import Any

from replicate_kit import Client
from replicate_kit.backends.mock import MockBackend
from replicate_kit.errors import FileError, NotFound
from replicate_kit.simulator import Simulator
from replicate_kit.transport import Transport

__all__ = ["Uploads"]

_OWNER, _VALID = "local", 3600  # who uploads, and the seconds that a signature holds


class Uploads:
    """Cog's servers take no uploads, which clients make of files that are too large for a request of the API."""

    def __init__(self, root: str) -> None:
        self._root = f"{root}/files/"
        self._simulator = Simulator(base_url=root, account=_OWNER)
        self._client = Client(backend=self._simulator, plugins=[], retries=0)

    def connect(self, *, blocking: bool) -> Transport:
        """Give what answers requests for files."""
        return MockBackend(self._simulator).connect(None, blocking=blocking)

    def inlined(self, value: Any) -> Any:
        """Put files in place of their URLs, however deep these are in an input."""
        if isinstance(value, str) and value.startswith(self._root):
            return self._data_url(value)
        if isinstance(value, list):
            return [self.inlined(each) for each in value]
        if isinstance(value, dict):
            return {name: self.inlined(each) for name, each in value.items()}
        return value

    def _data_url(self, url: str) -> str:
        """Read a file."""
        id, expiry = url.removeprefix(self._root), int(time.time()) + _VALID
        try:
            kind = self._client.files.get(id).content_type
            signature = self._simulator.sign_download(id, expiry)
            content = self._client.files.download(id, owner=_OWNER, expiry=expiry, signature=signature)
        except (NotFound, FileError):
            return url  # it was deleted; the server says what it cannot do with this
        return f"data:{kind or 'application/octet-stream'};base64,{base64.b64encode(content).decode()}"
