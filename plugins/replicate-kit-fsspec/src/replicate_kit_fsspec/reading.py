"""Files in stores as models' inputs: signed where the store can, else sent through the files API."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fsspec.core import OpenFile

from replicate_kit.errors import InputError
from replicate_kit.inputs import INLINE_LIMIT, InputFile, encode_file, is_private, upload_url
from replicate_kit.messages import hidden_in_errors, redacted
from replicate_kit.storage import FileURL
from replicate_kit_fsspec.instances import forget, opened, tried
from replicate_kit_fsspec.locations import BLOCK, StoreLocation, location_of

if TYPE_CHECKING:
    from replicate_kit.session import Session

__all__ = ["SIGNED_FOR", "encode"]

SIGNED_FOR = 24 * 3600
"""Seconds for which a signed URL is good: a prediction may wait in a queue before its model reads it."""


def encode(value: Any, session: Session) -> Coroutine[Any, Any, str] | None:
    """Encode a URL of a store, or what `fsspec.open` or universal_pathlib made of one; None for anything else."""
    if isinstance(value, FileURL):
        again = functools.partial(location_of, value, {}, write=False)
        with hidden_in_errors(value):
            source = _Source(*opened(value, {}, write=False), session, again)
        return _without_secrets(value, source)
    if isinstance(value, OpenFile) or type(value).__module__.startswith("upath"):
        path = str(value.path)
        return _Source(
            StoreLocation(value.fs, path, redacted(value.fs.unstrip_protocol(path))), True, session
        ).url()
    return None


async def _without_secrets(url: str, source: _Source) -> str:
    """Give what a model reads; errors are without the password of the file's own URL."""
    with hidden_in_errors(url):
        return await source.url()


class _Source:
    """One file in a store, on its way to a model."""

    def __init__(
        self,
        location: StoreLocation,
        is_old: bool,
        session: Session,
        again: Callable[[], StoreLocation] | None = None,
    ) -> None:
        self._location, self._is_old, self._session, self._again = location, is_old, session, again

    async def url(self) -> str:
        """Give a URL under which the model finds the file; large files are signed or sent once."""
        info = await self._session.in_thread(self._info)
        size = int(info.get("size") or 0)
        if size * 4 / 3 + 100 <= INLINE_LIMIT:
            return await self._sent(size)
        fs, path = self._location.fs, self._location.path
        key = ("replicate_kit_fsspec", fs._fs_token, path, fs.ukey(path))
        return str(await self._session.single_flight(key, functools.partial(self._made, size), self._session))

    def _info(self) -> dict[str, Any]:
        """Look at the file; raise while nothing is paid for if there is none."""
        try:
            self._location, info = tried((self._location, self._is_old), self._again, _info_at)
        except Exception as error:  # whatever a store's own client raises
            raise self._unreadable(error) from error
        if info.get("type") == "directory":
            raise InputError(f"{self._location.url!r} is a folder. Pass the URL of one file.")
        return info

    def _unreadable(self, error: Exception) -> InputError:
        """Say that the file cannot be read, and what to do."""
        return InputError(
            f"{self._location.url!r} cannot be read ({type(error).__name__}: {error}). Check the URL and its "
            "credentials, which come from the environment; or pass fsspec.open(url, …options)."
        )

    async def _made(self, size: int) -> tuple[str, float]:
        """Make a URL of a large file; give it, and for how many seconds it may be given again."""
        signed = await self._session.in_thread(self._signed)
        if signed is not None:
            return signed, SIGNED_FOR / 2
        with await self._session.in_thread(functools.partial(self._opened, size)) as file:
            return await upload_url(file.input, self._session)

    async def _sent(self, size: int) -> str:
        """Send a small file with the input itself."""
        with await self._session.in_thread(functools.partial(self._opened, size)) as file:
            return await encode_file(file.input, self._session)

    def _signed(self) -> str | None:
        """Sign a URL for whoever can reach the store; None where it cannot sign or others cannot reach it."""
        try:
            url = str(self._location.fs.sign(self._location.path, expiration=SIGNED_FOR))
        except Exception:  # no credentials that can sign, no signing at all: then it is sent
            return None
        parts = urlsplit(url)
        return url if parts.scheme == "https" and not is_private(parts.hostname or "") else None

    def _opened(self, size: int) -> _Opened:
        """Open the file, to be read block by block."""
        try:
            handle = self._location.fs.open(
                self._location.path, "rb", block_size=BLOCK, cache_type="readahead"
            )
        except Exception as error:  # whatever a store's own client raises
            forget(self._location)
            raise self._unreadable(error) from error
        return _Opened(InputFile(handle, self._location.path.rpartition("/")[2] or "file", size))


def _info_at(location: StoreLocation) -> dict[str, Any]:
    """Look at a file."""
    location.fs.invalidate_cache(location.path)
    info: dict[str, Any] = location.fs.info(location.path)
    return info


class _Opened:
    """A file that is open for the length of a block."""

    def __init__(self, input: InputFile) -> None:
        self.input = input

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert not isinstance(self.input.source, bytes)
        getattr(self.input.source, "close")()  # noqa: B009 - a path has none, and is none
