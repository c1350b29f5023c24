"""Requests stay with the API where they are meant for it, and their bodies are read beside the event loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from replicate_kit import errors
from replicate_kit._http.requests import Requests, read_in_thread
from replicate_kit.config import Config
from replicate_kit.transport import URL, Replayable, Request

API = URL("https://api.test/v1/")


@given(st.text(), st.text())
@example("", "A:")
@example("api.test", "https://evil.test/x")
def test_no_link_leaves_the_api(host: str, path: str) -> None:
    try:
        url = Requests(Config(), API).url_of(f"https://{host}/v1/{path}")
    except errors.InvalidResponse:
        return
    assert url.origin == API.origin


def test_the_token_is_in_no_request_that_goes_elsewhere() -> None:
    requests = Requests(Config(explicit_token="r8_secret"), API)
    assert requests.get("https://api.test/v1/streams/s1", None).headers["authorization"] == "Bearer r8_secret"
    assert "authorization" not in requests.get("https://files.test/v1/streams/s1", None).headers


@pytest.mark.parametrize(
    "base",
    [
        "https://gw.test/my%20team/replicate/v1",
        "https://gw.test/my team/replicate/v1",
        "https://gw.test/team%2Freplicate/v1",
        "https://gw.test/büro/v1",
        "https://gw.test/%7Eme/v1",
    ],
)
def test_a_base_with_encoded_characters_is_asked_below_itself(base: str) -> None:
    root = URL(base + "/")
    requests = Requests(Config(base_url=base, explicit_token="r8_secret"), root)
    assert requests.operation("predictions") == URL(base + "/predictions")
    assert requests.operation(f"{root}predictions?cursor=a") == URL(base + "/predictions?cursor=a")
    assert "authorization" in requests.get_file(f"{root}files/abc/download", None).headers
    assert "authorization" in requests.get(f"{root}streams/abc", None).headers
    with pytest.raises(errors.InvalidResponse, match="an operation of the API"):
        requests.get(f"{root}predictions", None)
    with pytest.raises(errors.FileError, match="an operation of the API"):
        requests.get_file(f"{root}predictions", None)
    with pytest.raises(errors.InvalidResponse, match="out of the API"):
        requests.operation("../../other")


@pytest.mark.parametrize("base", ["https://api.test/v1", "https://gw.test/acct/replicate/v1"])
@pytest.mark.parametrize(
    "link",
    [
        "https://evil.test/v1/../admin",
        "https://api.replicate.com/v1/./../admin?cursor=a",
        "https://api.replicate.com/v1/predictions/../../../other",
        "https://api.replicate.com/v1/%2e%2e/%2E%2E/other",
        "https://api.replicate.com/v1/.%2e/other",
        "https://api.replicate.com/v1/predictions/..%2f..%2fother",
        "https://api.replicate.com/v1/%252e%252e/other",
        "https://api.replicate.com/v1/..\\other",
        "predictions/../../other",
        "../other",
        "../../../other",
        "..",
    ],
)
def test_no_link_leads_out_of_the_api(base: str, link: str) -> None:
    with pytest.raises(errors.InvalidResponse, match=r"out of the API|not one of its own operations"):
        Requests(Config(base_url=base), URL(base + "/")).operation(link)


@pytest.mark.parametrize(
    "link",
    ["predictions/%2E%2E", "predictions/..%2Faccount", "predictions?next=https://a.test/../b", "a/../b"],
)
def test_what_stays_below_the_base_is_asked(link: str) -> None:
    url = Requests(Config(base_url="https://api.test/v1"), API).operation(link)
    assert url.path.startswith("/v1/")


# Files, whose URLs a model may have chosen.

BASES = ["https://api.replicate.com", "https://api.test", "https://gw.test/acct/replicate"]
OTHER = [
    "account",
    "webhooks/default/secret",
    "predictions",
    "predictions/p1/cancel",
    "files",
    "files/",
    "files?x=/files/f1",
    "files#/f1",
    "files/../webhooks/default/secret",
    "files/f1/../../account",
    "files/./../account",
    "files/%2e%2e/account",
    "files/%2E%2E/webhooks/default/secret",
    "files/.%2e/account",
    "files/f1/%2e%2e/%2e%2e/account",
    "files/f1/..%2f..%2faccount",
    "files/f1%2f..%2f..%2faccount",
    "files/..;/account",
    "files/f1;/account",
    "files//account",
    "files/f1//",
    "files/f1/",
    "files\\f1",
    "files/..\\account",
    "files/%5c..%5caccount",
    "files/%00",
    "files/...",
    "files/.hidden",
    "/files/f1",
    "./account",
    "x/../account",
    "FILES/f1",
    "files%2ff1",
    "%66iles/f1",
    "filesystem/f1",
    "",
]


def asked(base: str, url: str) -> Request:
    config = Config(explicit_token="r8_secret", base_url=base, http_options={"headers": {"X-Team": "surf"}})
    return Requests(config, URL(config.base_url + "/")).get_file(url, None)


def takes_the_token(request: Request) -> bool:
    named = {"authorization", "x-team"} & request.headers.keys()
    assert len(named) in (0, 2)
    return bool(named)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    "path", ["f1", "f1/download?owner=a&expiry=1&signature=b%3D", "f-1_x/out-0.tar.gz", "f1?x=../account"]
)
def test_a_file_of_the_api_gets_the_token(base: str, path: str) -> None:
    for root in (f"{base}/v1", "https://api.replicate.com/v1"):
        request = asked(base, f"{root}/files/{path}")
        assert str(request.url) == f"{base}/v1/files/{path}"
        assert takes_the_token(request)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("path", OTHER)
def test_an_operation_of_the_api_is_no_file(base: str, path: str) -> None:
    for root in (base, "https://api.replicate.com"):
        with pytest.raises(errors.FileError, match="an operation of the API, and not one of its files"):
            asked(base, f"{root}/v1/{path}")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.replicate.com/v1/files/f1",
        "https://api.replicate.com:444/v1/files/f1",
        "https://api.replicate.com./v1/files/f1",
        "https://user:pw@api.replicate.com/v1/files/f1",
        "https://@api.replicate.com:443/v1//files/f1",
        "https://api.replicate.com/v2/files/f1",
        "https://api.replicate.com/V1/files/f1",
        "https://api.replicate.com//v1/files/f1",
        "https://api.replicate.com/%76%31/account",
        "https://API.replicate.com/v1/account",
        "https://api.replicate.com",
        "HTTPS://api.replicate.com/openapi.json",
    ],
)
@pytest.mark.parametrize("base", BASES)
def test_of_replicates_own_host_nothing_but_its_files_is_fetched(base: str, url: str) -> None:
    with pytest.raises(errors.FileError, match="not one of its files"):
        asked(base, url)


@pytest.mark.parametrize("base", ["https://api.test", "https://gw.test/acct/replicate"])
@pytest.mark.parametrize(
    "url",
    [
        "http://api.test/v1/files/f1",
        "https://api.test:444/v1/files/f1",
        "https://api.test./v1/files/f1",
        "https://api.test.evil.test/v1/files/f1",
        "https://api.test@evil.test/v1/files/f1",
        "https://api.test%40evil.test/v1/files/f1",
        "https://api.test\\@evil.test/v1/files/f1",
        "https://evil.test#@api.test/v1/files/f1",
        "https://api.test//v1/files/f1",
        "https://api.test/V1/files/f1",
        "https://api.test/%76%31/files/f1",
        "https://api.test/files/f1",
        "https://gw.test/v1/files/f1",
        "https://gw.test/other/replicate/v1/files/f1",
        "https://gw.test/acct/replicate/files/f1",
        "https://api.replicate.com.evil.test/v1/files/f1",
        "https://stream.replicate.com/v1/files/f1",
        "https://pbxt.replicate.delivery/v1/files/f1",
    ],
)
def test_a_file_that_is_elsewhere_does_not_get_the_token(base: str, url: str) -> None:
    try:
        request = asked(base, url)
    except (errors.FileError, errors.TransportError):
        return
    assert not takes_the_token(request)


@given(st.text(alphabet="abfilesv1./\\%2eE5cC?#@:;", max_size=30))
@example("files/f1")
def test_no_path_takes_the_token_out_of_the_files(path: str) -> None:
    try:
        request = asked("https://api.test", f"https://api.test/v1/{path}")
    except (errors.FileError, errors.TransportError):
        return
    sent = request.url.path
    assert not takes_the_token(request) or (sent.startswith("/v1/files/") and not set("%\\;") & set(sent))


def test_a_body_is_read_beside_the_event_loop_each_time_it_is_sent() -> None:
    readers: list[threading.Thread] = []

    class Source:
        def __iter__(self) -> Iterator[bytes]:
            for chunk in (b"a", b"b"):
                readers.append(threading.current_thread())
                yield chunk

    async def read_twice() -> list[bytes]:
        body = read_in_thread(Replayable(Source), anyio.to_thread.run_sync)
        assert isinstance(body, Replayable)
        return [chunk for _ in range(2) async for chunk in body]

    assert anyio.run(read_twice) == [b"a", b"b", b"a", b"b"]
    assert threading.main_thread() not in readers
