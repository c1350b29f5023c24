"""Uploaded files, and the files that models make."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from replicate_kit._formats.file_names import UNKNOWN_TYPE, media_type
from replicate_kit.simulator._api.exchange import Answer, Call, answer
from replicate_kit.simulator._api.operations.pages import page
from replicate_kit.simulator._api.routing import Operations
from replicate_kit.simulator._api.streaming import FileBody
from replicate_kit.simulator._state.entities import File
from replicate_kit.simulator._state.problems import HTTPProblem, bad_request, not_found, refused, too_large

if TYPE_CHECKING:
    from replicate_kit.simulator._api.multipart import Part

__all__ = ["operations"]

operations = Operations()

LARGEST = 100 * 1024 * 1024


@operations("files.create", "POST", "/files")
async def create(call: Call) -> Answer:
    from replicate_kit.simulator._api.multipart import parse

    form = parse(call.request.headers.get("content-type", ""), call.body)
    if "content" not in form:
        raise bad_request("Missing content. Send the file as the form's field `content`.")
    if len(form["content"].content) > LARGEST:
        raise too_large()
    # The content is written before the lock is taken: a large file would hold up all other requests.
    file = _keep(call, form)
    with call.service.lock:
        # No thread looks for expired uploads: creating and listing remove them on the way.
        call.service.store.drop_expired(file.created)
        call.service.store.uploads[file.id] = file
        if call.service.journal:
            call.service.journal.record_file(file)
    return answer(201, call.service.wire.file(file))


@operations("files.list", "GET", "/files")
async def list_all(call: Call) -> Answer:
    with call.service.lock:
        call.service.store.drop_expired(call.service.clock.stamp())
        own = [each for each in call.service.store.uploads.values() if each.account == call.account]
        return answer(200, page(call, sorted(own, key=_created), _created, call.service.wire.file, size=100))


@operations("files.get", "GET", "/files/{id}")
async def get(call: Call) -> Answer:
    return answer(200, call.service.wire.file(_find(call, call.account)))


@operations("files.delete", "DELETE", "/files/{id}")
async def delete(call: Call) -> Answer:
    with call.service.lock:
        file = _find(call, call.account)
        call.service.store.blobs.forget(call.service.store.uploads.pop(file.id).blob)
    return Answer(204)


# The signature stands for the token, as in the description's example (OpenAPI: files.download).
@operations("files.download", "GET", "/files/{id}/download", by_url=True)
async def download(call: Call) -> Answer:
    from replicate_kit.signing import SignatureError, verify_download

    owner, expiry, signature = (call.query.get(name, "") for name in ("owner", "expiry", "signature"))
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) < 20):  # Python reads no endless numbers
        raise bad_request('Query parameter "expiry" must be a time in unix seconds')
    try:
        verify_download(
            *(owner, call.params["id"], int(expiry), signature),
            call.service.files_secret,
            now=call.service.clock.now(),
        )
    except SignatureError:
        # A forged link, an old one and a lost file look alike: only 404 is described (OpenAPI: files.download).
        raise _missing() from None
    return _serve(call, _find(call, owner), UNKNOWN_TYPE)


# The description wants the token here (OpenAPI: predictions.get), but recorded clients fetch files without one.
# Both work.
@operations("outputs.get", "GET", "/{bucket}/{token}/{file}", site="files", by_url=True)
async def get_output(call: Call) -> Answer:
    return _serve(call, _output(call))


def _keep(call: Call, form: dict[str, Part]) -> File:
    content = form["content"]
    service, created, id = call.service, call.service.clock.stamp(), call.service.ids.file()
    # Name and type may be fields of their own (OpenAPI: files.create) or belong to the content's part.
    name = form["filename"].content.decode("utf-8", "replace") if "filename" in form else content.filename
    given = form["type"].content.decode("ascii", "replace") if "type" in form else content.content_type
    return File(
        id=id,
        name=(name or "file")[:255],
        content_type=given or media_type(name or "") or UNKNOWN_TYPE,
        blob=service.store.blobs.put(content.content, id),
        created=created,
        expires=created + int(service.settings.upload_lifetime * 1e6),
        account=call.account,
        metadata=_metadata(form.get("metadata")),
    )


def _metadata(part: Part | None) -> dict[str, Any]:
    try:
        metadata = json.loads(part.content) if part is not None and part.content.strip() else {}
    except (ValueError, RecursionError):
        raise bad_request("The form's field `metadata` is not JSON") from None
    if not isinstance(metadata, dict):
        raise bad_request("The form's field `metadata` is not a JSON object")
    return metadata


def _missing() -> HTTPProblem:
    # Unlike other 404s this one has no status in its body (OpenAPI: files.get).
    return HTTPProblem(404, {"detail": "File not found"})


def _find(call: Call, account: str) -> File:
    """Find an upload of an account's that has not expired."""
    with call.service.lock:
        file = call.service.store.uploads.get(call.params["id"])
    if file is None or file.account != account or file.expires <= call.service.clock.stamp():
        raise _missing()
    return file


def _output(call: Call) -> File:
    """Find a model's file, unless the prediction's data has been removed meanwhile."""
    with call.service.lock:
        file = call.service.store.outputs.get("/".join(call.params.values()))
        made_by = call.service.store.predictions.get(file.prediction if file else "")
        if made_by is not None:
            call.service.lifecycle.refresh(made_by)
            # Looked up again: the refresh may have removed it.
            file = call.service.store.outputs.get("/".join(call.params.values()))
    if file is None:
        raise not_found()
    return file


def _created(file: File) -> int:
    return file.created


def _headers(file: File, content_type: str) -> dict[str, str]:
    return {"content-type": content_type, "accept-ranges": "bytes", "cache-control": "public, max-age=3600"}


def _serve(call: Call, file: File, content_type: str | None = None) -> Answer:
    """Give a file, or the part that `Range` asks for."""
    headers, size = _headers(file, content_type or file.content_type), file.blob.size
    asked = None
    if call.request.method == "GET":  # for HEAD a range means nothing (RFC 9110, 14.2)
        asked = _range(call.request.headers.get("range", ""), size)
    start, end = asked or (0, size)
    headers["content-length"] = str(end - start)
    if asked is not None:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    body = FileBody(file.blob, start, end, call.runtime)
    return Answer(206 if asked is not None else 200, headers=headers, stream=body)


def _range(text: str, size: int) -> tuple[int, int] | None:
    """Read `bytes=a-b`, `bytes=a-` or `bytes=-n`; several ranges at once are answered with the whole file."""
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", text.strip(), re.ASCII)
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= size or start >= end:
        raise refused_range(size)
    return start, end


def refused_range(size: int) -> HTTPProblem:
    """416: there is no such part."""
    problem = refused(416, "The requested range is not within the file.")
    problem.headers["content-range"] = f"bytes */{size}"
    return problem
