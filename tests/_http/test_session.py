"""What the session sends where: the token to the API's own origin alone, and each request as it was asked for."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from replicate_kit import Client, FileOutput, __version__, errors, hookimpl
from replicate_kit._runtime.blocking import run
from replicate_kit.testing.suites import Drive

pytestmark = pytest.mark.usefixtures("each_library")

Connect = Callable[..., tuple[Client, list[httpx.Request]]]
TOKEN = "r8_secret"
JSON = {"Content-Type": "application/json"}


def sent_with(received: Any) -> str:
    """Everything that a server could have learned from a request."""
    return repr((received.path, dict(received.headers), received.body))


async def read(client: Client, url: str) -> bytes:
    response = await client.session.open(url)
    try:
        return await response.aread()
    finally:
        await response.aclose()


@pytest.fixture
def elsewhere(serve: Any) -> Any:
    """A second origin, which must learn nothing."""
    return serve(lambda request: (200, JSON, b'{"id": "p1", "results": [], "status": "succeeded"}'))


@pytest.fixture
def api(serve: Any, elsewhere: Any) -> Any:
    """An API whose answers lead elsewhere."""

    def answer(request: Any) -> Any:
        match request.path.partition("?")[0]:
            case "/v1/predictions":
                links = {
                    "next": f"{elsewhere.url}/v1/predictions?cursor=abc",
                    "previous": None,
                    "results": [],
                }
                return 200, JSON, json.dumps(links).encode()
            case "/v1/predictions/away":
                return 307, {"Location": f"{elsewhere.url}/v1/predictions/p1"}, b""
            case "/v1/predictions/loop":
                return 302, {"Location": "/v1/predictions/loop"}, b""
            case "/v1/predictions/moved":
                return 301, {"Location": "/v1/predictions/p1"}, b""
            case _:
                return (
                    200,
                    JSON,
                    json.dumps(
                        {"id": "p1", "status": "starting", "urls": {"stream": elsewhere.url}}
                    ).encode(),
                )

    return serve(answer)


@pytest.fixture
def client(api: Any) -> Any:
    options: dict[str, Any] = {
        "headers": {"X-Team": "surf"},
        "params": {"team": "surf"},
        "cookies": {"crumb": "surf"},
    }
    with Client(TOKEN, base_url=api.url, poll_interval=0.01, retries=0, **options) as client:
        yield client


# The rule of the token.


def test_the_api_gets_the_token_and_what_the_client_adds(client: Client, api: Any, drive: Drive) -> None:
    drive(client.predictions.async_get("p1"))
    (received,) = api.received
    assert received.headers["authorization"] == f"Bearer {TOKEN}"
    assert received.headers["x-team"] == "surf"
    assert received.headers["cookie"] == "crumb=surf"
    assert received.path == "/v1/predictions/p1?team=surf"


def test_output_files_do_not_get_it(client: Client, elsewhere: Any, drive: Drive) -> None:
    assert drive(read(client, f"{elsewhere.url}/out-0.png"))
    (received,) = elsewhere.received
    assert not {"authorization", "cookie", "x-team"} & received.headers.keys()
    assert "surf" not in sent_with(received)
    assert TOKEN not in sent_with(received)


def test_redirects_that_lead_elsewhere_do_not_take_it_along(
    client: Client, elsewhere: Any, drive: Drive
) -> None:
    drive(client.predictions.async_get("away"))
    (received,) = elsewhere.received
    assert TOKEN not in sent_with(received)
    assert "surf" not in sent_with(received)


def test_redirects_within_the_api_keep_it(client: Client, api: Any, drive: Drive) -> None:
    drive(client.predictions.async_get("moved"))
    assert [received.headers["authorization"] for received in api.received] == [f"Bearer {TOKEN}"] * 2


def test_pages_stay_with_the_api(client: Client, api: Any, elsewhere: Any, drive: Drive) -> None:
    page = drive(client.predictions.async_list())
    drive(client.predictions.async_list(page.next))
    assert elsewhere.received == []
    assert api.received[1].path.startswith("/v1/predictions?")
    assert "cursor=abc" in api.received[1].path


def test_streams_elsewhere_do_not_get_it(client: Client, elsewhere: Any, clock: Any, drive: Drive) -> None:
    prediction = client.predictions.get("p1")

    async def listen() -> None:
        async for _ in prediction.async_stream():
            pass  # pragma: no cover - no event comes

    with pytest.raises(errors.StreamError):
        drive(listen())
    assert elsewhere.received
    assert all(TOKEN not in sent_with(received) for received in elsewhere.received)


def test_a_file_on_the_apis_own_origin_gets_it(client: Client, api: Any, drive: Drive) -> None:
    drive(read(client, f"{api.url}/v1/files/f1/download"))
    assert api.received[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("own", ["https://api.test/v1/streams/x", "https://API.test:443/v1/streams/x"])
@pytest.mark.parametrize(
    "other",
    [
        "http://api.test/v1/streams/x",
        "https://api.test:444/v1/streams/x",
        "https://api.test.evil.test/v1/streams/x",
        "https://evil.test/api.test",
        "https://api.test@evil.test/v1/streams/x",
        "https://evil.test#@api.test/",
    ],
)
def test_what_counts_is_scheme_host_and_port(connect: Connect, own: str, other: str) -> None:
    client, requests = connect({})
    client.request("GET", "x")
    run(read(client, own))
    run(read(client, other))
    with_token = [request.headers.get("authorization") == f"Bearer {TOKEN}" for request in requests]
    assert with_token == [True, True, False]


@pytest.mark.parametrize(
    "path",
    [
        "streams/s1",
        "stream/s1?from=0",
        "files/aaaa-bbbb",
        "predictions/p1/stream",
        "predictions/p1/events",
        "deployments/acme/draw/predictions/p1/stream",
    ],
)
@pytest.mark.parametrize("base", ["https://api.test/v1", "https://gw.test/replicate/v1"])
def test_a_stream_of_the_api_gets_the_token(connect: Connect, base: str, path: str) -> None:
    client, requests = connect({}, base_url=base)
    run(read(client, f"{base}/{path}"))
    assert requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.test/v1/account",
        "https://api.test/v1",
        "https://api.test/v1/",
        "https://api.test/v1/account?streams/s1",
        "https://api.test/v1/account#/streams/s1",
        "https://api.test/v1/predictions",
        "https://api.test/v1/predictions/p1",
        "https://api.test/v1/predictions/p1/cancel",
        "https://api.test/v1/predictions/p1/stream/../../../account",
        "https://api.test/v1/webhooks/default/secret",
        "https://api.test/v1/models/evil/stream",
        "https://api.test/v1/models/streams/x",
        "https://api.test/v1/streams",
        "https://api.test/v1/streams/",
        "https://api.test/v1/streams/../account",
        "https://api.test/v1/streams/%2e%2e/account",
        "https://api.test/v1/streams/..%2faccount",
        "https://api.test/v1/streams//account",
        "https://api.test/v1/streams/..;/account",
        "https://api.test/v1/streams/s1\\..\\..\\account",
        "https://API.test.:443/v1/account",
        "https://me:you@api.test/v1/streams/s1",
        "https://api.test/admin",
        "https://api.test/v1evil/streams/s1",
        "https://api.test/streams/s1",
        "https://api.replicate.com/v1/account",
        "https://api.replicate.com./v1/account",
        "https://api.replicate.com/v1/streams/../account",
        "http://api.replicate.com/v1/account",
    ],
)
@pytest.mark.parametrize("redirected", [False, True])
def test_what_is_no_stream_of_the_api_does_not_get_it(connect: Connect, url: str, redirected: bool) -> None:
    moved = [httpx.Response(302, headers={"Location": url})] if redirected else []
    client, requests = connect(*moved, {}, headers={"X-Team": "surf"}, params={"team": "surf"})
    with suppress(errors.InvalidResponse):
        run(read(client, "https://api.test/v1/streams/s0" if redirected else url))
    for request in requests[len(moved) :]:
        assert not {"authorization", "x-team"} & request.headers.keys()
        assert "surf" not in str(request.url)


def test_a_stream_that_is_an_operation_says_so(connect: Connect) -> None:
    client, requests = connect({"id": "p1", "urls": {"stream": "https://api.test/v1/account"}})
    with pytest.raises(errors.StreamError, match="an operation of the API, and neither a stream nor a file"):
        list(client.predictions.get("p1").stream())
    assert [request.url.path for request in requests] == ["/v1/predictions/p1"]


def test_the_callers_own_headers_are_left_as_they_are(connect: Connect, drive: Drive) -> None:
    mine, options = {"X-Mine": "1"}, {"X-Team": "surf"}
    client, requests = connect({}, headers=options)
    drive(client.async_request("GET", "account", headers=mine))
    assert mine == {"X-Mine": "1"}
    assert options == {"X-Team": "surf"}
    assert requests[0].headers["x-mine"] == "1"


def test_an_authorization_of_ones_own_goes_before_the_token(connect: Connect) -> None:
    client, requests = connect({}, headers={"Authorization": "Bearer gateway"})
    client.request("GET", "account")
    client.request("GET", "account", headers={"Authorization": "Bearer now"})
    assert [request.headers["authorization"] for request in requests] == ["Bearer gateway", "Bearer now"]


def test_the_token_is_read_when_a_request_is_made(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    client, requests = connect({}, api_token=None)
    client.request("GET", "account")
    for token in ("r8_one", "r8_two"):
        monkeypatch.setenv("REPLICATE_API_TOKEN", token)
        client.request("GET", "account")
    assert [request.headers.get("authorization") for request in requests] == [
        None,
        "Bearer r8_one",
        "Bearer r8_two",
    ]


def test_the_token_is_in_no_text(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client, _ = connect(httpx.Response(401, json={"detail": "no"}))
    with pytest.raises(errors.AuthenticationError) as caught:
        client.predictions.get("p1")
    texts = [
        caplog.text,
        repr(client),
        repr(client.config),
        repr(client.session),
        str(caught.value),
        repr(caught.value),
    ]
    assert not any(TOKEN in text for text in texts)


@pytest.mark.parametrize("token", ["r8\nsecret", "r8 secret", "r8_sécret", "r8_\x7f"])
def test_a_token_that_cannot_be_sent_is_refused_without_being_shown(connect: Connect, token: str) -> None:
    with pytest.raises(errors.ConfigError, match="The API token holds") as caught:
        connect({}, api_token=token)
    assert token not in str(caught.value)


def test_space_around_a_token_is_no_part_of_it(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_file\r\n")
    client, requests = connect({}, api_token=None)
    client.request("GET", "account")
    assert requests[0].headers["authorization"] == "Bearer r8_file"


# Links and redirects.


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("predictions", "/v1/predictions"),
        ("/predictions/p1", "/v1/predictions/p1"),
        ("https://api.replicate.com/v1/predictions?cursor=a%3D", "/v1/predictions?cursor=a%3D"),
        ("https://evil.test/v1//evil.test/x", "/v1/evil.test/x"),
        ("//evil.test/x", "/v1/evil.test/x"),
        ("predictions?next=https://evil.test", "/v1/predictions?next=https://evil.test"),
    ],
)
def test_links_are_reduced_to_paths_of_the_api(connect: Connect, link: str, path: str) -> None:
    client, requests = connect({})
    client.request("GET", link)
    assert str(requests[0].url) == f"https://api.test{path}"


def test_a_link_that_is_no_operation_is_refused(connect: Connect) -> None:
    client, requests = connect({})
    with pytest.raises(errors.InvalidResponse, match="not one of its own operations"):
        client.request("GET", "https://evil.test/admin")
    assert requests == []


def test_behind_a_gateway_links_are_found_below_its_path(connect: Connect) -> None:
    client, requests = connect({}, base_url="https://gw.test/replicate/v1")
    client.request("GET", "https://api.replicate.com/v1/predictions?cursor=a")
    client.request("GET", "https://gw.test/replicate/v1/predictions?cursor=b")
    assert [str(request.url) for request in requests] == [
        "https://gw.test/replicate/v1/predictions?cursor=a",
        "https://gw.test/replicate/v1/predictions?cursor=b",
    ]


@pytest.mark.parametrize("place", ["files/f1", "streams/s1"])
def test_behind_a_gateway_nothing_of_the_api_is_asked_past_it(connect: Connect, place: str) -> None:
    moved = httpx.Response(302, headers={"Location": f"https://api.replicate.com/v1/{place}?a=b"})
    client, requests = connect(moved, httpx.Response(200), base_url="https://gw.test/replicate")
    run(client.session.open(f"https://api.replicate.com/v1/{place}"))
    assert [str(request.url) for request in requests] == [
        f"https://gw.test/replicate/v1/{place}",
        f"https://gw.test/replicate/v1/{place}?a=b",
    ]
    assert all(request.headers["authorization"] for request in requests)


def test_what_was_never_behind_a_gateway_is_read_where_it_is(connect: Connect) -> None:
    client, requests = connect(httpx.Response(200), base_url="https://gw.test/replicate")
    run(client.session.open("https://replicate.delivery/v1/files/f1"))
    assert str(requests[0].url) == "https://replicate.delivery/v1/files/f1"
    assert "authorization" not in requests[0].headers


def test_endless_redirects_end(client: Client, drive: Drive) -> None:
    with pytest.raises(errors.InvalidResponse, match="redirected more than 10 times"):
        drive(client.predictions.async_get("loop"))


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("http://api.test/x", "from https to http, which was not followed"),
        ("ftp://api.test/x", "from https to ftp"),
    ],
)
def test_bad_redirects_are_not_followed(connect: Connect, drive: Drive, location: str, text: str) -> None:
    client, requests = connect(httpx.Response(302, headers={"Location": location}))
    with pytest.raises(errors.InvalidResponse, match=text):
        drive(client.predictions.async_get("p1"))
    assert len(requests) == 1


def test_a_create_is_not_redirected(connect: Connect) -> None:
    client, requests = connect(httpx.Response(308, headers={"Location": "https://new.test/v1/predictions"}))
    with pytest.raises(
        errors.APIError, match=r"The API is elsewhere: 'https://new\.test/v1/predictions'\. Set base_url"
    ):
        client.predictions.create("f" * 64, {})
    assert len(requests) == 1


def test_a_redirect_keeps_what_the_file_was_asked_for_with(connect: Connect, drive: Drive) -> None:
    client, requests = connect(
        httpx.Response(302, headers={"Location": "https://cdn.test/x"}), httpx.Response(206)
    )

    async def part() -> None:
        response = await client.session.open(
            "https://files.test/x", headers={"Range": "bytes=5-", "X-Secret": "1"}
        )
        await response.aclose()

    drive(part())
    assert requests[1].headers["range"] == "bytes=5-"
    assert "x-secret" not in requests[1].headers
    assert requests[1].extensions["timeout"] == requests[0].extensions["timeout"]


def test_what_is_no_url_cannot_be_opened(connect: Connect, drive: Drive) -> None:
    client, _ = connect({})
    with pytest.raises(errors.TransportError, match=r"is not a URL"):
        drive(read(client, "https://broken:port/x"))


# Requests and answers.


def test_params_of_every_form_are_merged(connect: Connect) -> None:
    for params in ({"a": "1"}, [("a", "1")], "a=1", httpx.QueryParams({"a": "1"})):
        client, requests = connect({}, params=params)
        client.request("GET", "x", params={"b": "2"})
        assert str(requests[0].url.query, "ascii") == "a=1&b=2"


def test_timeouts_are_those_of_the_client_or_of_the_request(connect: Connect) -> None:
    client, requests = connect({}, timeout=5)
    client.request("GET", "x")
    client.request("GET", "x", timeout=7)
    assert [request.extensions["timeout"]["read"] for request in requests] == [5, 7]
    assert [request.extensions["timeout"]["pool"] for request in requests] == [60, 60]


def test_a_create_that_is_held_has_time(connect: Connect, prediction: Any) -> None:
    client, requests = connect(prediction(), timeout=5)
    client.predictions.create("f" * 64, {}, wait=True)
    assert requests[0].extensions["timeout"]["read"] == 90


def test_the_user_agent_names_version_and_python(connect: Connect) -> None:
    client, requests = connect({})
    client.request("GET", "x")
    assert requests[0].headers["user-agent"].startswith(f"replicate-kit/{__version__} python/3.")


@pytest.mark.parametrize("body", ["<html>Sign in</html>", "{", ""])
def test_an_answer_that_is_no_json_is_refused(connect: Connect, drive: Drive, body: str) -> None:
    client, _ = connect(httpx.Response(200, text=body))
    with pytest.raises(errors.InvalidResponse, match="Check that base_url leads to Replicate's API"):
        drive(client.predictions.async_get("p1"))


def test_an_empty_answer_is_none(connect: Connect, drive: Drive) -> None:
    client, _ = connect(httpx.Response(204))
    assert drive(client.session.fetch("DELETE", "models/acme/shout")) is None


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'["a", "list"]', ["a", "list"]),
        (b"plain text", "plain text"),
        (b"", ""),
        (b'{"detail": ["odd"]}', {"detail": ["odd"]}),
        (b"\xed\xa0", "\ufffd\ufffd"),
    ],
)
def test_the_body_of_any_error_is_kept(connect: Connect, drive: Drive, body: Any, kept: Any) -> None:
    client, _ = connect(httpx.Response(400, content=body))
    with pytest.raises(errors.APIError, match="400") as caught:
        drive(client.predictions.async_get("p1"))
    assert type(caught.value) is errors.APIError
    assert caught.value.body == kept


def test_an_error_of_a_stream_is_read_and_raised(connect: Connect, drive: Drive) -> None:
    client, _ = connect(httpx.Response(404, json={"detail": "no such file"}))
    with pytest.raises(errors.NotFound, match="no such file"):
        drive(read(client, "https://files.test/x"))


class Answering:
    """A plugin with a layer that answers by itself."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response

    @hookimpl
    def replicate_transport_layer(self) -> Any:
        return lambda inner: self

    async def send(self, request: httpx.Request, /, *, stream: bool = False) -> httpx.Response:
        return self.response

    async def aclose(self) -> None:
        """Hold nothing."""


def test_a_layer_may_answer_by_itself(connect: Connect, drive: Drive) -> None:
    layer = Answering(httpx.Response(404, json={"detail": "not in the cache"}))
    client, requests = connect({}, plugins=[layer])
    with pytest.raises(errors.NotFound, match="not in the cache"):
        drive(client.predictions.async_get("p1"))
    assert requests == []


def test_a_redirect_to_what_is_no_url_is_refused(connect: Connect, drive: Drive) -> None:
    layer = Answering(httpx.Response(302, headers={"Location": "https://broken:port/x"}))
    client, _ = connect({}, plugins=[layer])
    with pytest.raises(errors.InvalidResponse, match="redirected to a malformed URL"):
        drive(client.predictions.async_get("p1"))


# Creates whose fate is unknown.


def test_an_uncertain_create_carries_what_is_needed_to_look_for_it(connect: Connect, drive: Drive) -> None:
    began = time.time()
    client, _ = connect(httpx.ReadTimeout("slow"))
    with pytest.raises(errors.UncertainCreate, match=r"client\.predictions\.list\(\)") as caught:
        drive(client.predictions.async_create("f" * 64, {"text": "hi"}))
    error = caught.value
    assert error.path == "/v1/predictions"
    assert error.body == {"version": "f" * 64, "input": {"text": "hi"}}
    assert began - 1 <= error.sent_at <= time.time()
    assert isinstance(error.__cause__, errors.RequestTimeout)


@pytest.mark.parametrize(
    "body", ["<html>", "", "null", "[]", '"p1"', "{}", '{"id": ""}', '{"id": 7}', '{"detail": "ok"}']
)
@pytest.mark.parametrize("kind", ["predictions", "trainings"])
def test_a_good_answer_that_is_not_what_was_created_is_uncertain_too(
    connect: Connect, drive: Drive, body: str, kind: str
) -> None:
    client, _ = connect(httpx.Response(201, text=body))
    creates = {
        "predictions": lambda: client.predictions.async_create("f" * 64, {}),
        "trainings": lambda: client.trainings.async_create(f"acme/shout:{'f' * 64}", {}, "acme/mine"),
    }
    with pytest.raises(errors.UncertainCreate):
        drive(creates[kind]())


def test_a_create_that_was_refused_is_certain(connect: Connect, clock: Any, drive: Drive) -> None:
    client, _ = connect(httpx.Response(503, headers={"Retry-After": "600"}))
    with pytest.raises(errors.ServerError):
        drive(client.predictions.async_create("f" * 64, {}))


def test_a_revived_file_reads_itself_through_the_default_client(
    simulator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import replicate_kit

    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")
    (picture,) = replicate_kit.run("demo/painter", {"prompt": "sea", "width": 16, "height": 16})
    assert FileOutput(str(picture)).read() == picture.read()


# What has left the API does not come back to it.


@pytest.fixture
def wandering(serve: Any) -> Any:
    """An API, and a host elsewhere whose redirects lead back to it."""
    away: list[str] = []

    def answer(request: Any) -> Any:
        match request.path.partition("?")[0]:
            case "/v1/predictions/away" | "/v1/files/away":
                return 302, {"Location": away[0]}, b""
            case "/v1/files/secret":
                return 302, {"Location": "/v1/webhooks/default/secret"}, b""
            case "/v1/files/moved":
                return 302, {"Location": "f1"}, b""
            case _:
                return 200, JSON, b'{"key": "whsec_x", "id": "p1"}'

    api = serve(answer)
    back = serve(lambda request: (302, {"Location": api.url + request.path}, b""))
    away.append(f"{back.url}/v1/files/f1")
    return api, back


@pytest.mark.parametrize(
    "path", ["/v1/files/f1", "/v1/webhooks/default/secret", "/v1/account", "/v1/predictions/p1"]
)
@pytest.mark.parametrize("way", ["open", "file"])
def test_a_redirect_from_elsewhere_does_not_lead_to_the_api(
    wandering: Any, way: str, path: str, drive: Drive
) -> None:
    api, back = wandering
    with Client(TOKEN, base_url=api.url, retries=0, trusted_hosts=[back.url]) as client:
        opened = client.session.open if way == "open" else client.session.open_file
        with pytest.raises(errors.InvalidResponse, match="redirected from another host to the API"):
            drive(opened(back.url + path))
    assert api.received == []
    assert TOKEN not in sent_with(back.received[0])


@pytest.mark.parametrize("path", ["predictions/away", "files/away"])
def test_a_request_that_left_the_api_does_not_come_back(wandering: Any, path: str, drive: Drive) -> None:
    api, back = wandering
    with Client(TOKEN, base_url=api.url, retries=0, trusted_hosts=[back.url]) as client:
        with pytest.raises(errors.InvalidResponse, match="redirected from another host to the API"):
            drive(client.async_request("GET", path))
        if path.startswith("files"):
            with pytest.raises(errors.FileError, match="redirected from another host to the API"):
                drive(FileOutput(f"{api.url}/v1/{path}", client.session).async_read())
    assert {received.path for received in api.received} == {f"/v1/{path}"}
    assert all(TOKEN not in sent_with(received) for received in back.received)


@pytest.mark.parametrize("way", ["read", "chunks", "save", "range", "open"])
def test_a_file_of_the_api_does_not_lead_to_its_other_operations(
    wandering: Any, way: str, drive: Drive, tmp_path: Any
) -> None:
    api, _ = wandering

    async def listed(file: FileOutput) -> list[bytes]:
        return [chunk async for chunk in file]

    with Client(TOKEN, base_url=api.url, retries=0) as client:
        for url in (f"{api.url}/v1/files/secret", f"{api.url}/v1/webhooks/default/secret"):
            file = FileOutput(url, client.session)
            ways = {
                "read": lambda file=file: file.async_read(),
                "chunks": lambda file=file: listed(file),
                "save": lambda file=file: file.async_save(tmp_path / "x"),
                "range": lambda file=file: file.async_read_range(0, 5),
                "open": lambda file=file: file.async_open(),
            }
            with pytest.raises(errors.FileError, match="an operation of the API"):
                drive(ways[way]())
        assert drive(FileOutput(f"{api.url}/v1/files/moved", client.session).async_read())
    assert "/v1/webhooks/default/secret" not in {received.path for received in api.received}
    assert api.received[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("httpx_alone")
def test_what_httpx_adds_by_itself_goes_with_no_file_but_the_apis(wandering: Any, drive: Drive) -> None:
    api, _ = wandering
    with Client(base_url=api.url, retries=0, auth=("ann", "secret"), headers={"X-Team": "surf"}) as client:
        for path in ("/v1/files/f1", "/out.png"):
            drive(FileOutput(api.url + path, client.session).async_read())
    assert [{"authorization", "x-team"} <= each.headers.keys() for each in api.received] == [True, False]
    assert not {"authorization", "x-team"} & api.received[1].headers.keys()
