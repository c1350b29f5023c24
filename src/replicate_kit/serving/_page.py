"""The page at `/`: models, predictions and requests, as they are now."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from replicate_kit._formats.redacting import HIDDEN_INPUT, input_secrets, scrubbed, without_secrets
from replicate_kit.simulator._state.encoding import encode

if TYPE_CHECKING:
    from replicate_kit.serving._served import Served

__all__ = ["Page"]

SHOWN = 60
# Style and script are part of the page, hence unsafe-inline. Nothing is loaded from elsewhere.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data: {public}; media-src 'self' data: {public}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page:
    """Shows what a server does."""

    def __init__(self, server: Served) -> None:
        self._server = server

    async def show(self, request: Request) -> Response:
        """The page itself; it asks for its data."""
        text = {
            name: files("replicate_kit.serving").joinpath("web", name).read_text("utf-8") for name in _PARTS
        }
        html = text["page.html"].replace("/*style*/", text["page.css"]).replace("/*script*/", text["page.js"])
        policy = _POLICY.format(public=self._server.public_url)
        headers = {
            "content-security-policy": policy,
            "cache-control": "no-store",
            # The URL of the page may have the secret in it.
            "referrer-policy": "no-referrer",
        }
        return Response(html, media_type="text/html", headers=headers)

    async def state(self, request: Request) -> Response:
        """What has changed since the page last asked: `since` is a number of the feed, `models` what it has of them."""
        server, query = self._server, request.query_params
        since = query.get("since", "0")
        state = _state(server, int(since) if since.isascii() and since.isdigit() and len(since) < 16 else 0)
        if query.get("models") == state["models_tag"]:
            del state["models"]
        outward = server.origins.outward(server.origins.of(request.scope))
        return Response(
            outward(encode(state)), media_type="application/json", headers={"cache-control": "no-store"}
        )


_PARTS = ("page.html", "page.css", "page.js")


def _state(server: Served, since: int) -> dict[str, Any]:
    """Everything that the page shows."""
    simulator = server.simulator
    requests, models = server.feed.since(since), simulator.published()
    return {
        "base_url": simulator.base_url,
        "now": simulator.clock.now(),
        "created": simulator.created,
        "calls": sum(simulator.calls.values()),
        "faults": len(list(simulator.faults)),
        "cursor": max((each["change"] for each in requests), default=since),
        "requests": requests,
        "predictions": [_brief(each) for each in simulator.recent(SHOWN)],
        "models": models,
        "models_tag": hashlib.sha256(json.dumps(models, sort_keys=True, default=str).encode()).hexdigest()[
            :16
        ],
    }


def _brief(prediction: dict[str, Any]) -> dict[str, Any]:
    """A prediction without secret inputs, and without what makes a page slow: inlined files, endless logs and texts."""
    secrets = input_secrets(prediction["input"])
    error = prediction["error"]
    return {
        **prediction,
        "input": _shortened(without_secrets(prediction["input"])),
        "output": _shortened(prediction["output"]),
        "error": scrubbed(error, secrets, HIDDEN_INPUT) if isinstance(error, str) else error,
        "logs": scrubbed(prediction["logs"] or "", secrets, HIDDEN_INPUT)[-2000:],
    }


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= 4000 else f"{value[:4000]}…"
    if isinstance(value, list):
        return [_shortened(each) for each in value[:400]]
    if isinstance(value, dict):
        return {key: _shortened(each) for key, each in list(value.items())[:100]}
    return value
