"""What HTTP asks of a server, over real sockets: HEAD, whole URLs as targets, OPTIONS, ranges, and odd requests."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from replicate_kit.schema import check
from replicate_kit.serving import Server
from replicate_kit.simulator import Simulator, SimulatorTransport

TOKEN = {"authorization": "Bearer any"}
POEM = {"version": "demo/poet", "input": {"prompt": "sea", "lines": 1}}
LONG = 9 * b"0123456789" * 600  # more digits than Python makes a number of


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(https=False) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=TOKEN) as client:
        yield client


@pytest.fixture(scope="module")
def links(server: Server, client: httpx.Client) -> dict[str, str]:
    """A path of each kind that GET is for."""
    body = {"version": "demo/painter", "input": {"prompt": "sea", "width": 16, "height": 16}}
    made = client.post("/v1/predictions", json=body, headers={"prefer": "wait"}).json()
    file = client.post("/v1/files", files={"content": ("a.txt", b"hello")}).json()
    expiry = int(server.simulator.clock.now()) + 600
    query = httpx.QueryParams(
        {"owner": "local", "expiry": expiry, "signature": server.simulator.sign_download(file["id"], expiry)}
    )
    return {
        "output": made["output"][0],
        "stream": made["urls"]["stream"],
        "prediction": made["urls"]["get"],
        "download": f"/v1/files/{file['id']}/download?{query}",
        "file": f"/v1/files/{file['id']}",
        **{path: f"/v1/{path}" for path in ("account", "models", "predictions", "files", "hardware", "nope")},
        **{path: path for path in ("/", "/_control", "/_page/state", "/v1/search?query=poet", "/v1/search")},
    }


KINDS = ("output", "stream", "prediction", "download", "file", "account", "models", "predictions", "files")


@pytest.mark.parametrize(
    "kind",
    [*KINDS, "hardware", "nope", "/", "/_control", "/_page/state", "/v1/search?query=poet", "/v1/search"],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_head_has_the_headers_of_get_and_no_body(
    kind: str, host: str, links: dict[str, str], client: httpx.Client, server: Server
) -> None:
    url = links[kind].replace("127.0.0.1", host)
    own = {"host": httpx.URL(server.url).netloc.decode().replace("127.0.0.1", host)}
    got, head = client.get(url, headers=own), client.head(url, headers=own)
    assert (head.status_code, head.content) == (got.status_code, b"")
    if kind in ("stream",):
        assert "content-length" not in head.headers
    elif kind not in ("/_page/state", "/_control"):  # what they tell has changed meanwhile
        assert int(head.headers["content-length"]) == len(got.content)
    changing = {"date", "ratelimit-remaining", "ratelimit-reset", "content-length"}
    assert {name: head.headers[name] for name in set(head.headers) - changing} == {
        name: got.headers[name] for name in set(got.headers) - changing
    }


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=0-3"}, {"range": "bytes=999999-"}])
def test_head_of_an_output_tells_its_size_whatever_part_is_asked_for(
    headers: dict[str, str], links: dict[str, str], client: httpx.Client
) -> None:
    head = client.head(links["output"], headers=headers)
    assert head.status_code == 200
    assert int(head.headers["content-length"]) == len(client.get(links["output"]).content)
    assert head.headers["accept-ranges"] == "bytes"


def test_head_in_process_is_the_same() -> None:
    with Simulator() as simulator, httpx.Client(transport=SimulatorTransport(simulator)) as client:
        for path in ("/account", "/models", "/nope"):
            url = simulator.base_url + path
            got, head = client.get(url), client.head(url)
            assert (head.status_code, head.content) == (got.status_code, b"")
            assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-3", 206, (0, 4)),
        ("bytes=-4", 206, (-4, None)),
        ("bytes=4-", 206, (4, None)),
        ("bytes=0-999999", 206, (0, None)),
        ("bytes=0-1,4-5", 200, (0, None)),
        ("bytes=5-2", 416, None),
        ("bytes=999999-", 416, None),
        ("bytes=" + "9" * 5000 + "-", 200, (0, None)),
        ("items=0-1", 200, (0, None)),
        ("bytes", 200, (0, None)),
    ],
)
def test_parts_of_a_file(
    asked: str, status: int, part: Any, links: dict[str, str], client: httpx.Client
) -> None:
    whole, answer = client.get(links["output"]).content, client.get(links["output"], headers={"range": asked})
    assert answer.status_code == status
    if part is not None:
        assert answer.content == whole[slice(*part)]


def ask(server: Server, said: bytes) -> tuple[int, dict[str, str], bytes]:
    """Say something on a socket that stays open, and read the answer."""
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0), timeout=20) as connection:
        connection.sendall(said)
        with http.client.HTTPResponse(
            connection, method=said.split(b" ", 1)[0].decode("latin-1")
        ) as response:
            response.begin()
            heads = {name.lower(): value for name, value in response.getheaders()}
            return response.status, heads, response.read()


def own(server: Server) -> bytes:
    return httpx.URL(server.url).netloc


@pytest.mark.parametrize("scheme", ["http", "HTTP", "https"])
@pytest.mark.parametrize(
    "path", ["/v1/account", "/v1/account?x=http://evil.example/", "/", "", "?x=1", "/_control"]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.1:{port}"])
def test_a_whole_url_is_a_target_if_it_is_ours(scheme: str, path: str, host: str, server: Server) -> None:
    authority = host.replace("{port}", str(httpx.URL(server.url).port))
    said = (
        f"GET {scheme}://{authority}{path} HTTP/1.1\r\nhost: evil.example\r\nauthorization: Bearer x\r\n\r\n"
    )
    assert ask(server, said.encode())[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1@evil.example", "localhost.evil", ""]
)
def test_and_refused_if_it_is_not(host: str, server: Server) -> None:
    created = server.simulator.created
    body = json.dumps(POEM).encode()
    said = b"POST http://%s/v1/predictions HTTP/1.1\r\nhost: %s\r\nauthorization: Bearer x\r\n"
    said += b"content-length: %d\r\n\r\n"
    status, _, _ = ask(server, said % (host.encode(), own(server), len(body)) + body)
    assert (status, server.simulator.created) == (403, created)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/predictions", "GET, HEAD, OPTIONS, POST"),
        ("/v1/account", "GET, HEAD, OPTIONS"),
        ("/v1/models", "GET, HEAD, OPTIONS, POST, QUERY"),
        ("/v1/predictions/x/cancel", "OPTIONS, POST"),
    ],
)
def test_what_a_path_has_is_told(path: str, allowed: str, client: httpx.Client) -> None:
    answer = client.options(path)
    assert (answer.status_code, answer.headers["allow"]) == (204, allowed)
    for method in ("BREW", "TRACE", "PROPFIND", "X" * 100):
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert len(answer.content) < 200


def test_options_of_what_is_not_there_and_of_everything(server: Server, client: httpx.Client) -> None:
    assert client.options("/v1/nope").status_code == 404
    status, heads, _ = ask(server, b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert (status, "GET" in heads["allow"]) == (204, True)


HEAD = b"host: localhost\r\nauthorization: Bearer x\r\n"
BODY = json.dumps(POEM).encode()


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET /v1/account HTTP/1.0\r\nauthorization: Bearer x\r\n\r\n", 200),
        (b"GET /v1/account HTTP/1.0\r\n\r\n", 401),
        (b"GET /v1/account HTTP/1.1\r\n%bconnection: close\r\n\r\n", 200),
        (b"GET /v1/account HTTP/1.1\r\n%b%b\r\n" % (b"%b", b"".join(b"x%d: y\r\n" % i for i in range(3000))), 200),
        (b"GET /v1/account HTTP/1.1\r\n%bx: %b\r\n\r\n" % (b"%b", b"y" * 200_000), 400),
        (b"GET /v1/%b HTTP/1.1\r\n%b\r\n" % (b"a" * 50_000, b"%b"), 404),
        (b"GET /%b HTTP/1.1\r\n%b\r\n" % (b"a" * 200_000, b"%b"), 400),
        (b"GET /v1/models/%%ff/%%zz%% HTTP/1.1\r\n%b\r\n", 404),
        (b"GET /v1/models/%%00/%%0d%%0a HTTP/1.1\r\n%b\r\n", 404),
        (b"GET /v1/predictions?cursor=%%ff%%00 HTTP/1.1\r\n%b\r\n", 404),
        (b"GET /v1/predictions?created_after=%b HTTP/1.1\r\n%b\r\n" % (LONG, b"%b"), 400),
        (b"GET /v1/search?query=x&limit=%b HTTP/1.1\r\n%b\r\n" % (LONG, b"%b"), 400),
        (b"GET /v1/files/x/download?owner=a&expiry=%b&signature=x HTTP/1.1\r\n%b\r\n" % (LONG, b"%b"), 400),
        (b"GET /_page/state?since=%b HTTP/1.1\r\n%b\r\n" % (LONG, b"%b"), 200),
        (b"GET /v1/account HTTP/1.1\r\n%bcontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", 400),
        (b"GET ftp://localhost/v1/account HTTP/1.1\r\n%b\r\n", 400),
        (b"GET v1/account HTTP/1.1\r\n%b\r\n", 400),
        (b"CONNECT localhost:80 HTTP/1.1\r\n%b\r\n", 400),
        (b"POST /v1/predictions HTTP/1.1\r\n%btransfer-encoding: chunked\r\n\r\n1\r\n{\r\nZZ\r\n", 400),
        (b"POST /v1/predictions HTTP/1.1\r\n%bprefer: wait=%b\r\ncontent-length: %d\r\n\r\n%b"
         % (b"%b", LONG, len(BODY), BODY), 400),
        (b"POST /v1/predictions HTTP/1.1\r\n%bcancel-after: %b\r\ncontent-length: %d\r\n\r\n%b"
         % (b"%b", LONG, len(BODY), BODY), 400),
        (b"POST /v1/predictions HTTP/1.1\r\n%bcontent-length: 2\r\n\r\n{}", 422),
    ],
)  # fmt: skip
def test_odd_requests_have_an_answer(
    said: bytes, status: int, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    said = said % HEAD if b"%b" in said else said
    try:
        answered = ask(server, said)[0]
    except ConnectionResetError:  # it did not read on what is too long, and its answer may be lost with that
        answered = 400 if len(said) > 100_000 else 0
    assert answered == status
    assert "Traceback" not in capfd.readouterr().err


def test_a_body_in_chunks_is_read(server: Server) -> None:
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(BODY[i : i + 7]), BODY[i : i + 7]) for i in range(0, len(BODY), 7)
    )
    said = (
        b"POST /v1/predictions HTTP/1.1\r\n"
        + HEAD
        + b"transfer-encoding: chunked\r\n\r\n"
        + chunks
        + b"0\r\n\r\n"
    )
    assert ask(server, said)[0] == 201


def test_who_waits_to_be_asked_for_a_body_is_asked(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0), timeout=20) as connection:
        head = (
            b"POST /v1/predictions HTTP/1.1\r\n"
            + HEAD
            + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n"
        )
        connection.sendall(head % len(BODY))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY)
        assert connection.recv(100).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize("begun", [b"{", b""])
def test_who_is_refused_is_not_asked_for_a_body(begun: bytes, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0), timeout=20) as connection:
        connection.sendall(b"POST /v1/files HTTP/1.1\r\nhost: evil.example\r\nexpect: 100-continue\r\n")
        connection.sendall(b"content-length: 50000000\r\n\r\n" + begun)
        assert connection.recv(100).startswith(b"HTTP/1.1 403 ")


KEYS = (
    {f"key-{number}": 1 for number in range(20_000)},
    {"x" * 1_000_000: 1},
    {"y" * 70_000 + str(number): 1 for number in range(60)},
)
CREATING = ("predictions", "models", "deployments", "models/demo/poet/predictions")


KEYS = (
    {f"key-{number}": 1 for number in range(20_000)},
    {"x" * 1_000_000: 1},
    {"y" * 70_000 + str(number): 1 for number in range(60)},
)


class TestErrorsThatRepeatTheRequest:
    @pytest.mark.parametrize("body", KEYS, ids=["many", "long", "both"])
    @pytest.mark.parametrize("inside", [False, True], ids=["body", "input"])
    @pytest.mark.parametrize(
        "path", ["/v1/predictions", "/v1/models", "/v1/deployments", "/v1/models/demo/poet/predictions"]
    )
    def test_unknown_keys(self, path: str, inside: bool, body: dict[str, Any], client: httpx.Client) -> None:
        sent = {"version": "demo/poet", "input": {"prompt": "x", **body}} if inside else {**POEM, **body}
        answer = client.post(path, json=sent)
        if inside and path == "/v1/predictions":  # models take inputs that they do not declare
            assert answer.status_code == 201
            return
        assert answer.status_code == 422
        assert len(answer.content) < 100_000

    @pytest.mark.parametrize(
        "content",
        [
            b'{"version": "' + b"v" * 1_000_000 + b'", "input": {}}',
            b'{"version": ' + b"9" * 1_000_000 + b"}",
            b'{"version": 1e' + b"9" * 1_000_000 + b"}",
            b'{"version": NaN' + b"N" * 1_000_000,
            b"[" * 1_000_000,
            b'{"input":' * 900 + b"1" + b"}" * 900,
            b'{"version": "demo/poet", "input": {"prompt": ' + b"[" * 900 + b"]" * 900 + b"}}",
            b'{"version": "demo/poet", "webhook": "' + b"w" * 1_000_000 + b'", "input": {"prompt": "x"}}',
            b'{"version": "demo/poet", "webhook_events_filter": ["'
            + b"w" * 1_000_000
            + b'"], "input": {"prompt": "x"}}',
        ],
        ids=[
            "version",
            "digits",
            "exponent",
            "constant",
            "brackets",
            "deep",
            "deep input",
            "webhook",
            "events",
        ],
    )
    def test_values(self, content: bytes, client: httpx.Client) -> None:
        answer = client.post("/v1/predictions", content=content)
        assert answer.status_code in (400, 404, 422)
        assert len(answer.content) < 10_000

    @pytest.mark.parametrize("path", ["faults", "clock"])
    def test_control(self, path: str, client: httpx.Client) -> None:
        for value in ("x" * 60_000, ["x" * 60_000], {"x" * 60_000: 1}):
            answer = client.post(f"/_control/{path}", json={"fault": value, "advance": value})
            assert (answer.status_code, len(answer.content) < 10_000) == (400, True)

    def test_what_is_left_out_is_counted(self) -> None:
        schema = {"type": "object", "properties": {}, "additionalProperties": False}
        found = check({f"k{n}": n for n in range(1000)}, schema)
        assert len(found) == 51
        assert found[-1].description == "There are 950 more problems, which are not listed"
        assert len(check({f"k{n}": n for n in range(50)}, schema)) == 50
