"""What the client's operations give. Checkers read this file; nobody runs it."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any, assert_type

import replicate_kit
from replicate_kit import (
    Client,
    FileOutput,
    Model,
    OutputIterator,
    Page,
    Prediction,
    ServerSentEvent,
    Version,
)
from replicate_kit.backends.mock import MockBackend
from replicate_kit.resources.models import Models
from replicate_kit.resources.predictions import Predictions
from replicate_kit.simulator import Simulator


def blocking_twins_give_results(client: Client) -> None:
    assert_type(client.run("owner/name", {"prompt": "sea"}), Any)
    assert_type(client.stream("owner/name"), Iterator[ServerSentEvent])
    assert_type(client.models.get("owner/name"), Model)
    assert_type(client.models.list(), Page[Model])
    assert_type(client.models.list_all(), Iterator[Model])
    assert_type(client.predictions.create(model="owner/name", wait=5), Prediction)
    assert_type(client.predictions.list()[0], Prediction)
    assert_type(client.predictions.list()[:2], list[Prediction])
    assert_type(client.predictions.get("id").wait(timeout=5), None)
    assert_type(client.models.get("owner/name").latest_version, Version | None)


async def async_forms_give_awaitables(client: Client) -> None:
    assert_type(await client.async_run("owner/name"), Any)
    events: AsyncGenerator[ServerSentEvent] = client.async_stream("owner/name")
    assert_type(await anext(events), ServerSentEvent)
    assert_type([event async for event in await client.async_stream("owner/name")], list[ServerSentEvent])
    assert_type(await client.models.async_get("owner/name"), Model)
    assert_type(client.models.async_list_all(), AsyncIterator[Model])
    assert_type(await client.predictions.async_create(model="owner/name"), Prediction)
    async with client as entered:
        assert_type(entered, Client)


def backends_are_names_objects_and_simulators() -> None:
    assert_type(Client(backend="mock"), Client)
    assert_type(Client(backend=MockBackend()), Client)
    assert_type(Client(backend=Simulator()), Client)
    Client(backend=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def resources_have_their_types(client: Client) -> None:
    assert_type(client.models, Models)
    assert_type(client.resource(Predictions), Predictions)
    assert_type(replicate_kit.predictions, Predictions)


def default_functions_are_typed() -> None:
    assert_type(replicate_kit.stream("owner/name"), Iterator[ServerSentEvent])
    assert_type(replicate_kit.default_client, Client)


def records_read_as_what_they_are(prediction: Prediction) -> None:
    assert_type(prediction.id, str)
    assert_type(prediction.logs, str)
    assert_type(prediction.metrics, dict[str, Any])
    assert_type(prediction.progress, float | None)
    assert_type(prediction.stream(), Iterator[ServerSentEvent])
    assert_type(prediction.output_iterator(), Iterator[Any])


def iterators_iterate_both_ways(words: OutputIterator) -> None:
    assert_type(iter(words), Iterator[Any])
    assert_type(aiter(words), AsyncIterator[Any])
    assert_type(words.prediction, Prediction)
    assert_type(str(words), str)
    assert_type(f"{words}", str)


async def files_read_themselves(file: FileOutput) -> None:
    assert_type(file.read(), bytes)
    assert_type(iter(file), Iterator[bytes])
    assert_type(await file.async_read(), bytes)
    assert_type(await file.aread(), bytes)
    assert_type(file.url, str)


def what_does_not_exist_is_an_error(client: Client) -> None:
    client.run("owner/name", webook="https://example.com")  # type: ignore[call-arg]
    client.predictions.create(model="owner/name", source="web")  # type: ignore[call-arg]
    client.predictions.get("p1", name="p2")  # type: ignore[call-arg]
    client.models.list(sort_by="name")  # type: ignore[arg-type]
