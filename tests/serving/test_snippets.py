"""The code that the page has for a form: it runs as it stands, whatever is written in the form."""

from __future__ import annotations

import ast
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit.schema import Field
from replicate_kit.serving import Server
from replicate_kit.serving._snippets import snippets
from replicate_kit.simulator import Simulator

INPUTS: list[dict[str, Any]] = [
    {"text": 'it\'s "said" `so`'},
    {"text": r"C:\new\table \\ \' \" \u0041"},
    {"text": "one\ntwo\r\n\tthree\n"},
    {"text": "$HOME ${HOME} $(id) !! !x %s {text} {{}}"},
    {"text": "</script><!-- 🎉 é \u2028 \u202e \x7f \ufeff"},
    {"text": "@file"},
    {"text": "x", "count": -3, "weight": 1e-9, "flag": False, "nothing": None, "list": [], "object": {}},
    {"text": "", "list": [1, True, None, ["'"], {"a b": {"$": [0.5]}}], "object": {"": 'x"'}},
    {"text": "long " * 10_000},
    {"text": "it's\n$HOME `x` $(x) \\ END\n!! é\n" * 10_000},
]
RUN = {"python": [sys.executable, "-"], "curl": ["sh"]}  # by standard input: an argument has its limits


def publish(simulator: Simulator) -> None:
    for name in ("acme/echo", "acme/by-version"):

        @simulator.model(name, official=name == "acme/echo")
        def echo(
            text: str,
            count: int = 0,
            weight: float = 0,
            flag: bool = True,
            nothing: str | None = None,
            list: list[Any] | None = None,
            object: dict[str, Any] | None = None,
            pin: Annotated[str, Field(format="password")] = "",
        ) -> str:
            return text


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(publish, https=False) as server:
        yield server


def asked_for(server: Server, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/_page/snippets", json=body)


def run(language: str, code: str) -> str:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("REPLICATE_", "COVERAGE_"))
    }
    done = subprocess.run(
        RUN[language],
        input=code.encode(),
        capture_output=True,
        timeout=60,
        check=False,
        env={
            **environment,
            "REPLICATE_API_TOKEN": "r8_any",
            "REPLICATE_KIT_BACKEND": "mock",
            "PYTHONUTF8": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize("language", RUN)
@pytest.mark.parametrize("input", INPUTS, ids=range(len(INPUTS)))
def test_it_creates_what_the_form_would(language: str, input: dict[str, Any], server: Server) -> None:
    code = asked_for(server, version="acme/echo", input=input).json()[language]
    printed, created = run(language, code), server.simulator.recent(1)[0]
    assert created["input"] == input
    given = printed.removesuffix("\n") if language == "python" else json.loads(printed)["output"]
    assert given == input["text"]


@pytest.mark.parametrize("language", RUN)
def test_a_model_that_runs_by_version_only(language: str, server: Server) -> None:
    model = next(each for each in server.simulator.published() if each["name"] == "by-version")
    version = f"acme/by-version:{model['latest_version']['id']}"
    run(language, asked_for(server, version=version, input={"text": "sea"}).json()[language])
    assert server.simulator.recent(1)[0]["model"] == "acme/by-version"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda each: st.lists(each) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), each),
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES))
def test_any_value_is_quoted(input: dict[str, Any]) -> None:
    found = snippets("http://[::1]:8000", "acme/echo", input)
    keywords = [each for each in ast.walk(ast.parse(found["python"])) if isinstance(each, ast.keyword)]
    assert [ast.literal_eval(each.value) for each in keywords] == ["http", "http://[::1]:8000", input]
    words = shlex.split(found["curl"].replace("\\\n", ""))
    assert words[2] == "http://[::1]:8000/v1/predictions"
    assert json.loads(words[-1]) == {"version": "acme/echo", "input": input}


@pytest.mark.parametrize("name", ["api_key", "pin"], ids=["by its name", "by the schema"])
def test_secret_inputs_are_left_out(name: str, server: Server) -> None:
    answer = asked_for(server, version="acme/echo", input={"text": "sea", name: "hunter2"})
    assert "hunter2" not in answer.text
    assert "[secret]" in answer.json()["curl"]


def test_it_names_the_address_by_which_the_page_came(server: Server) -> None:
    host = httpx.URL(server.url).netloc.decode().replace("127.0.0.1", "localhost")
    body = {"version": "acme/echo", "input": {}}
    found = httpx.post(f"{server.url}/_page/snippets", json=body, headers={"host": host}).json()
    assert all(f"http://{host}" in code for code in found.values())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"version": 1, "input": {}}', b'{"version": "a/b", "input": []}',
             b'{"version": "a/b", "input": {"x": NaN}}', b'{"version": "a/b", "input": {"x": "\\ud800"}}',
             b"[" * 100_000, b" " * 1_100_000]
)  # fmt: skip
def test_other_bodies_are_refused(body: bytes, server: Server) -> None:
    answer = httpx.post(f"{server.url}/_page/snippets", content=body)
    assert answer.status_code == 400
    assert answer.json()["detail"]
