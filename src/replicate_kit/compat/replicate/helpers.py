"""Inputs on their way in and files on their way out."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx

from replicate_kit import errors
from replicate_kit._files import outputs
from replicate_kit._files.input_files import file_of
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit._runtime.blocking import iterate, run
from replicate_kit.compat.replicate._failing import as_theirs, chain
from replicate_kit.compat.replicate._messages import request_of

if TYPE_CHECKING:
    from replicate_kit.compat.replicate.client import Client

__all__ = ["FileOutput", "async_encode_json", "base64_encode_file", "encode_json", "transform_output"]


async def async_encode_json(obj: Any, client: Client, file_encoding_strategy: str | None = None) -> Any:
    """Make JSON of an input: files are uploaded, or become data URLs where the strategy is "base64"."""
    session = client.session
    encoding: Any = "inline" if file_encoding_strategy == "base64" else "upload"
    chosen = session.with_config(replace(session.config, file_encoding=encoding))
    return await chosen.encode(_with_text_keys(obj))


def _with_text_keys(obj: Any) -> Any:
    """Write the keys of dicts as JSON does, which takes numbers for them, too."""
    if isinstance(obj, dict):
        return {_key(key): _with_text_keys(value) for key, value in obj.items()}
    return [_with_text_keys(each) for each in obj] if isinstance(obj, list) else obj


def _key(key: Any) -> str:
    """A key as JSON has it; what it cannot have is Python's own error."""
    return key if isinstance(key, str) else next(iter(json.loads(json.dumps({key: None}))))


def encode_json(obj: Any, client: Client, file_encoding_strategy: str | None = None) -> Any:
    """Make JSON of an input: files are uploaded, or become data URLs where the strategy is "base64"."""
    return run(async_encode_json(obj, client, file_encoding_strategy))


def base64_encode_file(file: Any) -> str:
    """Make a data URL of an open file."""
    source = file_of(file) if hasattr(file, "read") else None
    if source is None:
        file.seek(0)  # what has no such method is no file, and Python says so
        source = file_of(io.BytesIO(_bytes(file.read())))
    assert source is not None
    return f"data:{source.media_type};base64,{base64.b64encode(source.read()).decode()}"


def _bytes(content: Any) -> bytes:
    """The bytes of what was read."""
    return content.encode() if isinstance(content, str) else content


@with_safe_repr
class FileOutput(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A file that a model made. It is read without the token, which is for the API alone."""

    def __init__(self, url: str, client: Client) -> None:
        self.url = url
        self._client = client

    def read(self) -> bytes:
        """Read the whole file."""
        return run(self.aread())

    async def aread(self) -> bytes:
        """Read the whole file."""
        with _as_of_httpx():
            return await self._file.async_read()

    def __iter__(self) -> Iterator[bytes]:
        return iterate(self._chunks())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        """Read it chunk by chunk."""
        with _as_of_httpx():
            async for chunk in self._file.async_chunks():
                yield chunk

    @property
    def _file(self) -> outputs.FileOutput:
        """The file as ours."""
        return outputs.FileOutput(self.url, self._client.session)

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"FileOutput({self.url[:200]!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (self.url,)


def _revive(url: str) -> FileOutput:
    """Make a file again in another process; it is read through the default client there."""
    from replicate_kit.compat.replicate import default_client

    return FileOutput(url, default_client)


@contextmanager
def _as_of_httpx() -> Iterator[None]:
    """Fail to read a file as httpx does."""
    with as_theirs():
        try:
            yield
        except errors.ReplicateError as error:
            for each in chain(error):
                if isinstance(each, errors.APIError) and each.request is not None:
                    sent = request_of(each.request)
                    response = httpx.Response(each.status, headers=each.headers, request=sent)
                    raise httpx.HTTPStatusError(str(error), request=sent, response=response) from None
            raise


def transform_output(value: Any, client: Client) -> Any:
    """Make files of all texts that begin with "https:" or "data:", which is what 1.x takes for a file."""
    if isinstance(value, str):
        return FileOutput(value, client) if value.startswith(("https:", "data:")) else value
    if isinstance(value, Mapping):
        return {key: transform_output(each, client) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [transform_output(each, client) for each in value]
    return value
