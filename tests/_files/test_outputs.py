"""Outputs: files that are their URLs and read themselves, whatever their encoding."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import os
import pickle
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit import Client, FileOutput
from replicate_kit._files.data_urls import DataURL
from replicate_kit._files.outputs import decode_output, is_output_file
from replicate_kit.errors import FileError, FileExpired
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]
ORIGINS = ("https://replicate.delivery", "https://*.replicate.delivery", "http://[::1]:8000")


# Data URLs.


@given(st.binary(), st.sampled_from(["standard", "urlsafe", "unpadded", "quoted", "wrapped"]))
def test_base64_decodes_in_every_form_in_the_wild(content: bytes, form: str) -> None:
    text = base64.b64encode(content).decode()
    encoded = {
        "standard": text,
        "urlsafe": base64.urlsafe_b64encode(content).decode(),
        "unpadded": text.rstrip("="),
        "quoted": quote(text, safe=""),
        "wrapped": "\n".join(text[start : start + 76] for start in range(0, len(text), 76)),
    }[form]
    assert DataURL.parse(f"data:image/png;base64,{encoded}").content == content


@given(st.binary())
def test_percent_encoding_decodes(content: bytes) -> None:
    assert DataURL.parse(f"data:image/png,{quote(content)}").content == content


@pytest.mark.parametrize(
    ("url", "media_type", "content"),
    [
        ("data:,plain", "text/plain", b"plain"),
        ("DATA:Image/PNG;BASE64,YQ==", "image/png", b"a"),
        ("data:text/plain;charset=utf-8;base64,w6k=", "text/plain", "é".encode()),
        ("data:text/plain;base64,", "text/plain", b""),
        ("data:text/plain,é", "text/plain", "é".encode()),
        ("data:text/plain,a,b", "text/plain", b"a,b"),
    ],
)
def test_the_parts_of_a_data_url(url: str, media_type: str, content: bytes) -> None:
    assert DataURL.parse(url) == DataURL(media_type, content)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("data:text/plain", "has no comma"),
        ("https://example.com/,", "is not a data URL"),
        ("data:;base64,a", "malformed base64"),
        ("data:;base64,é", "malformed base64"),
        ("data:;base64,ab!d", "malformed base64"),
    ],
)
def test_a_malformed_data_url_is_a_file_error(url: str, text: str) -> None:
    with pytest.raises(FileError, match=text):
        DataURL.parse(url)


# A file is a text.


def test_a_file_is_the_text_of_its_url() -> None:
    url = "https://replicate.delivery/pbxt/abc/out%200.png?signature=x"
    file = FileOutput(url)
    assert file == url
    assert hash(file) == hash(url)
    assert json.loads(json.dumps([file])) == [url]
    assert f"{file}" == str(file) == url
    assert type(str(file)) is type(file.url) is str
    assert file.startswith("https:")
    assert file.name == "out 0.png"
    assert file.media_type == "image/png"
    assert {url: 1}[file] == 1


def test_a_file_of_an_unknown_type_says_nothing_of_it() -> None:
    assert FileOutput("https://replicate.delivery/abc/out").media_type is None


@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda file: pickle.loads(pickle.dumps(file))])
def test_a_file_travels_as_its_url(travel: Any) -> None:
    file = FileOutput("data:,hello", session=object())  # type: ignore[arg-type]
    arrived = travel(file)
    assert type(arrived) is FileOutput
    assert arrived == file
    assert arrived._session is None


def test_a_file_shows_itself_in_a_notebook() -> None:
    def html(url: str) -> str:
        return FileOutput(url)._repr_mimebundle_()["text/html"]

    assert html("https://x.test/a.png").startswith('<img src="https://x.test/a.png"')
    assert html("https://x.test/a.wav").startswith('<audio src="https://x.test/a.wav" controls>')
    assert html("https://x.test/a.mp4").startswith("<video ")
    assert html('https://x.test/"><script>') == (
        '<a href="https://x.test/&quot;&gt;&lt;script&gt;">https://x.test/&quot;&gt;&lt;script&gt;</a>'
    )
    assert html("data:image/png;base64,YQ==").startswith('<img src="data:image/png')


def test_a_notebook_keeps_what_it_shows(client: Client) -> None:
    (picture,) = client.run("demo/painter", {"prompt": "a wombat"})
    shown = picture._repr_mimebundle_()["text/html"]
    assert shown.startswith('<img src="data:image/png;base64,')
    assert base64.b64decode(shown.split(",")[1].split('"')[0]) == picture.read()


def test_a_notebook_shows_a_large_or_lost_file_by_its_url(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    (picture,) = client.run("demo/painter", {"prompt": "a wombat"})
    lost = FileOutput(picture.url + "x.png", client.session)
    assert lost._repr_mimebundle_()["text/html"].startswith(f'<img src="{lost.url}"')
    monkeypatch.setattr("replicate_kit._files.outputs._MOST_SHOWN", 100)
    assert picture._repr_mimebundle_()["text/html"].startswith(f'<img src="{picture.url}"')


def test_a_long_data_url_is_short_where_people_read_it() -> None:
    file = FileOutput("data:image/png;base64," + "A" * 100_000)
    assert len(repr(file)) < 200
    assert "(100022 characters)" in repr(file)


# Reading and saving.


def test_a_data_url_reads_itself(client: Client, drive: Drive) -> None:
    file = FileOutput("data:;base64,aGVsbG8=", client.session)
    assert drive(file.async_read()) == b"hello"
    assert list(file) == [b"hello"]


def test_a_file_is_read_through_the_session(connect: Connect, drive: Drive) -> None:
    client, requests = connect(httpx.Response(200, content=b"x" * 200_000))
    file = FileOutput("https://replicate.delivery/abc/out-0.png", client.session)
    assert drive(file.async_read()) == b"x" * 200_000
    assert b"".join(file.chunks()) == b"x" * 200_000
    assert drive(file.async_open()).read(3) == b"xxx"
    assert all("authorization" not in request.headers for request in requests)


def test_a_file_is_iterated_in_both_colours(connect: Connect) -> None:
    client, _ = connect(httpx.Response(200, content=b"abc"))
    file = FileOutput("https://replicate.delivery/abc/out-0.png", client.session)

    async def main() -> bytes:
        return b"".join([chunk async for chunk in file])

    assert asyncio.run(main()) == b"".join(file) == b"abc"


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_gone_says_why(connect: Connect, drive: Drive, status: int) -> None:
    client, _ = connect(httpx.Response(status))
    with pytest.raises(FileExpired, match=r"removes outputs one hour after .* pass save_to="):
        drive(FileOutput("https://replicate.delivery/abc/out-0.png", client.session).async_read())


def told(fields: dict[str, Any], *files: int) -> Callable[[httpx.Request], httpx.Response]:
    """An API that says this of a prediction, and a host of outputs that answers so."""
    statuses = list(files)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.test":
            return httpx.Response(200, json={"id": "p1", "status": "succeeded", **fields})
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        return httpx.Response(status, content=b"abc")

    return answer


def ended(hours: float) -> dict[str, Any]:
    """A prediction that ended so long ago, with its output."""
    moment = datetime.now(UTC) - timedelta(hours=hours)
    return {"output": ["https://replicate.delivery/abc/out-0.png"], "completed_at": moment.isoformat()}


@pytest.mark.parametrize("step", ["async_read", "async_read_range"])
@pytest.mark.parametrize("times", [1, 2, 4])
@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_late_is_asked_for_again(
    connect: Connect, clock: Any, drive: Drive, times: int, step: str, status: int
) -> None:
    client, _ = connect(told(ended(0.1), *[status] * times, 200))
    file = FileOutput("https://replicate.delivery/abc/out-0.png", client.session, made_by="p1")
    assert drive(file.async_read() if step == "async_read" else file.async_read_range(0, 3)) == b"abc"


def test_a_file_that_stays_away_within_its_hour_has_not_expired(
    connect: Connect, clock: Any, drive: Drive
) -> None:
    client, _ = connect(told(ended(0.1), 404))
    file = FileOutput("https://replicate.delivery/abc/out-0.png", client.session, made_by="p1")
    with pytest.raises(FileError, match=r"is not there \(404\).*again") as caught:
        drive(file.async_read())
    assert not isinstance(caught.value, FileExpired)


@pytest.mark.parametrize(
    "fields",
    [
        ended(1.1),
        {"data_removed": True, "output": None},
        {"output": None},
        {**ended(0.1), "data_removed": True},
    ],
    ids=["after its hour", "removed", "without output", "removed within its hour"],
)
def test_a_file_has_expired_after_its_hour_or_when_the_api_says_so(
    connect: Connect, clock: Any, drive: Drive, fields: dict[str, Any]
) -> None:
    client, requests = connect(told(fields, 404))
    file = FileOutput("https://replicate.delivery/abc/out-0.png", client.session, made_by="p1")
    with pytest.raises(FileExpired):
        drive(file.async_read())
    assert len(requests) == 2
    assert clock.slept == []


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        (httpx.Response(403, text="<xml>denied</xml>"), "out-0.png cannot be fetched: 403 no explanation"),
        (httpx.ConnectError("refused"), "The file cannot be fetched: .*could not connect"),
    ],
    ids=repr,
)
def test_whatever_else_goes_wrong_is_an_error_of_the_file(
    connect: Connect, clock: Any, drive: Drive, trouble: Any, text: str
) -> None:
    client, _ = connect(trouble)
    with pytest.raises(FileError, match=text) as caught:
        drive(FileOutput("https://replicate.delivery/abc/out-0.png?signature=s", client.session).async_read())
    assert "signature" not in str(caught.value)


def test_saving_makes_the_file_and_its_folder(client: Client, tmp_path: Path, drive: Drive) -> None:
    (picture,) = client.run("demo/painter", {"prompt": "sea", "width": 16, "height": 16})
    target = tmp_path / "new" / "picture.png"
    assert drive(picture.async_save(str(target))) == target
    assert target.read_bytes() == picture.read()
    assert os.listdir(target.parent) == ["picture.png"]


def test_a_saved_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    saved = FileOutput("data:,x", Client(backend="mock").session).save(tmp_path / "saved")
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_saving_leaves_what_was_there_until_the_file_is_whole(
    serve: Any, cut: type[Exception], tmp_path: Path, clock: Any, drive: Drive
) -> None:
    def body() -> Iterator[bytes]:
        yield b"some"
        raise cut

    origin = serve(lambda request: (200, {}, body()))
    target = tmp_path / "picture.png"
    target.write_bytes(b"before")
    with Client(base_url=origin.url) as client, pytest.raises(FileError, match="broke off"):
        drive(FileOutput(f"{origin.url}/out-0.png", client.session).async_save(target))
    assert target.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["picture.png"]


def test_a_name_of_the_greatest_length_can_be_saved(tmp_path: Path) -> None:
    target = tmp_path / ("é" * 125 + ".png")
    assert FileOutput("data:,x", Client(backend="mock").session).save(target) == target


# What is a file.


@pytest.mark.parametrize(
    "value",
    [
        "https://replicate.delivery/abc/out-0.png",
        "https://pbxt.replicate.delivery/abc/out-0.png",
        "HTTPS://PBXT.replicate.delivery/abc",
        "http://[::1]:8000/out-0.png",
        "data:image/png;base64,YQ==",
        "data:;base64,YQ==",
    ],
)
def test_urls_of_the_backend_and_data_urls_are_files(value: str) -> None:
    assert is_output_file(value, ORIGINS)


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "",
        "a wombat",
        "https://example.com/picture.png",
        "https://replicate.delivery/abc is where it is",
        "https://replicate.delivery.evil.test/x",
        "https://evil.test/x.replicate.delivery",
        "https://evil.test\\@pbxt.replicate.delivery/x",
        "http://replicate.delivery/abc",
        "https://[broken",
        "data: all of it, really",
        "data:nothing",
        "data:text",
    ],
)
def test_text_stays_text(value: object) -> None:
    assert not is_output_file(value, ORIGINS)


@given(st.text())
def test_any_text_can_be_asked_about(text: str) -> None:
    for prefix in ("", "https://", "data:"):
        is_output_file(prefix + text, ORIGINS)


def test_files_are_found_at_any_depth() -> None:
    output = decode_output(
        {"a": ["data:image/png,x", 1, None, {"b": "text"}]}, None, lambda v: v.startswith("data:"), FileOutput
    )
    assert isinstance(output["a"][0], FileOutput)
    assert output == {"a": ["data:image/png,x", 1, None, {"b": "text"}]}
    assert type(output["a"][3]["b"]) is str
