"""One secret for each place where secrets come in; none of them stands in anything that is shown, logged or kept."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import replicate_kit
from replicate_kit import Client, errors, gallery
from replicate_kit.batch import Result
from replicate_kit.resources.predictions import Prediction
from replicate_kit.simulator import Simulator
from replicate_kit.storage import SaveTo
from replicate_kit.testing import Cassette

pytestmark = pytest.mark.slow  # a large family

PLACES = (
    "token",
    "header",
    "param",
    "cookie",
    "auth",
    "declared",
    "named",
    "nested",
    "webhook",
    "store",
    "option",
)
CANARY = {
    place: f"CaNaRy/{place}+7f3a 'q'" if place in ("declared", "named") else f"CaNaRy-{place}-7f3a"
    for place in PLACES
}
INPUT = {
    "prompt": "a wombat",
    "pin": CANARY["declared"],
    "api_key": CANARY["named"],
    "login": {"user": "me", "password": CANARY["nested"]},
}
SCHEMA = {
    "components": {
        "schemas": {
            "Input": {
                "type": "object",
                "properties": {
                    "prompt": {"type": "string"},
                    "pin": {"type": "string", "format": "password", "x-cog-secret": True},
                    "api_key": {"type": "string"},
                    "login": {"type": "object"},
                    "size": {"type": "string", "enum": ["small", "large"]},
                },
            },
            "Output": {"type": "string"},
        }
    }
}
VERSION = "a" * 64
MODEL = {
    "owner": "acme",
    "name": "safe",
    "latest_version": {"id": VERSION, "openapi_schema": SCHEMA},
}
WEBHOOK = f"https://hooks.test/in?token={CANARY['webhook']}"


def marks() -> Iterator[str]:
    """What would be seen of a canary, however it is written: plain, in JSON or a URL, in Base64."""
    for place in PLACES:
        yield f"{place}+7f3a" if place in ("declared", "named") else f"CaNaRy-{place}"
    yield base64.b64encode(f"me:{CANARY['auth']}".encode()).decode()


def seen_in(text: str) -> list[str]:
    """The canaries in a text."""
    return [each for each in marks() if each in text or each.replace("+", "%2B") in text]


def told(error: BaseException) -> str:
    """Everything that an error tells: its chain, its parts and what it quotes."""
    found, waiting = ["".join(traceback.format_exception(error))], [error]
    while waiting:
        each = waiting.pop()
        quoted = [getattr(each, name, None) for name in ("title", "detail", "__notes__")]
        body = None if isinstance(each, errors.UncertainCreate) else getattr(each, "body", None)
        found += [str(each), repr(each), repr(each.args), repr(quoted), repr(body)]
        waiting += [behind for behind in (each.__cause__, each.__context__) if behind is not None]
    return "\n".join(found)


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Of all loggers, those of libraries too."""
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield
    assert not seen_in("\n".join(each.getMessage() + str(each.exc_text) for each in caplog.records))
    assert not seen_in("\n".join(str(each.message) for each in warned))


def quoting(status: int, form: str) -> Callable[[Any], tuple[int, dict[str, str], bytes]]:
    """A server that quotes whatever it was sent, as gateways do that help with debugging."""

    def answer(received: Any) -> tuple[int, dict[str, str], bytes]:
        path = received.path.partition("?")[0]
        if path == "/v1/models/acme/safe":
            return 200, {"Content-Type": "application/json"}, json.dumps(MODEL).encode()
        said = f"{received.path} {dict(received.headers)} {received.body.decode()}"
        if form == "model" and received.method == "GET":
            return 200, {"Content-Type": "application/json"}, b'{"results": []}'
        if form == "model":
            body = json.loads(received.body)
            job = {"id": "p1", "version": VERSION, "input": body["input"], "status": "failed", "error": said}
            return 201, {"Content-Type": "application/json"}, json.dumps(job).encode()
        if form == "text":
            return status, {"Content-Type": "text/html"}, said.encode()
        quoted = {
            "title": said,
            "detail": said,
            "received": {"headers": dict(received.headers), "body": said},
        }
        return status, {"Content-Type": "application/json"}, json.dumps(quoted).encode()

    return answer


def client_of(url: str, **options: Any) -> Client:
    """A client with a secret in each of its options."""
    given: dict[str, Any] = {
        "headers": {"X-Team": CANARY["header"]},
        "params": {"team": CANARY["param"]},
        "cookies": {"crumb": CANARY["cookie"]},
        "auth": ("me", CANARY["auth"]),
    }
    return Client(CANARY["token"], base_url=url, retries=0, poll_interval=0, **given | options)


def mapped(client: Client, **options: Any) -> Any:
    return list(client.map("acme/safe", [INPUT], **options))


def failed(client: Client) -> None:
    """Run a table, and raise what became of its row."""
    for each in mapped(client, errors="collect"):
        if each.error:
            raise each.error


OPERATIONS: dict[str, Callable[[Client], Any]] = {
    "run": lambda client: client.run("acme/safe", INPUT, webhook=WEBHOOK),
    "create": lambda client: client.predictions.create("acme/safe", INPUT, webhook=WEBHOOK),
    "stream": lambda client: list(client.stream("acme/safe", INPUT)),
    "map": failed,
    "train": lambda client: client.trainings.create(
        version=f"acme/safe:{VERSION}", input=INPUT, destination="acme/own", webhook=WEBHOOK
    ),
    "get": lambda client: client.predictions.get("p1"),
    "request": lambda client: client.request("POST", "predictions", json={"input": INPUT}),
    "reading": lambda client: client.accounts.current(),
    "uploading": lambda client: client.files.create(b"a", filename="a.txt"),
}


STATUSES = (200, 400, 401, 402, 403, 404, 409, 422, 429, 500, 503)
AT_ONCE = [each for each in OPERATIONS if each != "map"]  # a run over rows waits for what may pass
QUOTED = [*product(AT_ONCE, STATUSES), *(("map", status) for status in (400, 401, 422))]


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(("operation", "status"), QUOTED)
def test_what_a_server_quotes(serve: Any, status: int, form: str, operation: str) -> None:
    client = client_of(serve(quoting(status, form)).url)
    with pytest.raises(errors.ReplicateError) as caught:  # noqa: PT012
        OPERATIONS[operation](client)
        if status == 200:  # some operations take any object
            raise errors.ReplicateError
    # Only who looks at a model's schema knows which of its inputs that declares to be secret.
    unknown = ["declared+7f3a"] if operation in ("train", "request", "create") else []
    assert [each for each in seen_in(told(caught.value)) if each not in unknown] == []


@pytest.mark.parametrize("operation", ["run", "stream", "map"])
def test_what_a_model_quotes(serve: Any, operation: str) -> None:
    client = client_of(serve(quoting(201, "model")).url)
    with pytest.raises(errors.ReplicateError) as caught:
        OPERATIONS[operation](client)
    # What the model itself says of the client's own secrets it cannot know: those go to the API alone.
    said = told(caught.value)
    assert not [each for each in seen_in(said) if "declared" in each or "named" in each or "nested" in each]


@pytest.mark.parametrize("operation", AT_ONCE)
@pytest.mark.parametrize("where", ["http://127.0.0.1:9", "http://no.such.host.invalid"])
def test_where_nobody_answers(operation: str, where: str) -> None:
    with pytest.raises(errors.ReplicateError) as caught:
        OPERATIONS[operation](client_of(where))
    assert not seen_in(told(caught.value))


@pytest.mark.parametrize("proxied", ["argument", "environment"])
def test_a_proxy_that_refuses(serve: Any, proxied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = serve(lambda received: (407, {}, repr(dict(received.headers)).encode())).url.removeprefix("http://")
    proxy = f"http://me:{CANARY['auth']}@{url}"
    monkeypatch.setenv("HTTP_PROXY", proxy if proxied == "environment" else "")
    options = {"proxy": proxy} if proxied == "argument" else {}
    with pytest.raises(errors.ReplicateError) as caught:
        client_of("http://api.invalid", auth=None, **options).accounts.current()
    assert not seen_in(told(caught.value))


def test_a_base_url_with_a_password() -> None:
    with pytest.raises(errors.ConfigError) as caught:
        Client(base_url=f"https://me:{CANARY['auth']}@api.invalid")
    assert not seen_in(told(caught.value))


def test_an_input_that_is_refused_here(serve: Any) -> None:
    client = client_of(serve(quoting(500, "json")).url)
    for wrong in ({**INPUT, "size": CANARY["named"]}, {**INPUT, "size": object()}, [*INPUT.items()]):
        with pytest.raises((errors.InputError, TypeError)) as caught:
            client.run("acme/safe", wrong)  # type: ignore[arg-type]
        assert not seen_in(told(caught.value))
        plan = client.plan("acme/safe", [INPUT, wrong])
        assert plan.invalid
        assert not seen_in(str(plan) + repr(plan.problems))


SHOWN: dict[str, Callable[[], object]] = {
    "Client": lambda: client_of("http://127.0.0.1:9"),
    "Config": lambda: client_of("http://127.0.0.1:9").config,
    "session": lambda: client_of("http://127.0.0.1:9").session,
    "Result": lambda: Result(0, INPUT, secret_inputs=frozenset({"pin"})),
    "failed Result": lambda: Result(
        0, INPUT, error=errors.ReplicateError(f"bad {CANARY['named']}"), secret_inputs=frozenset({"pin"})
    ),
    "Prediction": lambda: Prediction({"id": "p1", "input": INPUT, "webhook": WEBHOOK}),
    "SaveTo": lambda: SaveTo(f"ftp://me:{CANARY['store']}@host/a", options={"password": CANARY["option"]}),
    "Run": lambda: replicate_kit.resources._running.running.Run(webhook=WEBHOOK),
}


@pytest.mark.parametrize("name", SHOWN)
def test_reprs(name: str) -> None:
    thing = SHOWN[name]()
    assert not seen_in(f"{thing!r} {thing} {[thing]}")


@pytest.fixture
def safe(simulator: Simulator) -> Simulator:
    """A model that takes secrets and gives a file and a text that quotes one."""

    def draw(prompt: str, pin: str = "", api_key: str = "", login: dict[str, str] | None = None) -> str:
        return f"{prompt} for {api_key}"

    def fail(prompt: str, pin: str = "", api_key: str = "", login: dict[str, str] | None = None) -> str:
        raise ValueError(f"{api_key} and {login} are not valid")

    simulator.model("acme/safe")(draw)
    simulator.model("acme/failing")(fail)
    return simulator


@pytest.mark.parametrize("model", ["acme/safe", "acme/failing", "demo/painter"])
@pytest.mark.parametrize("cause", ["save_to", "SaveTo"])
def test_what_a_run_leaves_behind(safe: Simulator, tmp_path: Path, model: str, cause: str) -> None:
    client = Client(CANARY["token"], backend=safe, poll_interval=0)
    row = {name: value for name, value in INPUT.items() if name != "login"}
    place: Any = tmp_path / "files" if cause == "save_to" else SaveTo(tmp_path / "files", manifest=True)
    options = {"check_input": False, "errors": "collect", "save_to": place}
    results = list(
        client.map(
            model, [row, {**row, "prompt": f"use {row['api_key']}"}], journal=tmp_path / "j.sqlite", **options
        )
    )
    gallery.write(tmp_path / "page.html", {model: results})
    assert [each.input["api_key"] for each in results] == [row["api_key"]] * 2
    for each in results:
        assert not [mark for mark in seen_in(f"{each!r} {each.error}") if "declared" not in mark]
    for path in tmp_path.rglob("*"):
        held = "" if path.is_dir() or path.parent.name == "files" else path.read_bytes().decode("latin-1")
        found = [mark for mark in seen_in(f"{path.name} {held}") if "declared" not in mark]
        assert not found or (path.name.startswith("j.sqlite") and set(found) <= {"named+7f3a"})


@pytest.mark.parametrize("field", ["api_key", "pin"])
@pytest.mark.parametrize("how", ["run", "map"])
def test_a_template_that_names_a_secret_input_is_refused(
    serve: Any, tmp_path: Path, field: str, how: str
) -> None:
    client = client_of(serve(quoting(500, "json")).url)
    with pytest.raises(errors.ConfigError, match=rf"\{{{field}\}} would put a secret input into"):  # noqa: PT012
        if how == "run":
            client.run("acme/safe", INPUT, save_to=tmp_path / f"{{{field}}}-{{prediction_id}}")
        else:
            mapped(client, save_to=tmp_path / f"{{{field}}}-{{row}}")


def test_a_cassette(tmp_path: Path, safe: Simulator) -> None:
    path = tmp_path / "cassette.json"
    with Cassette(path, mode="record") as cassette:
        client = Client(
            CANARY["token"], backend=safe, plugins=[cassette], headers={"X-Team": CANARY["header"]}
        )
        client.run("acme/safe", {"prompt": "a", "api_key": CANARY["named"]}, webhook=WEBHOOK)
    assert not seen_in(path.read_text("utf-8"))


COMMANDS = {
    "run": ("run", "acme/safe", "prompt=a", f"api_key={CANARY['named']}", f"pin={CANARY['declared']}"),
    "stream": ("stream", "acme/safe", "prompt=a", f"api_key={CANARY['named']}"),
    "get": ("predictions", "get", "p1"),
    "map": ("map", "acme/safe", "rows.csv"),
}


@pytest.mark.parametrize("debug", [(), ("--debug",)])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line(serve: Any, tmp_path: Path, command: str, debug: tuple[str, ...]) -> None:
    url = serve(quoting(422, "json")).url
    (tmp_path / "rows.csv").write_text(f'prompt,api_key,pin\na,"{CANARY["named"]}","{CANARY["declared"]}"\n')
    variables = {"REPLICATE_API_TOKEN": CANARY["token"], "REPLICATE_BASE_URL": url, "REPLICATE_LOG": "debug"}
    done = subprocess.run(
        [sys.executable, "-m", "replicate_kit", *debug, *COMMANDS[command]],
        env={**os.environ, **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "422" in done.stdout + done.stderr
    assert not seen_in(done.stdout + done.stderr)


@pytest.mark.parametrize("bad", ["\ud800", float("nan"), {1, 2}])
def test_an_input_that_cannot_be_written_leaves_no_secret_in_the_chain(bad: Any) -> None:
    with pytest.raises(errors.InputError) as caught:
        Client("r8_any").request(
            "POST", "predictions", json={"input": {"api_key": "hunter2secret", "prompt": bad}}
        )
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2secret" not in repr(error) + str(error) + repr(getattr(error, "object", ""))
        error = error.__cause__ or error.__context__
