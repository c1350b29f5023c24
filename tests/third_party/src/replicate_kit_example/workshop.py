"""A place where predictions run, and a layer around the way to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from replicate_kit.config import Config
from replicate_kit.transport import Abilities, Request, Response, Transport

NAME = "workshop"


class Workshop:
    """Runs every model at once: it makes a note of the prompt. Keeps boards beside it."""

    abilities = Abilities(lists_predictions=False, costs_money=False)  # it forgets what it has made

    def __init__(self) -> None:
        self._boards: dict[str, list[str]] = {"ideas": ["surf"]}

    def connect(self, config: Config, /, *, blocking: bool) -> Transport:
        """Open the door; it is the same one for every driver, since nothing behind it waits."""
        return Door(self)

    def base_url(self, config: Config, /) -> str:
        """The root of the API, at a name that never resolves."""
        return "https://workshop.test/v1"

    def output_origins(self, config: Config, /) -> Sequence[str]:
        """No origin: the workshop makes no files."""
        return ()

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        match request.method, request.url.path.removeprefix("/v1/").split("/"):
            case "GET", ["boards"]:
                return Response(200, json={"results": [self._board(name) for name in self._boards]})
            case "POST", ["boards", name] if name in self._boards:
                self._boards[name].append(json.loads(request.content)["note"])
                return Response(200, json=self._board(name))
            case "GET", ["models", owner, name]:
                return Response(200, json={"owner": owner, "name": name, "is_official": True})
            case "POST", ["models", owner, name, "predictions"]:
                return Response(201, json=_made(f"{owner}/{name}", json.loads(request.content), request))
            case _:
                return Response(404, json={"detail": "The workshop has no such thing.", "status": 404})

    def _board(self, name: str) -> dict[str, Any]:
        return {"name": name, "notes": self._boards[name]}


class Door:
    """The transport of the workshop."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        response = self._workshop.answer(request)
        response.request = request
        return response

    async def aclose(self) -> None:
        """Nothing is held open."""


class Stamp:
    """A layer: stamps each request with who made it."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        request.headers["X-Workshop-Stamp"] = "example"
        return await self._inner.send(request, stream=stream)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _made(model: str, body: dict[str, Any], request: Request) -> dict[str, Any]:
    """Make the prediction of a model that is done at once; its logs name the stamp that the request bore."""
    stamp = request.headers.get("X-Workshop-Stamp", "no stamp")
    return {
        "id": "w1",
        "model": model,
        "version": "hidden",
        "input": body["input"],
        "output": {"pin": body["input"]["prompt"]},
        "logs": f"stamp: {stamp}",
        "status": "succeeded",
        "created_at": "2026-01-01T00:00:00.000Z",
        "completed_at": "2026-01-01T00:00:00.000Z",
    }
