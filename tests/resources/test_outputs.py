"""Outputs that come chunk by chunk: used as the text that they are, and shown by IPython and in notebooks."""

from __future__ import annotations

import copy
import json
import operator
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from replicate_kit import Client, FileOutput, OutputIterator
from replicate_kit.errors import ModelError, PredictionCanceled
from replicate_kit.schema import ConcatenateIterator
from replicate_kit.simulator import Simulator
from replicate_kit.testing.suites import Drive
from tests.notebooks import execute, nbformat
from tests.waiting import interrupt_when

TEXT = "0 1 2 "


@pytest.fixture
def more() -> Iterator[threading.Event]:
    """Set it, and `acme/pauses` goes on after its second chunk."""
    event = threading.Event()
    yield event
    event.set()


def words(count: int = 3) -> ConcatenateIterator[str]:
    for number in range(count):
        yield f"{number} "


def breaks() -> ConcatenateIterator[str]:
    yield "<some>"
    raise RuntimeError("out of memory")


def numbers(count: int = 3) -> Iterator[int]:
    yield from range(count)


def objects() -> Iterator[dict[str, str]]:
    yield {"mood": "glad"}


def shout(text: str) -> str:
    return text.upper()


def total(numbers: list[int]) -> int:
    return sum(numbers)


@pytest.fixture
def simulator(more: threading.Event, tmp_path: Path) -> Iterator[Simulator]:
    """A simulator with a model for each kind of output that comes chunk by chunk."""
    with Simulator() as simulator:
        for model in (words, breaks, numbers, objects, shout, total):
            simulator.model(f"acme/{model.__name__}")(model)

        @simulator.model("acme/pauses")
        def pauses() -> ConcatenateIterator[str]:
            yield from ("0 ", "1 ")
            more.wait()
            yield "2 "

        @simulator.model("acme/frames")
        def frames(fails: bool = False) -> Iterator[Path]:
            for number in range(2):
                frame = tmp_path / f"{number}.png"
                frame.write_bytes(b"\x89PNG")
                yield frame
            if fails:
                raise ValueError("no <paint>")

        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Client:
    return Client(backend=simulator, poll_interval=0.01)


def has_come(output: OutputIterator) -> list[Any]:
    """What is known to have come."""
    return dict(output.prediction).get("output") or []


# As a text.


TEXTS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "str": (str, TEXT),
    "whole": (lambda output: output.whole(), TEXT),
    "an f-string": (lambda output: f"{output}", TEXT),
    "an f-string with a format": (lambda output: f"{output:>8}", "  0 1 2 "),
    "%": (lambda output: "%s" % output, TEXT),  # noqa: UP031
    "join": ("".join, TEXT),
    "before a text": (lambda output: output + "x", "0 1 2 x"),
    "after a text": (lambda output: "x" + output, "x0 1 2 "),
    "twice": (lambda output: output + output, TEXT * 2),
    "a method": (lambda output: output.strip(), "0 1 2"),
    "a method that takes something": (lambda output: output.replace("1", "x"), "0 x 2 "),
    "a method with names": (lambda output: output.split(maxsplit=1), ["0", "1 2 "]),
    "in": (lambda output: "1 2" in output, True),
    "not in": (lambda output: "3" not in output, True),
    "==": (lambda output: output == TEXT, True),
    "== from the other side": (lambda output: TEXT == output, True),  # noqa: SIM300
    "!=": (lambda output: output != TEXT, False),
    "one of several": (lambda output: output in ("yes", TEXT), True),
    "a key": (lambda output: {TEXT: "found"}[output], "found"),
    "JSON with a default": (lambda output: json.dumps({"it": output}, default=str), '{"it": "0 1 2 "}'),
}


@pytest.mark.parametrize("use", TEXTS)
def test_it_is_used_as_the_text_that_it_is(client: Client, drive: Drive, use: str) -> None:
    using, expected = TEXTS[use]
    assert using(drive(client.async_run("acme/words", {}))) == expected


def test_it_is_matched_as_a_text(client: Client) -> None:
    match client.run("acme/words", {}):
        case "0 1 2 ":
            return
    pytest.fail("it is equal to the text")


def test_print_waits_for_the_text(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    print(client.run("acme/words", {}))
    assert capsys.readouterr().out == f"{TEXT}\n"


@pytest.mark.parametrize("use", sorted(TEXTS))
def test_a_text_that_fails_to_come_is_the_models_error(client: Client, use: str) -> None:
    with pytest.raises(ModelError, match="out of memory"):
        TEXTS[use][0](client.run("acme/breaks", {}))


# What Python itself refuses, with an error of its own: pandas, polars and pyarrow would take whatever has a length or
# indices for another thing than its chunks.
REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "its length": (len, r"OutputIterator' has no len\(\)"),
    "an index": (lambda output: output[0], "OutputIterator' object is not subscriptable"),
    "a part": (lambda output: output[:2], "OutputIterator' object is not subscriptable"),
    "JSON": (json.dumps, "OutputIterator is not JSON serializable"),
    "reading JSON": (json.loads, "must be str, .*not OutputIterator"),
    "a pattern": (lambda output: re.findall("1", output), "expected string .*OutputIterator"),
    "a number": (lambda output: output + 1, r'can only concatenate str \(not "int"\)'),
}


@pytest.mark.parametrize("use", REFUSED)
def test_what_takes_no_text_by_another_name_says_so(client: Client, use: str) -> None:
    using, said = REFUSED[use]
    with pytest.raises(TypeError, match=said):
        using(client.run("acme/words", {"count": 1}))


@pytest.mark.parametrize("use", [use for use in REFUSED if use not in ("a number", "reading JSON")])
def test_it_takes_what_str_makes_of_it(client: Client, use: str) -> None:
    REFUSED[use][0](str(client.run("acme/words", {})))


def test_attributes_that_a_text_has_not_either_are_missing(client: Client) -> None:
    words = client.run("acme/words", {})
    for name in ("uper", "keys", "__array__", "_repr_html_", "read"):
        assert not hasattr(words, name)
    with pytest.raises(AttributeError, match="no 'uper'"):
        _ = words.uper


NOT_TEXT: dict[str, Callable[[Any], Any]] = {
    "before a text": lambda output: output + "x",
    "after a text": lambda output: "x" + output,
    "before another": lambda output: "x" + output + output,
    "a method": lambda output: output.upper(),
}


@pytest.mark.parametrize("use", NOT_TEXT)
@pytest.mark.parametrize("model", ["acme/numbers", "acme/objects", "acme/frames"])
def test_an_output_that_is_no_text_says_what_gives_its_items(client: Client, model: str, use: str) -> None:
    with pytest.raises(TypeError, match=r"not one text: list\(output\) .* str\(output\)"):
        NOT_TEXT[use](client.run(model, {}))


ITEMS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "str": (str, "[0, 1, 2]"),
    "whole": (lambda output: output.whole(), [0, 1, 2]),
    "an f-string": (lambda output: f"{output:>10}", " [0, 1, 2]"),
    "in": (lambda output: 1 in output, True),
    "not in": (lambda output: 3 not in output, True),
    "==": (lambda output: output == "[0, 1, 2]", False),
    "a key": (lambda output: {output: 1}[output], 1),
}


@pytest.mark.parametrize("use", ITEMS)
def test_an_output_that_is_no_text_is_its_items(client: Client, drive: Drive, use: str) -> None:
    using, expected = ITEMS[use]
    assert using(drive(client.async_run("acme/numbers", {}))) == expected


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
@pytest.mark.parametrize("model", ["acme/words", "acme/numbers"])
def test_a_copy_is_as_much_of_a_text(client: Client, model: str, copied: Callable[[Any], Any]) -> None:
    output = client.run(model, {})
    whole = output.whole()  # a copy has another client, and no need of it then
    assert copied(output).whole() == whole


def test_two_that_are_the_same_text_are_equal(client: Client) -> None:
    one, other = client.run("acme/words", {}), client.run("acme/words", {})
    assert one == other
    assert len({one, other, str(one)}) == 1
    assert client.run("acme/numbers", {}) != client.run("acme/numbers", {})


def test_an_iterator_without_a_schema_is_a_text(client: Client) -> None:
    prediction = client.predictions.create(model="acme/words", input={})
    prediction.schema = None
    assert str(OutputIterator(prediction)) == TEXT


CHUNKS: dict[str, Callable[[Any], Any]] = {
    "list": list,
    "tuple": tuple,
    "a starred list": lambda output: [*output],
    "pandas' Series": lambda output: pd.Series(output).to_list(),
    "pandas' DataFrame": lambda output: pd.DataFrame({"a": output})["a"].to_list(),
    "polars": lambda output: pl.Series(output).to_list(),
    "Arrow": lambda output: pa.array(output).to_pylist(),
}


@pytest.mark.parametrize("taker", CHUNKS)
def test_what_iterates_has_the_chunks(client: Client, taker: str) -> None:
    assert list(CHUNKS[taker](client.run("acme/words", {}))) == ["0 ", "1 ", "2 "]


LOOKS: dict[str, Callable[[Any], Any]] = {
    "whether it is true": bool,
    "a hint at its length": lambda output: operator.length_hint(output) == 0,
    "repr": repr,
    "a method that is not called": lambda output: output.upper,
}


@pytest.mark.parametrize("look", LOOKS)
def test_looking_does_not_wait(client: Client, look: str) -> None:
    words = client.run("acme/pauses", {})  # nobody lets it end
    assert LOOKS[look](words)
    assert next(iter(words)) == "0 "
    words.prediction.cancel()


# As the input of another model.


def test_a_text_is_the_input_of_the_next_model(client: Client, drive: Drive) -> None:
    async def chain() -> Any:
        return await client.async_run("acme/shout", {"text": await client.async_run("acme/words", {})})

    assert drive(chain()) == TEXT.upper()


def test_items_are_the_input_of_the_next_model(client: Client, drive: Drive) -> None:
    async def chain() -> Any:
        return await client.async_run("acme/total", {"numbers": await client.async_run("acme/numbers", {})})

    assert drive(chain()) == 3


def test_a_text_is_the_input_of_a_row(client: Client) -> None:
    with client.map("acme/shout", [{"text": client.run("acme/words", {})}, {"text": TEXT}]) as batch:
        assert [result.output for result in batch] == [TEXT.upper()] * 2
    assert client.predictions.list().results  # equal rows are one prediction


def test_a_failed_output_is_no_input(client: Client, simulator: Simulator, drive: Drive) -> None:
    breaks = drive(client.async_run("acme/breaks", {}))
    with pytest.raises(ModelError, match="out of memory"):
        drive(client.async_run("acme/shout", {"text": breaks}))
    assert simulator.created == 1


# As it is shown.


def shown(output: Any) -> dict[str, str]:
    return output._repr_mimebundle_()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("model", "input", "expected"),
    [
        ("acme/words", {}, TEXT),
        ("acme/words", {"count": 0}, ""),
        ("acme/numbers", {}, "[0, 1, 2]"),
        ("acme/numbers", {"count": 0}, "[]"),
        ("acme/objects", {}, "[{'mood': 'glad'}]"),
    ],
)
def test_a_display_waits_for_all(client: Client, model: str, input: Any, expected: str) -> None:
    output = client.run(model, input)
    assert shown(output) == {"text/plain": expected}
    assert shown(output) == {"text/plain": expected}


def test_files_are_shown_as_such(client: Client) -> None:
    frames = client.run("acme/frames", {})
    page = shown(frames)
    assert page["text/html"].count('<img src="data:image/png;base64,iVBORw=="') == 2
    assert page["text/plain"] == repr(list(frames))
    assert all(isinstance(frame, FileOutput) for frame in frames)


def test_what_came_before_a_failure_is_shown_with_it(client: Client) -> None:
    breaks = client.run("acme/breaks", {})
    outcome = f"<OutputIterator of <Prediction: {breaks.prediction.id}>: failed: out of memory>"
    assert shown(breaks) == {"text/plain": f"<some>\n{outcome}"}
    page = shown(client.run("acme/frames", {"fails": True}))
    assert page["text/html"].count("<img ") == 2
    assert "failed: no &lt;paint&gt;&gt;</pre>" in page["text/html"]
    assert page["text/plain"].endswith("failed: no <paint>>")


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("cancel_on_exit", [True, False])
def test_an_interrupted_display_shows_what_had_come(
    client: Client, more: threading.Event, cancel_on_exit: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses = client.run("acme/pauses", {}, cancel_on_exit=cancel_on_exit)
    status = "canceled" if cancel_on_exit else "processing"
    interrupt_when(lambda: len(has_come(pauses)) == 2)
    with pytest.raises(KeyboardInterrupt):
        shown(pauses)
    outcome = f"<OutputIterator of <Prediction: {pauses.prediction.id}>: {status}"
    assert capsys.readouterr().out == f"0 1 \n{outcome}>\n"
    # It is as usable as before: what had come is still there, and what runs on is had by asking again.
    more.set()
    if cancel_on_exit:
        assert shown(pauses)["text/plain"].startswith(f"0 1 \n{outcome}: ")
        with pytest.raises(PredictionCanceled):
            str(pauses)
    else:
        assert shown(pauses) == {"text/plain": TEXT}
    assert client.run("acme/words", {}) == TEXT


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_display_in_an_event_loop_says_what_to_write(
    client: Client, simulator: Simulator, library: str
) -> None:
    async def cells() -> None:
        words = await client.async_run("acme/words", {})
        asked = len(simulator.requests)
        assert shown(words)["text/plain"].endswith("Write: await output.async_whole()>")
        assert len(simulator.requests) == asked
        assert await words.async_whole() == TEXT
        assert shown(words) == {"text/plain": TEXT}

    anyio.run(cells, backend=library)


def test_within_a_list_it_is_shown_without_asking_anybody(client: Client, simulator: Simulator) -> None:
    words, said = client.run("acme/words", {}), []
    asked, status = len(simulator.requests), words.prediction.status
    words._repr_pretty_(SimpleNamespace(text=said.append), False)
    assert len(simulator.requests) == asked
    words.whole()
    words._repr_pretty_(SimpleNamespace(text=said.append), False)
    assert said == [f"<OutputIterator of <Prediction: {words.prediction.id}>: {status}>", TEXT]


# In IPython and in notebooks, as their users have it.


SETUP = """
import os, signal, threading, time
from collections.abc import Iterator
from pathlib import Path
from replicate_kit import Client
from replicate_kit.schema import ConcatenateIterator
from replicate_kit.simulator import Simulator
simulator, more = Simulator(), threading.Event()
client = Client(backend=simulator, poll_interval=0.01)
@simulator.model("acme/words")
def words() -> ConcatenateIterator[str]:
    yield from ("0 ", "1 ", "2 ")

@simulator.model("acme/pauses")
def pauses() -> ConcatenateIterator[str]:
    yield from ("0 ", "1 ")
    more.wait()

@simulator.model("acme/breaks")
def breaks() -> ConcatenateIterator[str]:
    yield "some"
    raise RuntimeError("out of memory")

@simulator.model("acme/frames")
def frames() -> Iterator[Path]:
    Path("0.png").write_bytes(b"PNG")
    yield Path("0.png")

def interrupt():
    while len(dict(cut.prediction).get("output") or ()) < 2:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

"""
CELLS = [
    'client.run("acme/words", {})',
    'client.run("acme/breaks", {})',
    'cut = client.run("acme/pauses", {}); threading.Thread(target=interrupt).start()',
    "cut",
    "cut",
    '"text: " + client.run("acme/words", {})',
]


@pytest.mark.usefixtures("interruptible")
def test_ipython_shows_it_and_goes_on_after_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text(SETUP)
    shell = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"]
    ran = subprocess.run(
        [*shell, f"--ipython-dir={tmp_path}", "-i", "setup.py"],
        input="\n".join([*CELLS, "more.set()", "exit()", ""]),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    said = ran.stdout
    for part in (": 0 1 2 \n", "some\n<OutputIterator of ", "failed: out of memory>", ": canceled>\n"):
        assert part in said
    assert "KeyboardInterrupt" in said
    assert said.count("0 1 \n<OutputIterator of ") == 2
    assert (
        said.index("KeyboardInterrupt")
        < said.index("was canceled while it ran")
        < said.index("'text: 0 1 2 '")
    )


@pytest.mark.usefixtures("interruptible")
def test_a_notebook_shows_it_and_goes_on_after_ctrl_c(tmp_path: Path) -> None:
    cells = [
        nbformat.v4.new_code_cell(source, metadata={"tags": ["raises-exception"]})
        for source in (
            SETUP,
            *CELLS,
            'client.run("acme/frames", {})',
            'await client.async_run("acme/words", {})',
            'await (await client.async_run("acme/words", {})).async_whole()',
        )
    ]
    _, words, breaks, _, cut, again, text, frames, in_loop, whole = execute(
        nbformat.v4.new_notebook(cells=cells), tmp_path
    )
    assert words[0]["data"] == {"text/plain": TEXT}
    assert breaks[0]["data"]["text/plain"].startswith("some\n<OutputIterator of ")
    printed, interrupted = cut
    assert printed["text"].startswith("0 1 \n<OutputIterator of ")
    assert interrupted["ename"] == "KeyboardInterrupt"
    assert "is now 'canceled'" in "".join(interrupted["traceback"])
    assert again[0]["data"]["text/plain"].startswith("0 1 \n<OutputIterator of ")
    assert text[0]["data"] == {"text/plain": "'text: 0 1 2 '"}
    assert '<img src="data:image/png;base64,' in frames[0]["data"]["text/html"]
    assert "Write: await output.async_whole()" in in_loop[0]["data"]["text/plain"]
    assert whole[0]["data"] == {"text/plain": "'0 1 2 '"}
