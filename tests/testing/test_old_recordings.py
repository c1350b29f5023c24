"""Recordings of before requests had types of their own: they still answer, and the same request has the same key."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import Client
from replicate_kit.errors import NotFound
from replicate_kit.simulator import Simulator
from replicate_kit.testing import Cassette

OLD = Path(__file__).with_name("recorded_before_the_door.json")


def use(client: Client) -> Any:
    """Ask with bodies and queries of every kind; give what is seen of the answers."""
    shouted = client.predictions.create(model="acme/shout", input={"text": "säa & <sea>"}, wait=30)
    events = [str(event) for event in client.stream("acme/shout", {"text": "sea"})]
    uploaded = client.files.create(b"hello", filename="söme file.txt", metadata={"a": "ü"})
    params = [("query", "a b+c"), ("x", "1"), ("query", "é"), ("empty", ""), ("token", "hunter2")]
    account = client.request("GET", "account", params=params).json()  # type: ignore[arg-type]
    hardware = client.request("GET", "h%61rdware").json()
    refused = [is_refused(client, each) for each in BODIES]
    return shouted.output, events, uploaded.size, account["username"], len(hardware), refused


BODIES: list[dict[str, Any]] = [
    {"data": {"a": "1 2", "b": "ü"}},
    {"content": "text ü"},
    {"content": b"--b\r\nx\r\n--b--", "headers": {"content-type": "multipart/form-data; boundary=b"}},
    {"files": {"content": ("a.txt", b"abc")}, "data": {"m": "n", "o": "p"}},
]


def is_refused(client: Client, body: dict[str, Any]) -> bool:
    with pytest.raises(NotFound):
        client.request("POST", "nothing", **body)
    return True


def keys(path: Path) -> list[str]:
    return [each["key"] for each in json.loads(path.read_text("utf-8"))["exchanges"]]


def test_a_recording_made_with_httpxs_requests_answers_ours(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    shutil.copy(OLD, path)
    with Cassette(path, mode="replay", strict=True) as cassette:
        found = use(Client("r8_other", backend="mock", plugins=[cassette], poll_interval=0.01))
    assert found == (["SÄA & <SEA>", "!"], ["SEA", "!", ""], 5, "local", 7, [True] * 4)


def test_keys_are_what_they_were(tmp_path: Path) -> None:
    simulator = Simulator()

    @simulator.model("acme/shout")
    def shout(text: str) -> Iterator[str]:
        yield text.upper()
        yield "!"

    path = tmp_path / "new.json"
    with simulator, Cassette(path) as cassette:
        use(Client("r8_secret", backend=simulator, plugins=[cassette], poll_interval=0.01))
    streams = "GET https://stream.replicate.test/v1/streams/"
    assert [each for each in keys(path) if not each.startswith(streams)] == [
        each for each in keys(OLD) if not each.startswith(streams)
    ]
