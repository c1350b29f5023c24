"""Uploaded files."""

from __future__ import annotations

import builtins
import io
import os
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, NotRequired, TypedDict

from replicate_kit._runtime.blocking import blocking
from replicate_kit.compat.replicate._failing import as_theirs
from replicate_kit.compat.replicate.identifier import path_of
from replicate_kit.compat.replicate.resource import Namespace, Resource
from replicate_kit.records import Field
from replicate_kit.resources import files

__all__ = ["File", "FileEncodingStrategy", "Files"]

FileEncodingStrategy = Literal["base64", "url"]


class File(Resource):
    """An uploaded file."""

    id: Field[str] = Field()
    name: Field[str] = Field()
    content_type: Field[str] = Field()
    size: Field[int] = Field()
    etag: Field[str] = Field()
    checksums: Field[dict[str, str]] = Field()
    metadata: Field[dict[str, Any]] = Field()
    created_at: Field[str] = Field()
    expires_at: Field[str | None] = Field()
    urls: Field[dict[str, str]] = Field()


class Files(Namespace):
    """Operations on uploaded files."""

    class CreateFileParams(TypedDict):
        """The options of uploading a file."""

        filename: NotRequired[str]
        content_type: NotRequired[str]
        metadata: NotRequired[builtins.dict[str, Any]]

    async def async_create(
        self, /, file: str | os.PathLike[str] | BinaryIO | io.IOBase, **params: Any
    ) -> File:
        """Upload a file: a path or an open handle. It may be given filename, content_type and metadata."""
        if isinstance(file, str | os.PathLike):
            path = Path(file)
            await self._client.session.in_thread(partial(_check, file))
            file, params["filename"] = path, path.name
        elif not hasattr(file, "read"):
            raise ValueError("Unsupported file type. Must be a file path or file-like object.")
        known = {name: params.get(name) for name in ("filename", "content_type", "metadata")}
        with as_theirs():
            uploaded = await files.Files(self._client.session).async_create(file, **known)
        return File(dict(uploaded))._on(self._client)

    async def async_get(self, file_id: str) -> File:
        """Fetch what is known of a file."""
        return await self._fetch(File, "GET", f"files/{path_of(file_id)}")

    async def async_list(self) -> builtins.list[File]:
        """List the uploaded files: the first page of them."""
        return (await self._page(File, "files")).results

    async def async_delete(self, file_id: str) -> bool:
        """Delete a file."""
        return await self._deleted(f"files/{path_of(file_id)}")

    create = blocking(async_create)
    get = blocking(async_get)
    list = blocking(async_list)
    delete = blocking(async_delete)


def _check(file: str | os.PathLike[str]) -> None:
    """Fail as opening the file would."""
    with open(file, "rb"):
        pass
