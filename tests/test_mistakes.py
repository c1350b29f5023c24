"""Usual mistakes, as people make them: what they are shown ends at their own line."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trio

import replicate_kit
from replicate_kit import Client, OutputIterator, async_paginate, paginate
from replicate_kit.compat import replicate as stand_in
from replicate_kit.errors import ReplicateError, UnknownOption
from replicate_kit.simulator import Simulator

PROMPT = {"prompt": "sea"}
FAILING = {"prompt": "sea", "failure_rate": 1}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REPLICATE_API_TOKEN", "REPLICATE_KIT_TRACEBACKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mock() -> Client:
    return Client(backend="mock")


MISTAKES: dict[str, Callable[[Client], Any]] = {
    "a misspelt model": lambda mock: mock.run("demo/paintre", PROMPT),
    "no model's name": lambda mock: mock.run("painter", PROMPT),
    "a missing input": lambda mock: mock.run("demo/painter", {}),
    "an input of another type": lambda mock: mock.run("demo/painter", {**PROMPT, "width": "wide"}),
    "an input that cannot be sent": lambda mock: mock.run("demo/painter", {"prompt": object()}),
    "an unknown input": lambda mock: mock.run("demo/painter", {**PROMPT, "promt": "sea"}),
    "an unknown option": lambda mock: mock.run("demo/painter", PROMPT, tmeout=5),  # type: ignore[call-arg]
    "an option's value": lambda mock: mock.run("demo/painter", PROMPT, timeout="5"),  # type: ignore[arg-type]
    "an unknown protocol": lambda mock: mock.run("demo/painter", PROMPT, save_to="moon://bucket/out"),
    "no token": lambda mock: Client(backend="http").run("demo/painter", PROMPT),
    "a token that cannot be sent": lambda mock: Client("r8 any"),
    "an unknown backend": lambda mock: Client(backend="moon"),
    "an option of another client": lambda mock: Client(api_key="r8_any"),
    "headers that are none": lambda mock: mock.with_options(headers=5),  # type: ignore[arg-type]
    "a webhook without https": lambda mock: mock.run("demo/painter", PROMPT, webhook="example.com/hook"),
    "a model that fails": lambda mock: mock.run("demo/flaky", FAILING),
    "the status of what failed": lambda mock: failed(mock).raise_for_status(),
    "what failed, item by item": lambda mock: list(failed(mock).output_iterator()),
    "what failed, as a text": lambda mock: str(OutputIterator(failed(mock))),
    "what failed, as part of a text": lambda mock: OutputIterator(failed(mock)) + ".",
    "what failed, by a method of texts": lambda mock: OutputIterator(failed(mock)).upper(),
    "a stream": lambda mock: list(mock.stream("demo/paintre", PROMPT)),
    "a function's input": lambda mock: mock.use("demo/painter")(prompt=5),
    "pages": lambda mock: list(paginate(mock.models.list, sort_by="x")),
    "a listing": lambda mock: mock.models.list(sort_direction="x"),  # type: ignore[arg-type]
    "rows that are none": lambda mock: mock.map("demo/painter", 42),  # type: ignore[arg-type]
    "an option of map": lambda mock: mock.map("demo/painter", [PROMPT], concurency=3),  # type: ignore[call-arg]
    "a plan": lambda mock: mock.plan("demo/paintre", [PROMPT]),
    "a batch": lambda mock: list(mock.map("demo/paintre", [PROMPT])),
    "a batch's block": lambda mock: mock.map("demo/paintre", [PROMPT]).__enter__(),
    "a batch that stops": lambda mock: list(mock.map("demo/flaky", [FAILING], errors="raise")),
    "a batch's rows": lambda mock: list(mock.map("demo/flaky", [{}], errors="raise")),
    "code of the official client": lambda mock: stand_in.Client("r8_any", backend="mock").run(
        "demo/paintre", PROMPT
    ),
}


def failed(mock: Client) -> Any:
    """A prediction that has failed."""
    prediction = mock.predictions.create("demo/flaky", FAILING)
    prediction.wait()
    return prediction


async def _each(source: Any) -> None:
    async for _ in source:
        pass


async def _block(batch: Any) -> None:
    async with batch:
        pass


AWAITED: dict[str, Callable[[Client], Coroutine[Any, Any, Any]]] = {
    "a misspelt model": lambda mock: mock.async_run("demo/paintre", PROMPT),
    "a missing input": lambda mock: mock.async_run("demo/painter", {}),
    "an unknown protocol": lambda mock: mock.async_run("demo/painter", PROMPT, save_to="moon://bucket/out"),
    "no token": lambda mock: Client(backend="http").async_run("demo/painter", PROMPT),
    "a model that fails": lambda mock: mock.async_run("demo/flaky", FAILING),
    "a stream": lambda mock: _each(mock.async_stream("demo/paintre", PROMPT)),
    "pages": lambda mock: _each(async_paginate(mock.models.async_list, sort_by="x")),
    "a plan": lambda mock: mock.async_plan("demo/paintre", [PROMPT]),
    "a batch": lambda mock: _each(mock.async_map("demo/paintre", [PROMPT])),
    "a batch's block": lambda mock: _block(mock.async_map("demo/paintre", [PROMPT])),
}


def ours(error: BaseException) -> list[str]:
    """The frames of the package in an error's traceback, and in those of the errors that are shown before it."""
    found, each = [], error
    while each is not None:
        for frame, _ in traceback.walk_tb(each.__traceback__):
            name = str(frame.f_globals.get("__name__"))
            if name.startswith(("replicate_kit.", "replicate_kit_")):
                found.append(f"{name}.{frame.f_code.co_name}")
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_show_the_users_line(mistake: str, mock: Client) -> None:
    with pytest.raises(ReplicateError) as caught:
        MISTAKES[mistake](mock)
    # Methods that call others for the user may show themselves.
    assert len(ours(caught.value)) <= 2
    assert len("".join(traceback.format_exception(caught.value)).splitlines()) < 30


@pytest.mark.parametrize("mistake", MISTAKES)
def test_all_of_them_are_shown_in_full(mistake: str, mock: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReplicateError) as caught:
        MISTAKES[mistake](mock)
    short = len(ours(caught.value))
    monkeypatch.setenv("REPLICATE_KIT_TRACEBACKS", "full")
    with pytest.raises(ReplicateError) as caught:
        MISTAKES[mistake](mock)
    longer = len(ours(caught.value)) - short
    assert longer > 0 or mistake == "the status of what failed"  # one frame, which is the user's to see


@pytest.mark.parametrize("run", [asyncio.run, lambda main: trio.run(lambda: main)], ids=["asyncio", "trio"])
@pytest.mark.parametrize("mistake", AWAITED)
def test_mistakes_in_event_loops(mistake: str, run: Callable[[Any], Any], mock: Client) -> None:
    with pytest.raises(ReplicateError) as caught:
        run(AWAITED[mistake](mock))
    assert ours(caught.value) == []


def test_mistakes_in_threads(mock: Client) -> None:
    caught: list[ReplicateError] = []

    def work() -> None:
        try:
            mock.run("demo/paintre", PROMPT)
        except ReplicateError as error:
            caught.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [ours(error) for error in caught] == [[]] * 4


def test_the_users_own_function_is_shown(mock: Client) -> None:
    def told(prediction: object) -> None:
        mock.run("demo/paintre", PROMPT)

    with pytest.raises(ReplicateError) as caught:
        mock.run("demo/painter", PROMPT, progress=told)
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][-1] == "told"
    assert ours(caught.value) == []


def test_a_bug_in_the_users_own_function_keeps_every_frame(mock: Client) -> None:
    def told(prediction: object) -> None:
        raise LookupError("a bug")

    with pytest.raises(LookupError) as caught:
        mock.run("demo/painter", PROMPT, progress=told)
    assert len(ours(caught.value)) > 2


def test_functions_of_the_package_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReplicateError) as caught:
        replicate_kit.run("", PROMPT)
    assert ours(caught.value) == []


def test_the_mock_names_its_models(mock: Client) -> None:
    with pytest.raises(
        ReplicateError, match=r"The simulator has demo/slow, .*Did you mean 'demo/painter'\?$"
    ):
        mock.run("demo/paintre", PROMPT)


@pytest.mark.parametrize("model", ["demo/painter", "demo/poet", "demo/musician", "demo/flaky", "demo/slow"])
def test_demo_models_take_a_prompt(model: str, mock: Client) -> None:
    inputs = mock.models.get(model).latest_version.openapi_schema["components"]["schemas"]["Input"][
        "properties"
    ]
    assert "prompt" in inputs


@pytest.mark.parametrize("input", ["text", "prompt", None])
def test_texts_that_may_fill_several_inputs_are_told_which(input: str | None) -> None:
    def of_text(seconds: int = 1, text: str = "") -> str:
        return text

    def of_prompt(text: str = "", prompt: str = "") -> str:
        return prompt

    def of_number(seconds: int = 1) -> int:
        return seconds

    with Simulator() as simulator:
        simulator.model("acme/echo")({"text": of_text, "prompt": of_prompt, None: of_number}[input])
        with pytest.raises(ReplicateError, match=rf"none is required.*\[{{'{input or 'prompt'}': …}}\]"):
            list(Client(backend=simulator).map("acme/echo", ["a", "b"]))


def test_an_option_of_another_name_is_unknown_as_any_other_is() -> None:
    with pytest.raises(UnknownOption, match=r"file\.url"):
        Client(backend="mock").run("demo/poet", {"prompt": "sea"}, use_file_output=False)  # type: ignore[call-arg]
