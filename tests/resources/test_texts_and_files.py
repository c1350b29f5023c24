"""A file where the model takes a text is refused before it is paid for, wherever the input is given."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from replicate_kit import Client
from replicate_kit.errors import InputError
from replicate_kit.simulator import Simulator

FILES: dict[str, Callable[[Path], Any]] = {
    "a path": lambda folder: folder / "prompt.txt",
    "bytes": lambda _: b"a wombat",
    "a bytearray": lambda _: bytearray(b"a wombat"),
    "a memory view": lambda _: memoryview(b"a wombat"),
    "an open file": lambda folder: (folder / "prompt.txt").open("rb"),
    "a file in memory": lambda _: io.BytesIO(b"a wombat"),
    "a text in memory": lambda _: io.StringIO("a wombat"),
    "a picture": lambda _: Image.new("RGB", (1, 1)),
    "a path that is not there": lambda folder: folder / "nothing.txt",
}


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator()

    @simulator.model("acme/say")
    def say(
        prompt: str, words: list[str] | None = None, anything: Any = None, image: Path | None = None
    ) -> str:
        return f"{prompt} {words} {anything}"

    return simulator


@pytest.fixture
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    (tmp_path / "prompt.txt").write_text("a wombat")
    value = FILES[request.param](tmp_path)
    yield value
    if isinstance(value, io.IOBase):
        value.close()


HOW: dict[str, Callable[[Client, dict[str, Any]], Any]] = {
    "run": lambda client, input: client.run("acme/say", input),
    "stream": lambda client, input: list(client.stream("acme/say", input)),
    "use": lambda client, input: client.use("acme/say")(**input),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("given", FILES, indirect=True)
@pytest.mark.parametrize("how", HOW)
def test_a_file_is_no_prompt(how: str, given: Any, simulator: Simulator) -> None:
    client = Client(backend=simulator)
    for input in ({"prompt": given}, {"prompt": "a", "words": ["b", given]}):
        with pytest.raises(InputError, match=r"input\.(prompt|words\.1): Takes text, not a file"):
            HOW[how](client, input)
    assert client.predictions.list().results == []
    assert not simulator.calls["files.create"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("given", FILES, indirect=True)
def test_a_row_with_a_file_as_its_prompt_is_not_created(given: Any, simulator: Simulator) -> None:
    client = Client(backend=simulator)
    rows = [{"prompt": "first"}, {"prompt": given}, {"prompt": "a", "words": ["b", given]}]
    first, second, third = client.map("acme/say", rows)
    assert first.status == "succeeded"
    assert "input.prompt: Takes text, not a file" in str(second.error)
    assert "input.words.1: Takes text, not a file" in str(third.error)
    assert len(client.predictions.list().results) == 1
    assert not simulator.calls["files.create"]


def test_what_may_be_a_file_is_sent_as_one(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    client = Client(backend=simulator)
    client.run("acme/say", {"prompt": "a", "anything": b"b", "image": tmp_path / "a.png"})
    client.run("acme/say", {"prompt": b"a"}, check_input=False)
    assert [*client.map("acme/say", [{"prompt": b"a"}], check_input=False)]
    assert len(client.predictions.list().results) == 3
