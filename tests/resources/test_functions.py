"""`use`: a model as a function, with its inputs as parameters; and inputs that are kept in a dataclass."""

from __future__ import annotations

import dataclasses
import inspect
import pydoc
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.errors import InputError, NotFound
from replicate_kit.schema import ConcatenateIterator
from replicate_kit.simulator import Simulator
from replicate_kit.testing.suites import Drive

Connect = Callable[..., tuple[Client, list[httpx.Request]]]


@pytest.fixture
def simulator(simulator: Simulator) -> Simulator:
    @simulator.model("acme/shout")
    def shout(text: str, times: int = 1) -> str:
        return text.upper() + "!" * times

    @simulator.model("acme/words")
    def words(count: int) -> ConcatenateIterator[str]:
        for number in range(count):
            yield f"{number} "

    @simulator.model("acme/numbers")
    def numbers(count: int) -> Iterator[int]:
        yield from range(count)

    return simulator


def test_a_model_is_called_like_a_function(client: Client, drive: Drive) -> None:
    shout = drive(client.async_use("acme/shout"))
    assert shout(text="hi", times=2) == "HI!!"
    assert drive(shout.async_run(text="hi")) == "HI!"


def test_its_parameters_are_the_models_inputs(client: Client) -> None:
    shout = client.use("acme/shout")
    assert str(inspect.signature(shout)) == "(*, text: str, times: int = 1) -> str"
    assert repr(shout) == f"<ModelFunction acme/shout{inspect.signature(shout)}>"
    assert inspect.signature(client.use("acme/words")).return_annotation is str
    assert inspect.signature(client.use("acme/numbers")).return_annotation == Iterator[int]


def test_help_tells_of_the_inputs(client: Client) -> None:
    paint = client.use("demo/painter")
    assert paint.__name__ == "painter"
    assert paint.__doc__ is not None
    assert paint.__doc__.startswith("Run demo/painter.\n\nInputs:\n    prompt: ")
    assert (
        "num_outputs" in pydoc.render_doc(paint, renderer=pydoc.plaintext) or "num_outputs" in paint.__doc__
    )


def test_a_prediction_is_created_or_streamed(client: Client, drive: Drive) -> None:
    words = client.use("acme/words")
    assert drive(words.async_create(count=2)).model == "acme/words"

    async def stream() -> str:
        return "".join([str(event) async for event in words.async_stream(count=3)])

    assert drive(stream()) == "0 1 2 "


def test_a_wrong_input_is_refused_before_it_is_sent(client: Client, drive: Drive) -> None:
    shout = client.use("acme/shout")
    for call in (shout.async_run, shout.async_create):
        with pytest.raises(InputError, match="text is required"):
            drive(call(times=1))
    assert len(client.predictions.list()) == 0


def test_inputs_that_are_not_named_are_an_error_that_shows_how(client: Client) -> None:
    with pytest.raises(TypeError, match=r"^Inputs are passed by name: shout\(text='hi'\)\.$"):
        client.use("acme/shout")("hi")


def test_options_hold_for_each_call(client: Client) -> None:
    looked: list[str] = []
    shout = client.use("acme/shout", wait=False, progress=lambda prediction: looked.append(prediction.status))
    shout(text="a")
    assert looked[-1] == "succeeded"
    with pytest.raises(TypeError, match="no option 'wiat'"):
        client.use("acme/shout", wiat=True)  # type: ignore[call-arg]


def test_options_hold_for_what_is_only_created_too(connect: Connect, prediction: Any, drive: Drive) -> None:
    client, requests = connect({"owner": "acme", "name": "shout", "is_official": True}, prediction())
    shout = client.use("acme/shout", cancel_after=60, webhook="https://example.com/hook")
    assert drive(shout.async_create(text="hi")).id == "p1"
    assert requests[1].headers["cancel-after"] == "60s"
    assert b"https://example.com/hook" in requests[1].content


def test_a_model_that_shows_no_schema_takes_anything(connect: Connect, prediction: Any) -> None:
    answer = prediction(status="succeeded", output="HI")
    client, _ = connect({"owner": "acme", "name": "shout", "is_official": True}, answer)
    assert client.use("acme/shout")(text="hi") == "HI"


def test_an_unknown_model_cannot_be_used(client: Client, drive: Drive) -> None:
    with pytest.raises(NotFound, match="There is no model 'acme/nothing'"):
        drive(client.async_use("acme/nothing"))


@dataclasses.dataclass
class Shout:
    text: str
    times: int = 3


def test_the_inputs_may_be_kept_in_a_dataclass(client: Client, drive: Drive) -> None:
    assert drive(client.async_run("acme/shout", Shout("hi"))) == "HI!!!"
    assert drive(client.predictions.async_create("acme/shout", Shout("hi"))).input == {
        "text": "hi",
        "times": 3,
    }
    with pytest.raises(InputError, match="not a mapping"):
        drive(client.async_run("acme/shout", Shout))
