"""The page at `/`: models, predictions and requests, as they are now."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from replicate_kit._formats.page_policies import inlined
from replicate_kit._formats.redacting import HIDDEN_INPUT, input_secrets, scrubbed, without_secrets
from replicate_kit.schema import ModelSchema
from replicate_kit.serving._bodies import json_object
from replicate_kit.serving._snippets import snippets
from replicate_kit.simulator._state.encoding import encode

if TYPE_CHECKING:
    from replicate_kit.serving._served import Served

__all__ = ["Page"]

SHOWN = 60
_LONGEST = 1024 * 1024
# Style and script are part of the page, and no others run in it. Nothing is loaded from elsewhere.
_POLICY = (
    "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; "
    "img-src 'self' data: {public}; media-src 'self' data: {public}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


class Page:
    """Shows what a server does."""

    def __init__(self, server: Served) -> None:
        self._server = server

    async def show(self, request: Request) -> Response:
        """The page itself; it asks for its data."""
        style, script = _part("page.css"), _part("page.js") + _part("forms.js")
        html = _part("page.html").replace("/*style*/", style).replace("/*script*/", script)
        policy = _POLICY.format(public=self._server.public_url, style=inlined(style), script=inlined(script))
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

    async def snippets(self, request: Request) -> Response:
        """Code for the body of a create: `version` and `input`. Secret inputs are left for the user to write."""
        body = await json_object(request, _LONGEST)
        version, input = body.get("version"), body.get("input")
        if not isinstance(version, str) or not isinstance(input, dict):
            raise ValueError('Send {"version": "owner/name", "input": {...}}.')
        origin = self._server.origins.of(request.scope)
        declared = _declared(self._server.simulator.published()).get(version.partition(":")[0], frozenset())
        return JSONResponse(snippets(origin, version, without_secrets(input, declared)))


def _part(name: str) -> str:
    return files("replicate_kit.serving").joinpath("web", name).read_text("utf-8")


def _state(server: Served, since: int) -> dict[str, Any]:
    """Everything that the page shows."""
    simulator = server.simulator
    requests, models = server.feed.since(since), simulator.published()
    declared = _declared(models)
    return {
        "base_url": simulator.base_url,
        "now": simulator.clock.now(),
        "created": simulator.created,
        "calls": sum(simulator.calls.values()),
        "faults": len(list(simulator.faults)),
        "cursor": max((each["change"] for each in requests), default=since),
        "requests": requests,
        "predictions": [
            _brief(each, declared.get(each["model"], frozenset())) for each in simulator.recent(SHOWN)
        ],
        "models": models,
        "models_tag": hashlib.sha256(json.dumps(models, sort_keys=True, default=str).encode()).hexdigest()[
            :16
        ],
    }


def _declared(models: list[dict[str, Any]]) -> dict[str, frozenset[str]]:
    """The inputs of each model that its schema declares to be secret."""
    return {
        f"{each['owner']}/{each['name']}": ModelSchema(each["latest_version"]["openapi_schema"]).secret_inputs
        for each in models
        if each["latest_version"]
    }


def _brief(prediction: dict[str, Any], declared: frozenset[str]) -> dict[str, Any]:
    """A prediction without secret inputs, and without what makes a page slow: inlined files, endless logs and texts."""
    secrets = input_secrets(prediction["input"], declared)
    error = prediction["error"]
    return {
        **prediction,
        "input": _shortened(without_secrets(prediction["input"], declared)),
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
