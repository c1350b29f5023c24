"""Official clients, each through a script of its whole surface, against `replicate-kit serve` in another process.

The tox environment says where they are: INTEROP_BETA is a Python that has `replicate` 2.0, INTEROP_NODE a folder in
which npm has installed `replicate` and prism.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import svix
from standardwebhooks import Webhook

from replicate_kit import Client

CLIENTS = Path(__file__).parent / "clients"
RECORDS = Path(__file__).parent / "records" / "clients.json"
DESCRIPTION = Path(__file__).parents[1] / "conformance" / "openapi.json"
NODE = Path(os.environ.get("INTEROP_NODE", "."))
SCRIPTS = {
    "stable": [sys.executable, str(CLIENTS / "stable.py")],
    "beta": [os.environ.get("INTEROP_BETA", sys.executable), str(CLIENTS / "beta.py")],
    "javascript": ["node", str(CLIENTS / "javascript.mjs")],
}
ALL = list(SCRIPTS)


@contextmanager
def program(command: list[str], folder: Path, until: str) -> Iterator[str]:
    """Run a program for as long as the block lasts; give what it printed until it was ready."""
    printed = folder / f"{Path(command[0]).name}.txt"
    with printed.open("w+") as out, subprocess.Popen(command, cwd=folder, stdout=out, stderr=out) as process:
        try:
            for _ in range(600):
                if re.search(until, printed.read_text()):
                    break
                assert process.poll() is None, printed.read_text()
                time.sleep(0.1)
            yield printed.read_text()
        finally:
            process.terminate()
            process.wait(30)
    assert "Traceback" not in printed.read_text()


@contextmanager
def server(folder: Path) -> Iterator[dict[str, str]]:
    """Serve, and give the environment that points clients there."""
    options = ["--port", "0", "--https-port", "0", "--quiet", "--demo", "--authority", str(folder / "ca.pem")]
    options += ["--records", str(RECORDS)]
    command = [sys.executable, "-u", "-m", "replicate_kit", "serve", str(CLIENTS / "models.py"), *options]
    with program(command, folder, "_control/faults") as printed:
        found = re.search(r'Replicate\(bearer_token="(?P<token>.+?)", base_url="(?P<url>.+?)/v1"\)', printed)
        trust = re.search(r"SSL_CERT_FILE=(\S+)", printed)
        plain = re.search(r"^  (http://\S+?)/$", printed, re.MULTILINE)
        assert found, printed
        assert trust, printed
        assert plain, printed
        yield {
            "REPLICATE_BASE_URL": found["url"],
            "REPLICATE_API_TOKEN": found["token"],
            "REPLICATE_POLL_INTERVAL": "0.02",
            "SSL_CERT_FILE": trust[1],
            "NODE_EXTRA_CA_CERTS": str(folder / "ca.pem"),
            "PLAIN": plain[1],
        }


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each client's script found, each at a server of its own."""
    return {name: run(name, tmp_path_factory.mktemp(name)) for name in ALL}


def run(name: str, folder: Path) -> dict[str, Any]:
    with server(folder) as environment:
        done = subprocess.run(
            SCRIPTS[name],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


EXPECTED: dict[str, Any] = {
    "run text": True,
    "a deleted file": 404,
    "a file as input": 5,
    "a collection": 3,
    "cancel": "canceled",
    "collections": ["demo", "text-to-image"],
    "deployments.list": ["app"],
    "deployments.update": 2,
    "files.list": True,
    "hardware": True,
    "predictions.get": "done",
    "search": True,
    "training": ["succeeded", True],
    "trainings.cancel": "canceled",
    "versions": True,
}


@pytest.mark.parametrize("client", ALL)
def test_what_all_clients_do(client: str, results: dict[str, Any]) -> None:
    assert {name: results[client].get(name) for name in EXPECTED} == EXPECTED


def test_the_stable_python_client(results: dict[str, Any]) -> None:
    found = results["stable"]
    assert found["run"] == ["FileOutput", "\x89PNG", True]
    assert found["run by polling"] is found["async_run"] is True
    assert (found["stream"], found["stream files"][-2:]) == ("done", ["output", "done"])
    assert found["failure"] == "Prediction interrupted; please retry (code: PA)"
    assert found["wait"] == ["succeeded", "done", 1.0]
    assert found["pages of models"] == [True, 46]
    assert found["files"] == ["a.txt", 5, {"a": 1}, True]
    assert found["models.create"] == ["local", "tuned", None]
    assert (found["deployment"], found["trainings.list"]) == ([1, 3], True)
    assert found["webhooks"] == ["processing", "succeeded"]  # validated by the client itself


def test_the_beta_of_the_python_client(results: dict[str, Any]) -> None:
    found = results["beta"]
    assert found["run"] == ["FileOutput", "\x89PNG", True]
    assert (found["run by polling"], found["async run"]) == (["FileOutput"], True)
    assert (found["wait"], found["hold"]) == (["succeeded", "done"], "done")
    assert found["stream"] == ["event: done"]
    assert (found["account"], found["models"], found["readme"]) == ("local", True, "# painter")
    assert (found["models.search"], found["models.update"]) == (True, "mine")
    assert (found["deployment"], found["trainings.list"]) == (3, 3)  # one training was loaded
    assert found["webhooks"] == ["processing", "succeeded"]


def test_the_javascript_client(results: dict[str, Any]) -> None:
    found = results["javascript"]
    assert found["run"] == ["FileOutput", "PNG", "https:"]
    assert found["run by polling"] == ["PNG", "succeeded"]
    assert (found["stream"], found["stream files"][-2:]) == ("done", ["output", "done"])
    assert "please retry (code: PA)" in found["failure"]
    assert found["abort"] == "canceled"
    assert (found["wait"], found["hold"]) == (["succeeded", "done"], "done")
    assert found["pages of models"] is found["a version"] is found["files.delete"] is True
    assert found["files"] == [5, {"a": 1}, True]
    assert (found["deployment"], found["trainings.list"]) == (3, 3)  # one training was loaded
    assert found["webhooks"] == [["processing", True], ["succeeded", True]]  # validated by the client itself


def test_the_javascript_client_with_ids_that_were_loaded(results: dict[str, Any]) -> None:
    assert results["javascript"]["by id"] == {
        "run": True,
        "stream": "done",
        "create": ["acme/poet", True],
        "wait": "succeeded",
        "an unknown version": 422,
        "model": ["Writes by heart", True],
        "versions": ["2023-04-05T06:07:08.000000Z"],
        "prediction": ["hello Alice", 1, 5],
        "cancel": "canceled",
        "training": ["processing", "canceled"],
        "file": [4, True, 404],
        "deployment": ["acme/poet", True, True, 404],
        "list": ["rrr4z55ocneqzikepnug6xezpe", "ufawqhfynnddngldkgtslldrkq"],
        "request": "acme",
    }


@pytest.mark.parametrize("check", [Webhook, svix.Webhook])
@pytest.mark.parametrize("client", ALL)
def test_webhooks_convince_whoever_checks_them(client: str, check: Any, results: dict[str, Any]) -> None:
    received = results[client]["received"]
    assert len(received["webhooks"]) == 2
    for headers, body in received["webhooks"]:
        check(received["secret"]).verify(body, headers)
        with pytest.raises(Exception, match=r"[Ss]ignature"):
            check(received["secret"]).verify(body + " ", headers)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of prism, which stands between a client and the server, and compares both with the description."""
    folder = tmp_path_factory.mktemp("prism")
    with server(folder) as environment:
        description = json.loads(DESCRIPTION.read_text("utf-8"))
        description["servers"] = [{"url": environment["PLAIN"]}]
        description["paths"] = {f"/v1{path}": each for path, each in description["paths"].items()}
        # Prism takes every field of a form for text, also one that says it is JSON.
        form = description["paths"]["/v1/files"]["post"]["requestBody"]["content"]["multipart/form-data"]
        form["schema"]["properties"]["metadata"] = {}
        (folder / "openapi.json").write_text(json.dumps(description), "utf-8")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        prism = str(NODE / "node_modules" / ".bin" / "prism")
        command = [prism, "proxy", "openapi.json", environment["PLAIN"], "-h", "127.0.0.1", "-p", str(port)]
        with program(command, folder, "is listening"):
            yield f"http://127.0.0.1:{port}"


def test_our_client_and_the_server_agree_with_the_description(proxy: str) -> None:
    answers: list[httpx.Response] = []
    hooks = {"response": [answers.append]}
    with Client("r8_any", backend="http", base_url=proxy, event_hooks=hooks, poll_interval=0.05) as client:
        surface(client)
    violations = {
        f"{each.request.method} {each.request.url.path}": each.headers["sl-violations"]
        for each in answers
        # Streams are at a host of their own, of which the description does not tell; here a proxy stands for both.
        if "sl-violations" in each.headers and not each.request.url.path.startswith("/v1/streams/")
    }
    assert violations == {}
    assert len(answers) > 30


def test_the_proxy_does_find_violations(proxy: str) -> None:
    answer = httpx.post(
        f"{proxy}/v1/predictions", json={"input": 3}, headers={"authorization": "Bearer r8_any"}
    )
    assert "sl-violations" in answer.headers


def test_the_stable_client_and_the_server_agree_with_the_description(proxy: str) -> None:
    code = """
import os, replicate
seen = []
client = replicate.Client(api_token="r8_any", base_url=os.environ["PROXY"])
client._client.event_hooks = {"response": [seen.append]}
client.run("demo/poet", input={"prompt": "sea"})
client.run("demo/painter", input={"prompt": "sea", "width": 16, "height": 16}, wait=False)
client.models.get("demo/painter").versions.list()
client.predictions.list(); client.collections.list(); client.hardware.list()
client.files.get(client.files.create(__file__).id)
print(len(seen), [each.headers["sl-violations"] for each in seen if "sl-violations" in each.headers])
"""
    done = subprocess.run(
        [sys.executable, "-c", code.replace("__file__", repr(str(DESCRIPTION)))],
        env={**os.environ, "PROXY": proxy, "REPLICATE_POLL_INTERVAL": "0.05"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, _, violations = done.stdout.strip().partition(" ")
    assert int(count) >= 9
    assert violations == "[]"


def surface(client: Client) -> None:
    """Most of what a client can do, once."""
    client.run("demo/painter", {"prompt": "sea", "width": 16, "height": 16})
    list(client.stream("demo/poet", {"prompt": "sea"}))
    prediction = client.predictions.create("demo/slow", {"seconds": 600})
    prediction.reload()
    prediction.cancel()
    client.predictions.list()
    client.accounts.current()
    client.hardware.list()
    client.search("poet")
    client.webhooks.default.secret()
    assert len(list(client.models.list_all())) > 25
    version = client.models.get("acme/size").latest_version
    client.models.versions("acme/size").list()
    client.collections.get(next(iter(client.collections.list())).slug)
    file = client.files.create(b"hello", filename="a.txt")
    client.files.list()
    client.files.get(file.id)
    client.files.delete(file.id)
    client.models.create("local", "tuned", visibility="private", hardware="cpu")
    training = client.trainings.create(
        client.models.get("demo/painter").latest_version, input={"prompt": "me"}, destination="local/tuned"
    )
    training.reload()
    training.cancel()
    client.trainings.list()
    client.deployments.create(
        name="app", model="acme/size", version=version, hardware="cpu", min_instances=0, max_instances=1
    )
    client.deployments.list()
    client.run("deployments/local/app", {"file": b"12345"})
    client.deployments.update("local/app", max_instances=2)


def test_javascript_that_the_page_has_for_a_form(tmp_path: Path) -> None:
    text = 'it\'s "so" `${x}` \\ $HOME\n\t</script> 🎉 \u2028'
    (tmp_path / "node_modules").symlink_to(NODE.resolve() / "node_modules")
    with server(tmp_path) as environment:
        body = {"version": "acme/filler-0", "input": {"text": text}}
        code = httpx.post(f"{environment['PLAIN']}/_page/snippets", json=body).json()["javascript"]
        (tmp_path / "form.mjs").write_text(code, "utf-8")
        done = subprocess.run(
            ["node", "form.mjs"],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (0, f"{text}\n", "")
