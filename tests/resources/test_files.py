"""Uploaded files: made of whatever holds bytes, listed, read by a signed link, deleted."""

from __future__ import annotations

import io
import pathlib
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.errors import FileExpired, InputError, InvalidResponse, NotFound
from replicate_kit.resources.files import File
from replicate_kit.simulator import Simulator
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "a.txt").write_bytes(b"hello")
    return tmp_path / "a.txt"


@pytest.mark.parametrize("kind", ["text", "Path", "binary", "text mode", "bytes", "BytesIO"])
def test_a_file_is_made_of_whatever_holds_bytes(
    client: Client, path: pathlib.Path, drive: Drive, kind: str
) -> None:
    with path.open("rb") as binary, path.open() as text:
        sources: dict[str, Any] = {
            "text": str(path),
            "Path": path,
            "binary": binary,
            "text mode": text,
            "bytes": b"hello",
            "BytesIO": io.BytesIO(b"hello"),
        }
        file = drive(client.files.async_create(sources[kind], metadata={"team": "surf"}))
    assert (file.size, file.metadata) == (5, {"team": "surf"})
    assert file.checksums["md5"] == file.etag == "5d41402abc4b2a76b9719d911017c592"
    assert file.name == ("file" if kind in ("bytes", "BytesIO") else "a.txt")
    assert file.expires_at > file.created_at
    assert file.url.endswith(file.id)


def test_name_and_type_can_be_said(client: Client, drive: Drive) -> None:
    file = drive(client.files.async_create(b"{}", filename="a.bin", content_type="application/json"))
    assert (file.name, file.content_type) == ("a.bin", "application/json")


@pytest.mark.parametrize(("source", "text"), [(7, "is not a file"), ("no/such/file", "There is no file")])
def test_what_is_no_file_is_refused(client: Client, drive: Drive, source: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        drive(client.files.async_create(source))


def test_files_are_listed_fetched_and_deleted(client: Client, drive: Drive) -> None:
    made = drive(client.files.async_create(b"one"))
    assert drive(client.files.async_get(made.id)) == made
    assert [each.id for each in drive(client.files.async_list())] == [made.id]
    assert drive(client.files.async_delete(made.id)) is None
    with pytest.raises(NotFound):
        drive(client.files.async_get(made.id))


def test_all_pages_are_listed(connect: Connect) -> None:
    more = {"results": [{"id": "a"}], "next": "https://api.test/v1/files?cursor=b"}
    client, requests = connect(more, {"results": [{"id": "b"}]})
    assert [each.id for each in client.files.list_all()] == ["a", "b"]
    assert requests[1].url.query == b"cursor=b"


def test_a_signed_link_gives_the_content(client: Client, simulator: Simulator, drive: Drive) -> None:
    file, expiry = client.files.create(b"hello"), int(time.time()) + 60
    signed = {"owner": "local", "expiry": expiry, "signature": simulator.sign_download(file.id, expiry)}
    assert drive(client.files.async_download(file.id, **signed)) == b"hello"
    with pytest.raises(FileExpired):
        drive(client.files.async_download(file.id, **{**signed, "expiry": expiry + 1}))


def test_a_file_is_an_input(connect: Connect, prediction: Any) -> None:
    client, requests = connect(prediction())
    client.predictions.create(
        "f" * 64, {"image": File({"id": "f1", "urls": {"get": "https://x.test/f1"}}).url}
    )
    assert b'"image":"https://x.test/f1"' in requests[0].content.replace(b": ", b":")


def test_a_file_without_a_url_says_so() -> None:
    with pytest.raises(InvalidResponse, match="gave no URL for the file 'f1'"):
        _ = File({"id": "f1"}).url


def test_a_large_file_in_an_answer_without_a_url_is_refused(connect: Connect, drive: Drive) -> None:
    client, _ = connect({"id": "f1"}, file_encoding="upload")
    with pytest.raises(InvalidResponse, match="no URL for an uploaded file"):
        drive(client.predictions.async_create("f" * 64, {"image": b"x"}))
