"""Leaving early: what is still paid for, what is canceled, and what is left behind in the event loop."""

from __future__ import annotations

import asyncio
import gc
import warnings
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from replicate_kit import Client, FileOutput, Prediction
from replicate_kit.testing.suites import Drive
from replicate_kit.transport import Response
from tests.waiting import interrupt_when

SLOWLY = {"prompt": "sea", "lines": 64, "delay": 0.05}
WITHOUT_END = range(10_000)


def status_of_the_last(client: Client) -> str:
    return str(client.predictions.list()[0].status)


def iterating(client: Client, way: str, **options: Any) -> Any:
    """Iterate the output or the stream of a model that takes seconds."""
    if way == "chunks":
        return client.run("demo/poet", SLOWLY, **options)
    return client.stream("demo/poet", SLOWLY, **options)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("way", ["chunks", "stream"])
def test_ctrl_c_cancels_what_is_iterated(client: Client, way: str) -> None:
    interrupt_when(lambda: [each.status for each in client.predictions.list()] == ["processing"])
    with pytest.raises(KeyboardInterrupt) as caught:
        list(iterating(client, way))
    assert "is now 'canceled'" in caught.value.__notes__[0]
    assert status_of_the_last(client) == "canceled"


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("way", ["chunks", "stream"])
def test_ctrl_c_may_leave_it_running(client: Client, way: str) -> None:
    interrupt_when(lambda: [each.status for each in client.predictions.list()] == ["processing"])
    with pytest.raises(KeyboardInterrupt):
        list(iterating(client, way, cancel_on_exit=False))
    (prediction,) = client.predictions.list()
    assert prediction.status == "processing"
    prediction.cancel()


@pytest.mark.parametrize("library", ["asyncio", "trio"])
@pytest.mark.parametrize("way", ["chunks", "stream"])
def test_a_cancelled_task_cancels_what_it_iterates(client: Client, library: str, way: str) -> None:
    async def main() -> None:
        with anyio.move_on_after(0.2):
            if way == "chunks":
                async for _ in await client.async_run("demo/poet", SLOWLY):
                    pass
            else:
                async for _ in client.async_stream("demo/poet", SLOWLY):
                    pass
        assert (await client.predictions.async_list())[0].status == "canceled"

    anyio.run(main, backend=library)


@pytest.mark.parametrize("way", ["chunks", "stream"])
def test_a_break_leaves_it_running(client: Client, way: str) -> None:
    for _ in iterating(client, way):
        break
    (prediction,) = client.predictions.list()
    assert prediction.status == "processing"
    prediction.cancel()


def test_what_was_left_can_be_iterated_again(client: Client) -> None:
    words = client.run("demo/poet", {"prompt": "sea", "delay": 0.0})
    first = next(iter(words))
    assert next(iter(words)) == first
    assert "".join(words) == str(words)


# What is left in the loop, over real sockets.


@pytest.fixture
def api(serve: Any) -> Any:
    """Serves a stream and a file that do not end by themselves."""

    def answer(request: Any) -> Any:
        if request.path == "/stream":
            return 200, {}, (b"event: output\nid: %d\ndata: a\n\n" % number for number in WITHOUT_END)
        return 200, {}, (b"x" * 1000 for _ in WITHOUT_END)

    return serve(answer)


async def one_event(client: Client, url: str) -> str:
    prediction = Prediction({"id": "p1", "urls": {"stream": f"{url}/stream"}}, client.session)
    async with aclosing(prediction.async_stream()) as events:
        async for event in events:
            return str(event)
    return ""


async def one_chunk(client: Client, url: str) -> int:
    async with aclosing(FileOutput(f"{url}/file", client.session).async_chunks()) as chunks:
        async for chunk in chunks:
            return len(chunk)
    return 0


@pytest.mark.parametrize("read", [one_event, one_chunk])
def test_nothing_is_left_in_the_loop(api: Any, drive: Drive, read: Any) -> None:
    with Client(base_url=api.url) as client, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        async def twice() -> None:
            for _ in range(2):
                assert await read(client, api.url)
                gc.collect()

        drive(twice())
        gc.collect()
    assert caught == []


def test_a_part_of_a_file_is_read_and_no_more(api: Any, drive: Drive) -> None:
    with Client(base_url=api.url) as client:
        assert drive(FileOutput(f"{api.url}/file", client.session).async_read_range(10, 20)) == b"x" * 10


class Body:
    """A body whose first chunk takes several steps, and fails at the third."""

    ended = False

    async def __aiter__(self) -> Any:
        try:
            for _ in range(3):
                await asyncio.sleep(0)
            yield b"one"
            yield b"two"
            raise OSError("gone")
        finally:
            self.ended = True


def test_chunks_come_one_by_one_and_errors_pass_through() -> None:
    async def main() -> list[bytes]:
        chunks = Response(200, stream=Body()).aiter_bytes()
        given = [await anext(chunks), await anext(chunks)]
        with pytest.raises(OSError, match="gone"):
            await anext(chunks)
        return given

    assert asyncio.run(main()) == [b"one", b"two"]


def test_a_first_chunk_that_is_waited_for_can_be_cancelled() -> None:
    class Silent(Body):
        async def __aiter__(self) -> Any:
            try:
                await asyncio.sleep(60)
            finally:
                self.ended = True
            yield b""

    async def main() -> Silent:
        body = Silent()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(Response(200, stream=body).aiter_bytes())
        return body

    assert asyncio.run(main()).ended


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_who_leaves_a_body_has_to_close_the_response_only(library: str) -> None:
    async def nested() -> Any:
        async for chunk in Chunks():
            yield chunk

    class Chunks:
        async def __aiter__(self) -> Any:
            yield b"one"
            yield b"two"

    async def main() -> None:
        response = Response(200, stream=nested())
        async for _ in response.aiter_bytes():
            break
        await response.aclose()
        gc.collect()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        anyio.run(main, backend=library)
        gc.collect()
    assert caught == []


def test_a_body_may_be_closed_by_what_iterates_it() -> None:
    body = Body()

    async def main() -> None:
        async with aclosing(Response(200, stream=body).aiter_bytes()) as chunks:  # type: ignore[type-var]
            await anext(chunks)

    asyncio.run(main())
    assert body.ended
