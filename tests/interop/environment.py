"""What comes of a client's environment, as JSON on standard output: its token, its base URL, and no token at all.

    python environment.py official     with the official package
    python environment.py stand-in     with the stand-in

INTEROP_ORIGIN is where an API answers that wants a token.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from loopback import resolve_here
from tokens import SCENARIOS, cog_of

if sys.argv[1] == "stand-in":
    from replicate_kit.compat import install_as_replicate

    install_as_replicate()

import httpx
import replicate
from replicate.client import Client

VARIABLES = ("REPLICATE_API_TOKEN", "REPLICATE_API_KEY", "REPLICATE_BASE_URL", "REPLICATE_POLL_INTERVAL")


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set variables, and no others of the client's; put back what was there."""
    before = dict(os.environ)
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def asked_by(**options: Any) -> httpx.Request:
    """What a client of these options sends."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=[{"sku": "cpu", "name": "CPU"}])

    Client(transport=httpx.MockTransport(answer), **options).hardware.list()
    return asked[0]


def tokens() -> dict[str, Any]:
    """Which token is sent in each scenario."""
    found = {}
    for name, scenario in SCENARIOS.items():
        with environment(**scenario.environment):
            sys.modules["cog"] = cog_of(scenario.scope)  # type: ignore[assignment]
            found[name] = asked_by(**scenario.options()).headers.get("authorization")
            del sys.modules["cog"]
    return found


URLS = (
    None,
    "",
    "https://gw.example",
    "https://gw.example/",
    "https://gw.example/a/b",
    "http://gw.example:8080/v1/a/",
)


def base_urls() -> dict[str, str]:
    """Where requests go."""
    found = {}
    for url in URLS:
        for variable in URLS:
            with environment(**({} if variable is None else {"REPLICATE_BASE_URL": variable})):
                found[f"{url!r}, {variable!r} in the environment"] = str(asked_by(base_url=url).url)
    return found


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "run": lambda c: c.run("acme/slow", {"prompt": "x"}),
    "run a version": lambda c: c.run("acme/slow:" + "0" * 64, {"prompt": "x"}),
    "async_run": lambda c: c.async_run("acme/slow", {"prompt": "x"}),
    "stream": lambda c: list(c.stream("acme/slow", input={"prompt": "x"})),
    "predictions.create": lambda c: c.predictions.create(model="acme/slow", input={"prompt": "x"}),
    "predictions.async_create": lambda c: c.predictions.async_create(model="acme/slow", input={}),
    "predictions.get": lambda c: c.predictions.get("p1"),
    "predictions.list": lambda c: c.predictions.list(),
    "predictions.cancel": lambda c: c.predictions.cancel("p1"),
    "deployments.create": lambda c: c.deployments.create(name="a"),
    "deployments.get": lambda c: c.deployments.get("a/b"),
    "deployments.list": lambda c: c.deployments.list(),
    "deployments.delete": lambda c: c.deployments.delete("a", "b"),
    "deployments.predictions.create": lambda c: c.deployments.predictions.create("a/b", {}),
    "models.get": lambda c: c.models.get("acme/slow"),
    "models.list": lambda c: c.models.list(),
    "models.search": lambda c: c.models.search("x"),
    "models.async_get": lambda c: c.models.async_get("acme/slow"),
    "models.create": lambda c: c.models.create("a", "b", visibility="private", hardware="cpu"),
    "models.delete": lambda c: c.models.delete("a/b"),
    "trainings.create": lambda c: c.trainings.create("a/b:c", {}, "c/d"),
    "trainings.get": lambda c: c.trainings.get("t1"),
    "trainings.list": lambda c: c.trainings.list(),
    "files.get": lambda c: c.files.get("f1"),
    "files.list": lambda c: c.files.list(),
    "collections.list": lambda c: c.collections.list(),
    "collections.get": lambda c: c.collections.get("s"),
    "hardware.list": lambda c: c.hardware.list(),
    "accounts.current": lambda c: c.accounts.current(),
    "webhooks.default.secret": lambda c: c.webhooks.default.secret(),
}


async def without_a_token() -> dict[str, Any]:
    """What each operation comes to where nobody has a token, with the text of its error."""
    found = {}
    with environment(REPLICATE_BASE_URL=os.environ["INTEROP_ORIGIN"]):
        for name, operation in OPERATIONS.items():
            for kind, client in (
                ("default", replicate.default_client),
                ("own", Client()),
                ("empty", Client("")),
            ):
                try:
                    result = operation(client)
                    result = await result if inspect.isawaitable(result) else result
                    found[f"{name}, {kind}"] = ["gives", str(result)]
                except Exception as error:
                    told = [
                        getattr(error, each, None)
                        for each in ("type", "title", "status", "detail", "instance")
                    ]
                    found[f"{name}, {kind}"] = [type(error).__name__, str(error), repr(error), told]
    return found


def poll_intervals() -> dict[str, Any]:
    """What the environment says of pauses."""
    found = {}
    for text in ("0", "0.25", "2", "soon", "1s"):
        with environment(REPLICATE_POLL_INTERVAL=text):
            try:
                found[text] = Client().poll_interval
            except ValueError:
                found[text] = "ValueError"
    return found


async def main() -> None:
    warnings.simplefilter("ignore")
    resolve_here()
    json.dump(
        {
            "tokens": tokens(),
            "base URLs": base_urls(),
            "without a token": await without_a_token(),
            "poll intervals": poll_intervals(),
        },
        sys.stdout,
        indent=1,
    )


if __name__ == "__main__":
    asyncio.run(main())
