"""`replicate://`: what Replicate keeps, as a filesystem to read from."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from replicate_kit import Client, FileOutput, Prediction, blocking
from replicate_kit.errors import FileError, NotFound
from replicate_kit.resources.accounts import Accounts
from replicate_kit.resources.files import Files
from replicate_kit.resources.predictions import Predictions
from replicate_kit.signing import sign_download
from replicate_kit.stores import files_in

__all__ = ["ReplicateFileSystem"]

_LISTED = 1000  # the newest of each kind: an account may have millions
_SIGNED_FOR = 3600  # seconds

Entry = dict[str, Any]
T = TypeVar("T")


class ReplicateFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    r"""The output files of predictions, and uploaded files, to read with anything that takes fsspec's URLs.

    `replicate://predictions/<id>/output/0` is the first file of a prediction's output, and
    `replicate://files/<id>` an uploaded file, which the API gives out only with a signature: pass the
    account's secret for files as `files_secret`. `client` is the client that reads; without it one is made of
    the other options, which are those of `replicate_kit.Client`.

    >>> import fsspec
    >>> from replicate_kit import Client
    >>> client = Client(backend="mock")
    >>> prediction = client.predictions.create(model="demo/painter", input={"prompt": "sea"}, wait=True)
    >>> with fsspec.open(f"replicate://predictions/{prediction.id}/output/0", client=client) as file:
    ...     file.read(4)
    b'\x89PNG'
    """

    protocol = "replicate"
    cachable = False  # clients that look the same need not be the same

    def __init__(
        self, client: Client | None = None, *, files_secret: str | None = None, **options: Any
    ) -> None:
        super().__init__()
        self._client = client or Client(**options)
        self._files_secret = files_secret

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """List a folder: the newest predictions and files, or the output files of one prediction."""
        entries = list(self._entries(_parts(path)))
        return entries if detail else [entry["name"] for entry in entries]

    def info(self, path: str, **kwargs: Any) -> Entry:
        """Tell of one file or folder. The size of an output file is asked for."""
        parts = _parts(path)
        if not _is_file(parts):
            next(self._entries(parts), None)  # there may be no such prediction
            return _folder("/".join(parts))
        if parts[0] == "files":
            return next(self._entries(parts))
        return {**_file("/".join(parts)), **self._probe(self._source(parts))}

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Read a file, or the bytes from `start` to before `end`."""
        if (start or 0) < 0 or (end or 0) < 0:
            size = self.info(path)["size"]
            start, end = (each + size if each and each < 0 else each for each in (start, end))
        return self._read(self._source(_parts(path)), start or 0, end)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Any = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **kwargs: Any,
    ) -> AbstractBufferedFile:
        if mode != "rb":
            raise OSError(f"replicate://{path} can only be read. Save files elsewhere.")
        size: Any = block_size or 2**20
        return _RangeFile(self, path, mode, size, cache_options=cache_options, **kwargs)

    def created(self, path: str) -> Any:
        """When an uploaded file was uploaded, or a prediction created."""
        parts = _parts(path)
        if parts[0] == "files":
            return _known(self._client.resource(Files).get, parts[1]).created_at
        return self._prediction(parts[1]).created_at

    def sign(self, path: str, expiration: int = _SIGNED_FOR, **kwargs: Any) -> str:
        """Give a URL under which anybody can read a file, for `expiration` seconds if it is an uploaded one."""
        return self._source(_parts(path), expiration).url

    def _entries(self, parts: list[str]) -> Iterator[Entry]:
        """What is in a folder, or the one file that was named."""
        match parts:
            case []:
                yield from (_folder("files"), _folder("predictions"))
            case ["files", *rest]:
                files = self._client.resource(Files)
                found = [_known(files.get, rest[0])] if rest else _newest(files.list_all())
                yield from (_file(f"files/{each.id}", size=each.size, label=each.name) for each in found)
            case ["predictions"]:
                newest = _newest(self._client.resource(Predictions).list_all())
                yield from (_folder(f"predictions/{each.id}") for each in newest)
            case ["predictions", id]:
                yield _folder(f"predictions/{self._prediction(id).id}/output")
            case ["predictions", id, "output"]:
                count = len(files_in(self._prediction(id).output))
                yield from (_file(f"predictions/{id}/output/{index}") for index in range(count))
            case ["predictions", _, "output", _]:
                yield _file("/".join(parts), url=self._source(parts).url)
            case _:
                raise FileNotFoundError(f"replicate://{'/'.join(parts)}")

    def _prediction(self, id: str) -> Prediction:
        """Fetch a prediction."""
        return _known(self._client.resource(Predictions).get, id)

    def _source(self, parts: list[str], expiration: int = _SIGNED_FOR) -> FileOutput:
        """Find what a path means."""
        match parts:
            case ["predictions", id, "output", index] if index.isdecimal():
                files = files_in(self._prediction(id).output)
                if int(index) < len(files):
                    return files[int(index)]
            case ["files", id]:
                return FileOutput(self._signed(id, expiration), self._client.session)
        raise FileNotFoundError(f"replicate://{'/'.join(parts)}")

    def _signed(self, id: str, expiration: int) -> str:
        """Make the link to an uploaded file."""
        if self._files_secret is None:
            raise FileError(
                f"replicate://files/{id} is given out with a signature only. Pass files_secret=…, the account's "
                "signing secret for files."
            )
        owner = str(self._client.resource(Accounts).current().username)
        expiry = int(time.time()) + expiration
        query = {
            "owner": owner,
            "expiry": str(expiry),
            "signature": sign_download(owner, id, expiry, self._files_secret),
        }
        return str(self._client.session.base_url.join(f"files/{id}/download").with_params(query))

    async def _async_probe(self, file: FileOutput) -> Entry:
        """Ask for a file's size and type without reading it."""
        download = await file.async_download()
        await download.aclose()
        return {"size": download.size, "mimetype": download.content_type}

    async def _async_read(self, file: FileOutput, start: int, end: int | None) -> bytes:
        """Read a part of a file."""
        return await file.async_read_range(start, end)

    _probe = blocking(_async_probe)
    _read = blocking(_async_read)


class _RangeFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """An open file that reads through the caches of fsspec."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        found: bytes = self.fs.cat_file(self.path, start, end)
        return found


def _parts(path: str) -> list[str]:
    """Split a path or URL."""
    plain = str(ReplicateFileSystem._strip_protocol(path)).strip("/")
    return plain.split("/") if plain else []


def _is_file(parts: list[str]) -> bool:
    """Whether a path is that of a file, by its form."""
    return (parts[:1] == ["files"] and len(parts) == 2) or (parts[:1] == ["predictions"] and len(parts) == 4)


def _folder(name: str) -> Entry:
    """Describe a folder."""
    return {"name": name, "type": "directory", "size": 0}


def _file(name: str, **known: Any) -> Entry:
    """Describe a file."""
    return {"name": name, "type": "file", "size": None, **known}


def _newest(found: Any) -> Any:
    """Take the newest."""
    return itertools.islice(found, _LISTED)


def _known(get: Callable[[str], T], id: str) -> T:
    """Fetch a record; what the API does not know is not there."""
    try:
        return get(id)
    except NotFound as error:
        raise FileNotFoundError(str(error)) from error
