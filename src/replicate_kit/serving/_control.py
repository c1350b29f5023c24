"""`/_control/…`: faults, the clock, what was called, a fresh start; for tests in other processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from replicate_kit.serving._bodies import json_object
from replicate_kit.simulator import Fault, Simulator
from replicate_kit.simulator._faults.faults import describe
from replicate_kit.simulator._state.clock import format_time

if TYPE_CHECKING:
    from replicate_kit.serving._served import Served

__all__ = ["Control"]

_LONGEST = 64 * 1024
_LONGEST_RECORDS = 64 * 1024 * 1024  # they may hold files
_FARTHEST = 100 * 365 * 86_400  # seconds by which the clock can be moved at once


class Control:
    """The requests below `/_control`."""

    def __init__(self, server: Served) -> None:
        self._server = server

    async def show(self, request: Request) -> Response:
        """What there is, and where it is."""
        server, simulator = self._server, self._server.simulator
        return JSONResponse(
            {
                "base_url": server.origins.of(request.scope) + "/v1",
                "now": _now(server),
                "models": _models(simulator),
                "faults": [describe(each) for each in simulator.faults],
                "created": simulator.created,
                "webhook_secret": simulator.webhook_secret,
            }
        )

    async def calls(self, request: Request) -> Response:
        """How often each operation was called, and the latest requests, oldest first."""
        simulator = self._server.simulator
        latest = [each._asdict() for each in list(simulator.requests)]
        return JSONResponse(
            {"calls": dict(simulator.calls), "created": simulator.created, "requests": latest}
        )

    async def faults(self, request: Request) -> Response:
        """List the faults (GET), add some (POST), or remove all (DELETE)."""
        faults = self._server.simulator.faults
        if request.method == "POST":
            body = await json_object(request, _LONGEST)
            given = body.get("faults", [body["fault"]] if "fault" in body else None)
            if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
                raise ValueError('Send {"fault": "*predictions.create,status=503"} or {"faults": [...]}.')
            # All are parsed before the first is added: one mistake adds none.
            for each in [Fault.parse(text) for text in given]:
                faults.add(each)
        elif request.method == "DELETE":
            faults.clear()
        return JSONResponse({"faults": [describe(each) for each in faults]})

    async def clock(self, request: Request) -> Response:
        """Tell the simulator's time (GET), or move it forward (POST)."""
        if request.method == "POST":
            seconds = (await json_object(request, _LONGEST)).get("advance")
            if (
                isinstance(seconds, bool)
                or not isinstance(seconds, int | float)
                or not 0 <= seconds < _FARTHEST
            ):
                raise ValueError('Send {"advance": 3600}: seconds, from 0 to a hundred years.')
            self._server.simulator.clock.advance(seconds)
        return JSONResponse({"now": _now(self._server)})

    async def records(self, request: Request) -> Response:
        """Load records on top of what there is; all, or none if anything is wrong with them."""
        simulator = self._server.simulator
        simulator.load_records(await json_object(request, _LONGEST_RECORDS))
        return JSONResponse({"models": _models(simulator)})

    async def reset(self, request: Request) -> Response:
        """Forget all predictions, files and faults but those that the server was started with."""
        self._server.reset()
        return JSONResponse({"now": _now(self._server)})


def _now(server: Served) -> str:
    return format_time(int(server.simulator.clock.now() * 1e6))


def _models(simulator: Simulator) -> list[str]:
    return [f"{each['owner']}/{each['name']}" for each in simulator.published()]
