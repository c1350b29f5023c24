"""Half a surrogate pair, which no request can carry, is refused before anything is sent or uploaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit._files.input_files import INLINE_LIMIT
from replicate_kit._formats.references import Reference
from replicate_kit.errors import InputError, InvalidReference
from replicate_kit.resources._running.running import Runnable

HALVES = ("a\ud83d", "\udc00 at the front", "two \ud83d\ude00 halves", "in \udfff between")
LARGE = b"\0" * INLINE_LIMIT
VERSION = "a" * 64
Connect = Callable[..., tuple[Client, list[httpx.Request]]]


def unanswered(request: httpx.Request) -> httpx.Response:
    return httpx.Response(404, json={"detail": "not found"})


@pytest.fixture
def nothing_sent(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client, and what it has sent that is more than a look."""
    client, requests = connect(unanswered)

    async def resolve(reference: Reference) -> Runnable:
        return Runnable(reference)

    # References lead somewhere without asking the API; here it shows no schema.
    monkeypatch.setattr(type(client.models), "async_resolve", staticmethod(resolve))
    yield client
    assert [each for each in requests if each.method not in ("GET", "QUERY")] == []


PLACES: dict[str, Callable[[str], Any]] = {
    "a text": lambda text: {"prompt": text},
    "a name": lambda text: {text: 1},
    "a list": lambda text: {"prompts": ["whole", text]},
    "a structure": lambda text: {"options": {"styles": ({"name": text},)}},
    "beside a file": lambda text: {"image": LARGE, "prompt": text},
    "a set": lambda text: {"words": {text}},
}
CREATES: dict[str, Callable[[Client, Any], Any]] = {
    "run": lambda client, input: client.run(f"acme/words:{VERSION}", input),
    "stream": lambda client, input: list(client.stream(f"acme/words:{VERSION}", input)),
    "use": lambda client, input: client.use(f"acme/words:{VERSION}")(**input),
    "predictions.create": lambda client, input: client.predictions.create(VERSION, input),
    "by model": lambda client, input: client.predictions.create(model="acme/words", input=input),
    "by deployment": lambda client, input: client.predictions.create(deployment="acme/words", input=input),
    "trainings.create": lambda client, input: client.trainings.create(
        model="acme/words", version=VERSION, input=input, destination="acme/mine"
    ),
}


@pytest.mark.parametrize("half", HALVES, ids=ascii)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("create", CREATES)
def test_an_input_with_half_a_character_is_refused_before_anything_is_sent(
    nothing_sent: Client, create: str, place: str, half: str
) -> None:
    with pytest.raises(InputError, match=r"half of a surrogate pair, \\ud") as refused:
        CREATES[create](nothing_sent, PLACES[place](half))
    str(refused.value).encode()


@pytest.mark.parametrize("half", HALVES, ids=ascii)
@pytest.mark.parametrize("create", ["run", "stream", "predictions.create", "by model", "trainings.create"])
def test_not_even_the_model_is_looked_up_for_it(connect: Connect, create: str, half: str) -> None:
    client, requests = connect(unanswered)
    with pytest.raises(InputError, match="half of a surrogate pair"):
        CREATES[create](client, {"prompt": half})
    assert requests == []


OTHERS: dict[str, Callable[[Client, str], Any]] = {
    "a webhook": lambda client, text: client.predictions.create(
        VERSION, {}, webhook=f"https://a.test/{text}"
    ),
    "a description": lambda client, text: client.models.create(
        "acme", "new", visibility="private", hardware="cpu", description=text
    ),
    "a name": lambda client, text: client.models.create("acme", text, visibility="private", hardware="cpu"),
    "a search": lambda client, text: client.search(text),
    "a cursor": lambda client, text: client.predictions.list(text),
    "a request": lambda client, text: client.request("POST", "predictions", json={"input": text}),
    "a header": lambda client, text: client.request("GET", "account", headers={"x-team": text}),
    "a parameter": lambda client, text: client.request("GET", "account", params={"team": text}),
    "an id": lambda client, text: client.predictions.get(text),
    "a reference": lambda client, text: client.predictions.create(
        model=f"acme/{text.replace(' ', '')}", input={}
    ),
}


@pytest.mark.parametrize("half", HALVES, ids=ascii)
@pytest.mark.parametrize("other", OTHERS)
def test_so_is_any_other_text_of_a_request(nothing_sent: Client, other: str, half: str) -> None:
    with pytest.raises((InputError, InvalidReference)) as refused:
        OTHERS[other](nothing_sent, half)
    str(refused.value).encode()


@pytest.mark.parametrize("value", [float("nan"), 10**5000], ids=["no number", "huge"])
def test_a_number_that_json_cannot_carry_is_refused_too(nothing_sent: Client, value: Any) -> None:
    with pytest.raises(InputError):
        nothing_sent.predictions.create(VERSION, {"n": value})
    with pytest.raises(InputError):
        nothing_sent.request("POST", "predictions", json={"n": value})


def test_an_input_that_has_itself_in_it_is_refused(nothing_sent: Client) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InputError, match="has itself in it"):
        nothing_sent.predictions.create(VERSION, {"n": endless})


def test_a_file_whose_name_is_no_text_is_uploaded(client: Client, tmp_path: Path) -> None:
    path = tmp_path / b"caf\xe9.bin".decode("utf-8", "surrogateescape")
    try:
        path.write_bytes(LARGE)
    except OSError:
        pytest.skip("this file system knows texts only")
    assert client.files.create(path).name == "caf\\udce9.bin"
