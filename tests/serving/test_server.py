"""The server over real sockets: what it serves, what it emits, and how it stops."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest

from replicate_kit import Client, errors
from replicate_kit.schema import Field
from replicate_kit.serving import Server
from replicate_kit.serving._sockets.listening import listen
from replicate_kit.simulator import Clock, Fault, Simulator, SimulatorTransport, sleep
from tests.served import Command

TOKEN = {"authorization": "Bearer r8_any"}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=TOKEN) as client:
        yield client


@pytest.fixture
def https(server: Server) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=server.authority)
    with httpx.Client(base_url=server.https_url, verify=context, headers=TOKEN) as client:
        yield client


def paint(client: httpx.Client, **headers: str) -> dict[str, Any]:
    body = {"version": "demo/painter", "input": {"prompt": "sea", "width": 16, "height": 16}}
    answer = client.post("/v1/predictions", json=body, headers={"prefer": "wait", **headers})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def test_connections_send_a_body_without_waiting_for_the_head_to_arrive() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


class TestLinks:
    def test_links_lead_to_where_the_client_came_in(self, server: Server, http: httpx.Client) -> None:
        created = paint(http)
        for link in (created["output"][0], created["urls"]["get"], created["urls"]["stream"]):
            assert link.startswith(server.url + "/")

    def test_https_clients_get_https_links(self, server: Server, https: httpx.Client) -> None:
        created = paint(https)
        assert created["output"][0].startswith(server.https_url + "/")
        assert https.get(created["output"][0]).content[:4] == b"\x89PNG"

    def test_another_name_of_this_machine_is_kept(self, server: Server) -> None:
        with httpx.Client(base_url=server.url.replace("127.0.0.1", "localhost"), headers=TOKEN) as client:
            assert paint(client)["output"][0].startswith("http://localhost:")

    def test_a_foreign_host_is_not_taken_over(self, server: Server, http: httpx.Client) -> None:
        body = {"version": "demo/poet", "input": {"prompt": "sea"}}
        answer = http.post("/v1/predictions", json=body, headers={"host": "evil.example"})
        assert answer.status_code == 403
        assert server.simulator.created == 0
        assert "evil.example" not in str(
            server.origins.of({"scheme": "http", "headers": [(b"host", b"evil.example")]})
        )

    def test_streams_and_pages_are_turned_too(self, server: Server, http: httpx.Client) -> None:
        created = paint(http)
        assert f"data: {server.url}/" in http.get(created["urls"]["stream"]).text
        for _ in range(101):
            http.post("/v1/predictions", json={"version": "demo/poet", "input": {"prompt": "x", "lines": 1}})
        assert http.get("/v1/predictions").json()["next"].startswith(f"{server.url}/v1/predictions?cursor=")

    def test_an_output_is_an_input_whichever_way_it_is_named(self) -> None:
        def publish(simulator: Simulator) -> None:
            @simulator.model("acme/size")
            def size(file: Path) -> int:
                return len(file.read_bytes())

        with Server(publish, demo=True) as server, httpx.Client(base_url=server.url, headers=TOKEN) as client:
            link = paint(client)["output"][0]
            assert link.startswith(server.url)
            answer = client.post(
                "/v1/predictions",
                json={"version": "acme/size", "input": {"file": link}},
                headers={"prefer": "wait"},
            )
            assert answer.json()["output"] == len(client.get(link).content)

    def test_a_public_url_is_for_everybody(self) -> None:
        public = Server(public_url="https://mock.example:8443/v1")
        with public as server, httpx.Client(base_url=server.url, headers=TOKEN) as client:
            created = paint(client)
            assert created["output"][0].startswith("https://mock.example:8443/xezq/")
            path = httpx.URL(created["output"][0]).raw_path.decode()
            assert client.get(path).status_code == 200


def test_our_client_runs_streams_and_uploads(server: Server) -> None:
    with Client("r8_any", backend="http", base_url=server.url, poll_interval=0.01) as client:
        (picture,) = client.run("demo/painter", {"prompt": "sea", "width": 16, "height": 16})
        assert picture.read()[:4] == b"\x89PNG"
        assert "".join(map(str, client.stream("demo/poet", {"prompt": "sea"})))
        assert client.files.create(b"x" * 300_000).size == 300_000


def test_tokens_are_asked_for() -> None:
    with Server(tokens=["s3cret"], https=False) as server, httpx.Client(base_url=server.url) as client:
        assert client.get("/v1/account").status_code == 401
        assert client.get("/v1/account", headers={"authorization": "Bearer s3cret"}).status_code == 200
        assert server.environment == {"REPLICATE_API_TOKEN": "s3cret", "REPLICATE_BASE_URL": server.url}


class TestFaults:
    def ask(self, fault: Fault, path: str = "/v1/hardware") -> httpx.Response:
        with Server(faults=[fault], https=False) as server:
            return httpx.get(server.url + path, headers=TOKEN)

    def test_a_cut_connection_gives_no_answer(self) -> None:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            self.ask(Fault(cut=True))

    def test_a_refused_connection_gives_none_either(self) -> None:
        with pytest.raises(httpx.TransportError):
            self.ask(Fault(refuse=True))

    def test_a_truncated_body_is_shorter_than_announced(self) -> None:
        with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
            self.ask(Fault(truncate=10))

    def test_a_status_is_answered(self) -> None:
        answer = self.ask(Fault(status=429, retry_after=7))
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


class TestControl:
    def test_another_process_finds_and_sets_everything(self, server: Server, http: httpx.Client) -> None:
        about = http.get("/_control").json()
        assert about["base_url"] == f"{server.url}/v1"
        assert "demo/painter" in about["models"]
        added = http.post("/_control/faults", json={"fault": "hardware.list,times=1,status=503"})
        assert added.json() == {"faults": ["hardware.list,times=1,status=503"]}
        assert [http.get("/v1/hardware").status_code for _ in range(2)] == [503, 200]
        assert http.delete("/_control/faults").json() == {"faults": []}
        assert http.get("/_control/calls").json()["calls"] == {"hardware.list": 2}

    def test_the_clock_moves_and_data_goes(self) -> None:
        with (
            Server(clock=Clock(rate=0), https=False) as server,
            httpx.Client(base_url=server.url, headers=TOKEN) as client,
        ):
            created = paint(client)
            client.post("/_control/clock", json={"advance": 3700})
            assert client.get(f"/v1/predictions/{created['id']}").json()["data_removed"] is True

    def test_answers_have_one_date_and_it_is_that_clocks(self) -> None:
        with Server(https=False, clock=Clock(start=0, rate=0)) as server:
            response = httpx.get(f"{server.url}/v1/account", headers=TOKEN)
        assert response.headers.get_list("date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]

    def test_a_reset_forgets(self, server: Server, http: httpx.Client) -> None:
        paint(http)
        http.post("/_control/faults", json={"faults": ["account.get,status=500"]})
        assert http.post("/_control/reset").status_code == 200
        assert http.get("/v1/predictions").json()["results"] == []
        assert http.get("/v1/account").status_code == 200

    def test_records_are_loaded_and_those_of_the_start_outlive_a_reset(self, tmp_path: Path) -> None:
        model = {"owner": "acme", "name": "mine", "runs_as": "demo/poet"}
        (tmp_path / "records.json").write_text(json.dumps({"models": [model]}))
        with (
            Server(https=False, records=tmp_path / "records.json") as server,
            httpx.Client(base_url=server.url, headers=TOKEN) as client,
        ):
            more = {
                "models": [{**model, "owner": "other"}],
                "predictions": [{"id": "p1", "model": "acme/mine"}],
            }
            assert client.post("/_control/records", json=more).json()["models"][-2:] == [
                "acme/mine",
                "other/mine",
            ]
            assert client.get("/v1/predictions/p1").json()["model"] == "acme/mine"
            client.post("/_control/reset")
            assert client.get("/v1/predictions/p1").status_code == 404
            assert client.get("/v1/models/acme/mine").status_code == 200
            refused = client.post("/_control/records", json={"predictions": [{"id": "p1", "version": "v"}]})
            told = refused.json()["detail"]
            assert (refused.status_code, "predictions[0].version: no version with this id" in told) == (
                400,
                True,
            )

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("records", b"[]"),
            ("records", b'{"models": 3}'),
            ("faults", b'{"fault": "x,nonsense=1"}'),
            ("faults", b'{"faults": 3}'),
            ("faults", b"{"),
            ("clock", b'{"advance": -1}'),
            ("clock", b'{"advance": "soon"}'),
            ("clock", b"[]"),
            ("clock", b"[" * 60_000),
            ("clock", b" " * 100_000),
        ],
    )
    def test_what_cannot_be_read_is_told(self, path: str, body: bytes, http: httpx.Client) -> None:
        answer = http.post(f"/_control/{path}", content=body)
        assert answer.status_code == 400
        assert answer.json()["detail"]

    @pytest.mark.parametrize(
        "headers",
        [
            {"host": "attacker.example"},
            {"sec-fetch-site": "cross-site"},
            {"origin": "https://attacker.example"},
        ],
    )
    @pytest.mark.parametrize("path", ["/", "/_page/state", "/_control"])
    def test_pages_of_other_sites_are_kept_out(
        self, path: str, headers: dict[str, str], http: httpx.Client
    ) -> None:
        assert http.get(path, headers=headers).status_code == 403

    def test_the_secret_opens_what_is_guarded(self) -> None:
        guarded = Server(secret="open sesame", guard=True, https=False)
        with guarded as server, httpx.Client(base_url=server.url, headers=TOKEN) as client:
            assert client.get("/_control").status_code == 403
            assert client.get("/_control", headers={"x-control-secret": "open sesame"}).status_code == 200
            assert client.get("/?secret=open%20sesame").status_code == 200
            assert client.get("/v1/account").status_code == 200


class TestPage:
    def test_it_needs_nothing_from_elsewhere(self, http: httpx.Client) -> None:
        page = http.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "http://" not in page.text.replace("http://www.w3.org/2000/svg", "")

    @pytest.mark.parametrize("tag", ["style", "script"])
    def test_its_policy_lets_in_its_own_style_and_script_only(self, tag: str, http: httpx.Client) -> None:
        page = http.get("/")
        found = re.findall(f"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in found]
        assert [f"{tag}-src 'sha256-{each}'" for each in hashes] == re.findall(
            f"{tag}-src [^;]+", page.headers["content-security-policy"]
        )

    def test_its_data_has_models_predictions_and_requests(self, server: Server, http: httpx.Client) -> None:
        created = paint(http)
        state = http.get("/_page/state").json()
        assert [each["id"] for each in state["predictions"]] == [created["id"]]
        assert state["predictions"][0]["output"][0].startswith(server.url)
        assert state["requests"][0]["operation"] == "predictions.create"
        assert {"demo/painter", "demo/poet"} <= {
            f"{each['owner']}/{each['name']}" for each in state["models"]
        }
        again = http.get(
            "/_page/state", params={"since": state["cursor"], "models": state["models_tag"]}
        ).json()
        assert again["requests"] == []
        assert "models" not in again

    def test_pictures_that_it_shows_are_no_news(self, server: Server, http: httpx.Client) -> None:
        link = paint(http)["output"][0]
        http.get(link, headers={"sec-fetch-dest": "image", "sec-fetch-site": "same-origin"})
        operations = [each["operation"] for each in http.get("/_page/state").json()["requests"]]
        assert operations == ["predictions.create"]

    @pytest.mark.parametrize("name", ["api_key", "pin"], ids=["by its name", "by the schema"])
    def test_secret_inputs_are_not_shown(self, name: str) -> None:
        def tell(prompt: str, api_key: str = "", pin: Annotated[str, Field(format="password")] = "") -> str:
            print(f"asked with {api_key}{pin}")
            raise ValueError(f"{api_key}{pin} is no key")

        with Server(lambda simulator: simulator.model("acme/tell")(tell), https=False) as server:
            with Client("r8_any", backend="http", base_url=server.url) as client:
                asked = {"prompt": "sea", name: "hunter2"}
                with pytest.raises(errors.ModelError):
                    client.run("acme/tell", asked)
            shown = httpx.get(f"{server.url}/_page/state", headers=TOKEN).text
        assert '"[secret] is no key"' in shown
        assert '"prompt":"sea"' in shown
        assert "hunter2" not in shown


def endless(simulator: Simulator) -> None:
    @simulator.model("acme/endless")
    def endless(text: str) -> Iterator[str]:
        while True:
            yield text
            sleep(600)


def test_what_models_make_runs_no_scripts_on_the_origin_of_the_page(http: httpx.Client) -> None:
    assert http.get(paint(http)["output"][0]).headers["content-security-policy"] == "sandbox"


class TestStopping:
    def test_held_creates_and_streams_end(self) -> None:
        answers: list[str] = []
        body = {"version": "acme/endless", "input": {"text": "x"}}
        with Server(endless, https=False) as server:
            created = httpx.post(f"{server.url}/v1/predictions", json=body, headers=TOKEN).json()

            def hold() -> None:
                wait = {"prefer": "wait", **TOKEN}
                held = httpx.post(f"{server.url}/v1/predictions", json=body, headers=wait, timeout=60)
                answers.append(str(held.status_code))

            def read() -> None:
                answers.append(httpx.get(created["urls"]["stream"], timeout=60).text)

            threads = [threading.Thread(target=each) for each in (hold, read)]
            for each in threads:
                each.start()
            while server.simulator.created < 2 or not server.simulator.calls["streams.get"]:
                threading.Event().wait(0.01)
            simulator = server.simulator
            server.stop()
            for each in threads:
                each.join(20)
        assert "202" in answers
        assert any(":408:" in each for each in answers)
        with httpx.Client(transport=SimulatorTransport(simulator), base_url=simulator.base_url) as client:
            for prediction in simulator.recent():
                client.post(f"/predictions/{prediction['id']}/cancel")

    @pytest.mark.usefixtures("interruptible")
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_signals_stop_the_command_with_a_clean_exit(self, number: int, tmp_path: Path) -> None:
        with (
            Command(tmp_path) as (process, url, _),
            socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)),
        ):  # somebody who says nothing
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert "Traceback" not in out + err


class TestCommand:
    def test_it_prints_what_points_each_client_at_it(self, tmp_path: Path) -> None:
        (tmp_path / "models.py").write_text("def shout(text: str) -> str:\n    return text.upper()\n")
        with Command(tmp_path, "models.py", "--token", "r8_mine", "--rate-limit", "5,100") as (
            _,
            url,
            printed,
        ):
            assert f'Client("r8_mine", base_url="{url}")' in printed
            assert 'replicate.Client(api_token="r8_mine", base_url="https://127.0.0.1:' in printed
            assert 'baseUrl: "https://127.0.0.1:' in printed
            with Client("r8_mine", base_url=url, backend="http") as client:
                assert client.run("local/shout", {"text": "hi"}) == "HI"
            answer = httpx.get(f"{url}/v1/account", headers={"authorization": "Bearer r8_mine"})
            assert int(answer.headers["ratelimit-remaining"]) < 100

    def test_state_outlives_the_process(self, tmp_path: Path) -> None:
        with (
            Command(tmp_path, "--state", "state") as (_, url, _),
            httpx.Client(base_url=url, headers=TOKEN) as client,
        ):
            created = paint(client)
        with Command(tmp_path, "--state", "state") as (_, url, _):
            again = httpx.get(f"{url}/v1/predictions/{created['id']}", headers=TOKEN).json()
            assert again["status"] == "succeeded"
            path = httpx.URL(again["output"][0]).raw_path.decode()
            assert httpx.get(url + path).content[:4] == b"\x89PNG"
            assert httpx.post(f"{url}/_control/reset").status_code == 400

    def test_a_port_that_is_taken_is_told(self, server: Server, tmp_path: Path) -> None:
        port = str(httpx.URL(server.url).port)
        done = subprocess.run(
            [sys.executable, "-m", "replicate_kit", "serve", "--port", port],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "Choose another port" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_server_without_any_protocol_is_refused() -> None:
    with pytest.raises(ValueError, match="HTTP, HTTPS or both"):
        Server(http=False, https=False)


def test_errors_of_the_api_are_ours(server: Server) -> None:
    with Client("r8_any", backend="http", base_url=server.url) as client, pytest.raises(errors.NotFound):
        client.models.get("nobody/nothing")
