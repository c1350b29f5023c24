"""The requests that Cog's servers take, in both dialects, and what their answers mean."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from replicate_kit.backends.http import HTTPBackend
from replicate_kit.config import Config
from replicate_kit.errors import ConnectFailed, ReplicateError, RequestTimeout, TransportError
from replicate_kit.transport import Limits, Request, Response, Timeout, Transport
from replicate_kit_cog.locations import OPTIONS
from replicate_kit_cog.predictions import Prediction
from replicate_kit_cog.servers import Health, Server

__all__ = ["Answer", "Asker"]

_NEVER_BEGUN = "Failed to send request"  # Cog 0.23, of a slot whose worker is gone
_CRASHED = "Worker crashed"  # Cog 0.23, of all that its worker did


class Answer(NamedTuple):
    """What came of sending a prediction to a server.

    - `ended`: it has come to its end there, as `body` says.
    - `refused`: the server certainly did not begin.
    - `crashed`: the server's worker has crashed.
    - `lost`: the server was gone before it answered.
    """

    kind: Literal["ended", "refused", "crashed", "lost"]
    body: Mapping[str, Any]

    @property
    def said(self) -> str:
        """Why, in words."""
        return str(self.body.get("error") or "")


def _failed(error: str) -> Answer:
    return Answer("ended", {"status": "failed", "error": error})


class Asker:
    """Sends requests to servers, within the background's event loop. No token ever goes along."""

    def __init__(self, config: Config) -> None:
        options = {name: value for name, value in config.http_options.items() if name in OPTIONS}
        self._headers = dict(config.http_options.get("headers") or {})
        self._timeout, self._most = config.timeout, config.max_answer_bytes
        self._config = Config(timeout=config.timeout, backend="http", http_options=options)
        self._transport: Transport | None = None

    async def aclose(self) -> None:
        """Close the connections; the next request opens others."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    async def look(self, server: Server) -> None:
        """Learn how a server is, and its model's schema when it was started anew."""
        before, was_usable = server.health, server.usable
        try:
            response = await self._send("GET", server, "/health-check", read=self._timeout)
        except RequestTimeout:
            # Cog 0.16 answers only after the prediction that it is at (seen with one that takes long and blocks).
            return
        except TransportError as error:
            server.learn(None, _reason(error))
            return
        health = Health.read(_json(response))
        if health is None:
            said = f"it answers {response.status_code} at /health-check, and is no Cog server. Check its URL"
            server.learn(None, said)
            return
        if health.takes and (not was_usable or before is None or health.started_at != before.started_at):
            try:
                server.schema = await self.schema(server)
            except TransportError as error:
                server.learn(None, _reason(error))
                return
        server.learn(health, None)

    async def schema(self, server: Server) -> dict[str, Any]:
        """Fetch the model's OpenAPI document; empty where the server has none."""
        response = await self._send("GET", server, "/openapi.json", read=self._timeout)
        body = _json(response)
        return (
            dict(body) if response.is_success and isinstance(body, Mapping) and "components" in body else {}
        )

    async def cancel(self, server: Server, name: str) -> None:
        """Ask a server to end a prediction. Whether it does shows in the answer to that."""
        # Who holds the prediction's answer finds out what became of the server.
        with suppress(TransportError):
            await self._send(
                "POST", server, f"/predictions/{quote(name, safe='')}/cancel", read=self._timeout
            )

    async def predict(self, server: Server, prediction: Prediction, content: bytes) -> Answer:
        """Have a server run a prediction, however long that takes; chunks and logs go to the prediction."""
        accept = "text/event-stream" if server.streams else "application/json"
        try:
            response = await self._send("POST", server, "/predictions", content=content, accept=accept)
            try:
                if response.is_success and _is_stream(response):
                    return await _followed(response, prediction)
                await response.aread()
            finally:
                await response.aclose()
        except ConnectFailed as error:
            return Answer("refused", {"error": _reason(error), "gone": True})
        except TransportError as error:
            return Answer("lost", {"error": _reason(error)})
        except ReplicateError as error:  # such as an answer that is too large
            return _failed(str(error))
        return _meaning(response)

    async def _send(
        self,
        method: str,
        server: Server,
        path: str,
        *,
        content: bytes | None = None,
        accept: str = "application/json",
        read: float | None = None,
    ) -> Response:
        """Send one request; without `read` it is answered at the prediction's end, whenever that is."""
        if self._transport is None:
            self._transport = HTTPBackend().connect(self._config, blocking=False)
        headers = {**self._headers, "accept": accept}
        if content is not None:
            headers["content-type"] = "application/json"
        limit = self._timeout
        request = Request(
            method,
            server.url + path,
            headers=headers,
            content=content,
            timeout=Timeout(connect=min(limit, 10.0), read=read, write=limit),
        )
        request.limits = Limits("answer" if read is not None else "stream", self._most)
        return await self._transport.send(request, stream=read is None)


def _reason(error: TransportError) -> str:
    """What an error of a connection says, without the request and without advice that is about the API."""
    said = str(error).splitlines()[0].partition(" Check base_url")[0]
    return said.removeprefix(f"{error.request.named}: " if error.request else "").rstrip(".")


def _json(response: Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _is_stream(response: Response) -> bool:
    return str(response.headers.get("content-type", "")).startswith("text/event-stream")


def _meaning(response: Response) -> Answer:
    """Tell what an answer means."""
    body, status = _json(response), response.status_code
    if response.is_success and isinstance(body, Mapping):
        return _ended(body, len(response.content))
    said = _detail(body) or response.text.strip()[:500] or f"an empty answer, {status}"
    if status in (409, 429, 503):  # busy, or its setup has not finished
        return Answer("refused", {"error": said})
    if status in (502, 504):
        return Answer("lost", {"error": f"a gateway before it answered {status}"})
    if status >= 500 and not isinstance(body, Mapping):
        return Answer("crashed", {"error": said})  # Cog 0.16 has nothing else to say of it
    return _failed(f"The server did not take the input: {said}" if status in (400, 422) else said)


def _ended(body: Mapping[str, Any], size: int) -> Answer:
    """Tell what the last state of a prediction means."""
    error = str(body.get("error") or "")
    if body.get("status") == "failed" and error.startswith(_NEVER_BEGUN):
        return Answer("refused", {"error": error})
    if body.get("status") == "failed" and error == _CRASHED:
        return Answer("crashed", body)
    if body.get("status") not in ("succeeded", "failed", "canceled"):
        return _failed(
            f"The server answered with a prediction that is {body.get('status')!r}, which is no end."
        )
    return Answer("ended", {**body, "size": size})


def _detail(body: Any) -> str:
    """What an answer that is no prediction says: Cog's `detail`, which may list what is wrong, or its `error`."""
    if not isinstance(body, Mapping):
        return ""
    detail = body.get("detail") or body.get("error") or ""
    if not isinstance(detail, list):
        return str(detail)
    problems = [each for each in detail if isinstance(each, Mapping)]
    return "; ".join(f"{(each.get('loc') or [''])[-1]}: {each.get('msg')}" for each in problems)


async def _followed(response: Response, prediction: Prediction) -> Answer:
    """Read a server's events up to the last one."""
    size = 0
    async for name, data in _events(response.aiter_bytes()):
        size += len(data)
        body = json.loads(data)
        if name == "start":
            prediction.start()
        elif name == "output":
            prediction.emit(body.get("chunk"))
        elif name == "log":
            prediction.write(str(body.get("data") or ""))
        elif name == "completed":
            return _ended(body, size)
    return Answer("lost", {"error": "its answer broke off"})


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, bytes]]:
    """Read events as Cog writes them: a line with the name, one with the data, an empty one."""
    buffer = b""
    async for chunk in chunks:
        *events, buffer = (buffer + chunk).split(b"\n\n")
        for event in events:
            lines = dict(line.partition(b": ")[::2] for line in event.split(b"\n"))
            if b"event" in lines and b"data" in lines:
                yield lines[b"event"].decode(), lines[b"data"]
