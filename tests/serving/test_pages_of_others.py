"""Who may use a served simulator: programs with a token, its own page, and no page of anybody else's."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.serving import Server
from replicate_kit.serving._origins import Origins

pytestmark = pytest.mark.slow  # a large family

TOKEN = {"authorization": "Bearer any"}
CREATE = json.dumps({"version": "demo/poet", "input": {"prompt": "sea", "lines": 1}}).encode()
FOREIGN_ORIGINS = (
    "https://evil.example",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://localhost.evil.example",
    "null",
    "",
    "file://",
    "http://127.0.0.1:{port}.evil.example",
    "https://127.0.0.1:{port}",
)
FOREIGN_HOSTS = (
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example:{port}",
    "127.0.0.1.evil.example",
    "127.0.0.1:{port}@evil.example",
    "evil.example#127.0.0.1:{port}",
    "",
    "replicate",
    "evillocalhost",
)
OWN_HOSTS = (
    "127.0.0.1:{port}",
    "localhost:{port}",
    "LOCALHOST",
    "[::1]:{port}",
    "192.168.1.7:8000",
    "sub.localhost",
    "localhost.",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "QUERY", "OPTIONS", "BREW")
TYPES = (
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    None,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(https=False) as server:
        yield server


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


def port_in(text: str, server: Server) -> str:
    return text.replace("{port}", str(httpx.URL(server.url).port))


def acted(server: Server) -> tuple[int, int]:
    return server.simulator.created, sum(server.simulator.calls.values())


@pytest.mark.parametrize(
    "path",
    [
        "/v1/predictions",
        "/v1/files",
        "/v1/search?query=a",
        "/v1/nope",
    ],
)
class TestTheAPI:
    @pytest.mark.parametrize("method", METHODS)
    def test_nothing_is_done_for_pages_of_other_sites(
        self, path: str, method: str, server: Server, http: httpx.Client
    ) -> None:
        before = acted(server)
        origins = [{"origin": port_in(each, server)} for each in FOREIGN_ORIGINS]
        hosts = [{"host": port_in(each, server)} for each in FOREIGN_HOSTS]
        sites = [
            {"sec-fetch-site": each} for each in ("cross-site", "same-site", "Same-Origin", "unheard-of")
        ]
        kinds = itertools.cycle(TYPES)
        for foreign, kind, token in zip(
            [*origins, *hosts, *sites], kinds, itertools.cycle((TOKEN, {})), strict=False
        ):
            headers = {**foreign, **token, **({"content-type": kind} if kind else {})}
            answer = http.request(method, path, content=CREATE, headers=headers)
            assert answer.status_code == 403, (method, headers, answer.text)
            assert "access-control-allow-origin" not in answer.headers
        assert acted(server) == before

    def test_one_foreign_sign_is_enough_whatever_the_others_say(
        self, path: str, server: Server, http: httpx.Client
    ) -> None:
        own = {
            "host": httpx.URL(server.url).netloc.decode(),
            "origin": server.url,
            "sec-fetch-site": "same-origin",
            **TOKEN,
        }
        assert http.get(path, headers=own).status_code != 403
        for name, value in (
            ("host", "evil.example"),
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "cross-site"),
        ):
            assert http.get(path, headers={**own, name: value}).status_code == 403

    @pytest.mark.parametrize("host", OWN_HOSTS)
    def test_its_own_page_and_programs_are_let_in(
        self, path: str, host: str, server: Server, http: httpx.Client
    ) -> None:
        host = port_in(host, server)
        origins: list[dict[str, str]] = [{}, {"origin": f"http://{host}"}]
        sites: list[dict[str, str]] = [{}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}]
        for origin, site in itertools.product(origins, sites):
            answer = http.get(path, headers={"host": host, **origin, **site, **TOKEN})
            assert answer.status_code in ((404,) if "nope" in path else (200, 405)), answer.text

    def test_a_preflight_of_another_site_is_refused(self, path: str, http: httpx.Client) -> None:
        asked = {
            "origin": "https://evil.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
        }
        answer = http.options(path, headers=asked)
        assert answer.status_code == 403
        assert not [each for each in answer.headers if each.startswith("access-control")]


class TestTokens:
    @pytest.mark.parametrize("header", [None, "", "Bearer", "Basic eDp5", "Token", "any"])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/v1/account"),
            ("POST", "/v1/predictions"),
            ("QUERY", "/v1/models"),
            ("DELETE", "/v1/files/x"),
        ],
    )
    def test_without_one_there_is_401(
        self, method: str, path: str, header: str | None, server: Server, http: httpx.Client
    ) -> None:
        created = server.simulator.created
        answer = http.request(
            method, path, content=CREATE, headers={} if header is None else {"authorization": header}
        )
        assert answer.status_code == 401
        assert answer.json()["title"] == "Unauthenticated"
        assert server.simulator.created == created

    def test_search_needs_none(self, http: httpx.Client) -> None:
        assert http.get("/v1/search?query=poet").status_code == 200

    @pytest.mark.parametrize("header", ["Bearer x", "bearer x", "Token r8_x"])
    def test_any_will_do(self, header: str, http: httpx.Client) -> None:
        assert http.get("/v1/account", headers={"authorization": header}).status_code == 200

    def test_a_server_may_do_without_but_not_let_pages_in(self) -> None:
        with Server(https=False, require_token=False) as server, httpx.Client(base_url=server.url) as client:
            assert client.post("/v1/predictions", content=CREATE).status_code == 201
            for foreign in (
                {"origin": "https://evil.example"},
                {"host": "evil.example"},
                {"sec-fetch-site": "cross-site"},
            ):
                assert client.post("/v1/predictions", content=CREATE, headers=foreign).status_code == 403
            assert server.simulator.created == 1


@pytest.fixture(scope="module")
def made(server: Server) -> dict[str, Any]:
    body = {"version": "demo/painter", "input": {"prompt": "sea", "width": 16, "height": 16}}
    with httpx.Client(base_url=server.url, headers=TOKEN) as client:
        created: dict[str, Any] = client.post("/v1/predictions", json=body, headers={"prefer": "wait"}).json()
        file = client.post("/v1/files", files={"content": ("a.txt", b"hello")}).json()
    expiry = int(server.simulator.clock.now()) + 600
    signature = server.simulator.sign_download(file["id"], expiry)
    query = httpx.QueryParams({"owner": "local", "expiry": expiry, "signature": signature})
    download = f"{server.url}/v1/files/{file['id']}/download?{query}"
    return {"output": created["output"][0], "stream": created["urls"]["stream"], "download": download}


@pytest.mark.parametrize("which", ["output", "stream", "download"])
class TestWhatHasASecretURL:
    @pytest.mark.parametrize(
        "headers",
        [
            {"sec-fetch-site": "cross-site", "sec-fetch-dest": "image", "sec-fetch-mode": "no-cors"},
            {"sec-fetch-site": "same-site", "origin": "http://localhost:8888"},
            {"origin": "null", "sec-fetch-site": "cross-site"},
            {},
            TOKEN,
        ],
        ids=["img", "notebook", "sandbox", "program", "token"],
    )
    def test_any_page_that_has_it_may_read(
        self, which: str, headers: dict[str, str], made: dict[str, Any], http: httpx.Client
    ) -> None:
        for method in ("GET", "HEAD"):
            answer = http.request(method, made[which], headers=headers)
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "*"

    def test_a_page_may_ask_for_parts_and_send_its_token(
        self, which: str, made: dict[str, Any], http: httpx.Client
    ) -> None:
        asked = {
            "origin": "https://my.example",
            "access-control-request-method": "GET",
            "access-control-request-headers": "authorization,range",
        }
        answer = http.options(made[which], headers=asked)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-headers"] == "authorization,range"

    def test_but_do_nothing_else_there_and_by_no_other_name(
        self, which: str, made: dict[str, Any], http: httpx.Client
    ) -> None:
        foreign = {"origin": "https://evil.example"}
        for method in ("POST", "DELETE", "PUT"):
            assert http.request(method, made[which], headers=foreign).status_code == 403
            asked = {**foreign, "access-control-request-method": method}
            assert http.options(made[which], headers=asked).status_code == 403
        assert http.get(made[which], headers={"host": "evil.example"}).status_code == 403


class TestWhatIsAllowed:
    @pytest.mark.parametrize(
        ("allowed", "host"),
        [
            ("mock", "mock:8000"),
            ("Mock", "MOCK"),
            ("*.example.com", "a.b.example.com"),
            ("*", "whatever.example:1"),
            ("::2", "[::2]:8000"),
        ],
    )
    def test_names_by_which_clients_come(self, allowed: str, host: str) -> None:
        with Server(https=False, allow_hosts=[allowed]) as server:
            body = {"version": "demo/poet", "input": {"prompt": "a"}}
            answer = httpx.post(f"{server.url}/v1/predictions", json=body, headers={"host": host, **TOKEN})
            assert answer.json()["urls"]["get"].startswith(f"http://{host}/v1/")

    @pytest.mark.parametrize(
        ("allowed", "host"),
        [
            ("*.example.com", "example.com"),
            ("*.example.com", "evilexample.com"),
            ("mock", "mock.evil"),
            ("mock", "amock"),
        ],
    )
    def test_and_none_that_only_looks_like_it(self, allowed: str, host: str) -> None:
        origins = Origins("http://127.0.0.1", [], [allowed])
        assert origins.named({"headers": [(b"host", host.encode())]}) is None

    def test_listening_everywhere_knows_the_names_of_the_machine(self) -> None:
        import socket

        with Server(https=False, host="0.0.0.0") as server:
            for host in (socket.gethostname(), "10.1.2.3:80", "host.docker.internal:8000"):
                assert (
                    httpx.get(f"{server.url}/v1/account", headers={"host": host, **TOKEN}).status_code == 200
                )
            assert httpx.get(f"{server.url}/v1/account", headers={"host": "evil", **TOKEN}).status_code == 403

    @pytest.mark.parametrize("allowed", ["http://localhost:5173", "HTTP://LOCALHOST:5173/", "*"])
    def test_pages_of_another_site(self, allowed: str) -> None:
        page = {"origin": "http://localhost:5173", "sec-fetch-site": "same-site"}
        with (
            Server(https=False, allow_origins=[allowed]) as server,
            httpx.Client(base_url=server.url) as client,
        ):
            asked = {
                **page,
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type",
            }
            answer = client.options("/v1/predictions", headers=asked)
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-origin"] == page["origin"]
            assert "POST" in answer.headers["access-control-allow-methods"]
            answer = client.post("/v1/predictions", content=CREATE, headers={**page, **TOKEN})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (
                201,
                page["origin"],
            )
            assert client.post("/v1/predictions", content=CREATE, headers=page).status_code == 401
            for path in ("/", "/_page/state", "/_control"):
                assert client.get(path, headers=page).status_code == 403
            if allowed != "*":
                assert (
                    client.get(
                        "/v1/account", headers={"origin": "http://localhost:5174", **TOKEN}
                    ).status_code
                    == 403
                )

    def test_a_page_behind_a_proxy_that_ends_tls(self) -> None:
        with Server(https=False, public_url="https://mock.example:8443") as server:
            page = {
                "host": "mock.example:8443",
                "origin": "https://mock.example:8443",
                "sec-fetch-site": "same-origin",
            }
            answer = httpx.post(f"{server.url}/v1/predictions", content=CREATE, headers={**page, **TOKEN})
            assert answer.status_code == 201

    @pytest.mark.parametrize("wrong", ["http://mock", "mock:8000", "a b", "", "*mock", "mock/"])
    def test_what_is_no_name_is_told(self, wrong: str) -> None:
        with pytest.raises(ValueError, match="no name of a host"):
            Server(allow_hosts=[wrong])

    @pytest.mark.parametrize(
        "wrong", ["localhost:5173", "http://localhost:5173/page", "http://", "", "http://a@b"]
    )
    def test_what_is_no_origin_is_told(self, wrong: str) -> None:
        with pytest.raises(ValueError, match="no origin of a page"):
            Server(allow_origins=[wrong])


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/_page/state",
        "/_page/snippets",
        "/_control",
        "/_control/calls",
        "/_control/reset",
        "/_control/faults",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD"])
def test_control_and_page_are_kept_from_pages_of_other_sites(
    path: str, method: str, server: Server, http: httpx.Client
) -> None:
    simulator = server.simulator
    foreign = [{"origin": port_in(each, server)} for each in FOREIGN_ORIGINS]
    foreign += [{"host": port_in(each, server)} for each in FOREIGN_HOSTS] + [{"sec-fetch-site": "same-site"}]
    for each, kind in zip(foreign, itertools.cycle(TYPES), strict=False):
        answer = http.request(method, path, content=b"{}", headers={**each, "content-type": kind or "x"})
        assert answer.status_code in (403, 405), (each, answer.text)
    assert server.simulator is simulator


def test_our_client_says_what_to_do_about_a_name_that_is_not_allowed() -> None:
    with Server(https=False) as server:
        headers = {"host": "mock.example"}
        with (
            Client("any", backend="http", base_url=server.url, headers=headers) as client,
            pytest.raises(Exception, match="--allow-host"),
        ):
            client.accounts.current()
