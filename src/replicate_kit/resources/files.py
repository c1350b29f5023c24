"""Files that were uploaded, to be inputs of predictions. The API keeps them for a limited time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from replicate_kit._files.input_files import file_of, upload
from replicate_kit._files.outputs import FileOutput
from replicate_kit._formats.arguments import text, whole
from replicate_kit._formats.references import escape
from replicate_kit._moved import answering, with_moved_names
from replicate_kit._runtime.blocking import blocking
from replicate_kit.errors import InputError, InvalidResponse
from replicate_kit.records import Field, Record, parse_time
from replicate_kit.resources._resource import Page, Resource, walk

__all__ = ["File", "Files"]


class File(Record):
    """An uploaded file; `size` is in bytes. Pass it, or its `url`, as a model's input."""

    id: Field[str] = Field(default="")
    name: Field[str | None] = Field()
    content_type: Field[str | None] = Field()
    size: Field[int] = Field(default=0)
    etag: Field[str | None] = Field()
    checksums: Field[dict[str, str]] = Field(default={})
    metadata: Field[dict[str, Any]] = Field(default={})
    created_at: Field[datetime | None] = Field(parse_time)
    expires_at: Field[datetime | None] = Field(parse_time)
    urls: Field[dict[str, str]] = Field(default={})

    @property
    def url(self) -> str:
        """Where a model finds it. Raises `InvalidResponse` if the API did not say."""
        url = self.urls.get("get")
        if isinstance(url, str):
            return url
        raise InvalidResponse(
            f"The API gave no URL for the file {self.id!r}. Fetch it again: client.files.get(…)."
        )


@with_moved_names
class Files(Resource):
    """Operations on uploaded files: `client.files`."""

    async def async_create(
        self,
        file: Any,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> File:
        """Upload a file: a path (text or `Path`), bytes, an open handle, or a Pillow image. The API takes up
        to 100 MB.

        >>> from replicate_kit import Client
        >>> Client(backend="mock").files.create(b"hello", filename="hello.txt").size
        5
        """
        source = file_of(_path_of(file))
        if source is None:
            raise InputError(
                f"{type(file).__name__} is not a file. Pass a path, bytes, an open handle or an image."
            )
        named = replace(
            source,
            name=text("filename", filename) or source.name,
            content_type=text("content_type", content_type) or source.content_type,
        )
        return self._load(File, await upload(named, self.session, _written(metadata)))

    @answering("file")
    async def async_get(self, id: str, /) -> File:
        """Fetch what is known of a file. Raises `NotFound` if there is none, or no longer."""
        return await self._get(File, f"files/{escape(id)}")

    async def async_list(self, cursor: str | None = None) -> Page[File]:
        """List the uploaded files, a page at a time. `cursor` is the `next` or `previous` of a page."""
        return await self._page(File, "files", cursor)

    def async_list_all(self) -> AsyncIterator[File]:
        """Give all uploaded files, fetching pages as they are needed."""
        return walk(self.async_list)

    @answering("file")
    async def async_delete(self, id: str, /) -> None:
        """Delete a file."""
        await self.session.fetch("DELETE", f"files/{escape(id)}")

    async def async_download(self, id: str, /, *, owner: str, expiry: int, signature: str) -> bytes:
        """Read a file that somebody shared by a signed link: its owner, expiry (a Unix time in seconds) and
        signature.

        `replicate_kit.signing` makes such signatures from the account's signing secret for files.
        """
        signed = {
            "owner": text("owner", owner),
            "expiry": str(whole("expiry", expiry, 0)),
            "signature": text("signature", signature),
        }
        url = self.session.base_url.join(f"files/{escape(id)}/download").with_params(signed)
        return await FileOutput(str(url), self.session).async_read()

    create = blocking(async_create)
    get = blocking(async_get)
    list = blocking(async_list)
    list_all = blocking(async_list_all)
    delete = blocking(async_delete)
    download = blocking(async_download)


def _path_of(file: Any) -> Any:
    """See a path in a text: here, unlike in a model's input, it cannot be anything else."""
    from pathlib import Path

    return Path(file) if isinstance(file, str) else file


def _written(metadata: Any) -> str:
    """Write what is to be known of a file as the JSON that the API keeps."""
    if metadata is not None and not isinstance(metadata, Mapping):
        raise InputError(f"metadata={metadata!r:.80} is no mapping. Pass one such as {{'source': 'camera'}}.")
    try:
        return json.dumps(dict(metadata or {}), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"metadata= cannot be written as JSON ({error}). Pass texts, finite numbers, lists and dicts."
        ) from error
