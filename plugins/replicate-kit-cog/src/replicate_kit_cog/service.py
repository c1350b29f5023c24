"""What Replicate's API would answer, of the model on Cog's servers: its predictions are kept here."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from replicate_kit.config import Config
from replicate_kit.errors import ConnectFailed
from replicate_kit.records import parse_duration, parse_time
from replicate_kit.transport import Request, Response
from replicate_kit_cog.asking import Asker
from replicate_kit_cog.pool import Pool, Waits
from replicate_kit_cog.predictions import Prediction, interrupted, timestamp
from replicate_kit_cog.servers import Server
from replicate_kit_cog.uploads import Uploads

__all__ = ["Problem", "Service", "answered", "path_of"]

_PREFIX = "cog"
_ID = 26  # characters of an id after its prefix
_PAGE = 100
_MOST_KEPT = 100_000
_RETENTION = timedelta(hours=1)  # as Replicate keeps inputs and outputs
_MOST_BYTES, _AT_LEAST = 512 * 1024**2, timedelta(minutes=1)  # of data that ended longer ago than this

_GONE = (
    "this process knows nothing of it: a Cog server forgets a prediction with its answer, and the process that had "
    "made it kept it in its memory. It cost no money; run it again."
)


class Problem(Exception):
    """What is answered in place of what was asked for."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def answered(problem: Problem) -> Response:
    """Answer with a problem."""
    body = {"detail": problem.detail, "status": problem.status}
    headers = {name.replace("_", "-"): value for name, value in problem.headers.items()}
    return Response(problem.status, json=body, headers=headers)


def _not_there(detail: str) -> Problem:
    # What comes after these words of the API's own is what a client's error says.
    return Problem(404, f"The requested resource could not be found. {detail}")


class Service:
    """The model of some servers, and its predictions. All but `uploads` is of the background's loop."""

    def __init__(self, urls: tuple[str, ...], config: Config, waits: Waits) -> None:
        self.root = f"{urls[0]}/v1"
        self.uploads = Uploads(self.root)
        self.servers = [Server(url) for url in urls]
        self.users = 0
        """How many transports are open."""
        self._asker = Asker(config)
        self._pool = Pool(self.servers, self._asker, self._content, waits)
        self._predictions: dict[str, Prediction] = {}

    async def close(self) -> None:
        """Let connections go when nobody uses them."""
        if not self.users and self._pool.is_idle:
            await self._asker.aclose()

    async def answer(self, request: Request, content: bytes) -> Response:
        """Answer a request; where a server is asked for that, it may fail as any request."""
        try:
            response = await self._answer(request, content)
        except Problem as problem:
            response = answered(problem)
        response.headers["date"] = format_datetime(datetime.now(UTC), usegmt=True)
        return response

    async def _answer(self, request: Request, content: bytes) -> Response:
        parts = [
            unquote(part) for part in request.url.path.removeprefix(path_of(self.root)).strip("/").split("/")
        ]
        match request.method, parts:
            case "POST", ["predictions"]:
                return await self._create(request, _read(content), None)
            case "POST", ["models", owner, name, "predictions"]:
                return await self._create(request, _read(content), f"{owner}/{name}")
            case "GET", ["predictions"]:
                return Response(200, json=self._page(request.url.params))
            case "GET", ["predictions", id]:
                return Response(200, json=self._found(id))
            case "POST", ["predictions", id, "cancel"]:
                return self._cancel(id)
            case "GET", ["models", owner, name]:
                return Response(200, json=await self._model(owner, name, request))
            case "GET", ["models", owner, name, "versions"]:
                return Response(
                    200, json={"results": [await self._version(request)], "next": None, "previous": None}
                )
            case "GET", ["models", owner, name, "versions", id]:
                version = await self._version(request)
                if version["id"] != id:
                    raise _not_there(
                        f"The server runs another version of {owner}/{name} now: {version['id']}."
                    )
                return Response(200, json=version)
        raise _not_there(
            f"Cog's servers have no {parts[0] or 'such'} of this kind ({request.method} /{'/'.join(parts)}): each runs "
            "one model, which has any name of the form owner/name that you give it. Run that by client.run."
        )

    def prediction(self, id: str) -> Prediction | None:
        """A prediction of this process; None where there is none."""
        return self._predictions.get(id)

    # Predictions.

    async def _create(self, request: Request, body: Mapping[str, Any], model: str | None) -> Response:
        """Take a prediction in, and hold the answer if that is asked for."""
        input = body.get("input", {})
        if not isinstance(input, dict):
            raise Problem(422, "input is no JSON object. Pass a dict.")
        if body.get("webhook"):
            raise Problem(
                422, "A Cog server's predictions send no webhooks here. Leave webhook= out, and wait instead."
            )
        seconds = parse_duration(request.headers.get("cancel-after", "0"))
        await self._pool.looked()
        if (fault := self._pool.fault) is not None:
            raise Problem(503, fault, retry_after="1")
        version, here = str(body.get("version") or ""), self._version_id()
        if version and here and version.rpartition(":")[2] != here:
            raise Problem(
                422, f"The servers run the version {here} now, and not {version}. Look the model up again."
            )
        id = _PREFIX + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(_ID))
        named = model or version.rpartition(":")[0] or None
        prediction = Prediction(id, named, version or here, input, self.root, len(request.content))
        self._keep(prediction)
        self._pool.add(prediction)
        if seconds:
            prediction.deadline = prediction.created + timedelta(seconds=seconds)
            asyncio.get_running_loop().call_later(seconds, self._pool.cancel, prediction)
        if wait := _wait(request):
            with suppress(TimeoutError):
                await asyncio.wait_for(prediction.end(), wait)
        return Response(201, json=prediction.json())

    def _content(self, prediction: Prediction) -> bytes:
        """What a server is sent."""
        return json.dumps({"id": prediction.name, "input": self.uploads.inlined(prediction.input)}).encode()

    def _found(self, id: str) -> dict[str, Any]:
        """Write a prediction; one of ours that is not there was interrupted, so that batches run it again."""
        if (prediction := self._predictions.get(id)) is not None:
            return prediction.json()
        if not id.startswith(_PREFIX) or len(id) != len(_PREFIX) + _ID:
            raise _not_there("There is no such prediction.")
        now = timestamp()
        return {
            "id": id,
            "status": "failed",
            "error": interrupted(_GONE),
            "output": None,
            "completed_at": now,
        }

    def _cancel(self, id: str) -> Response:
        """Cancel a prediction; one that has ended stays as it is."""
        if (prediction := self._predictions.get(id)) is None:
            return Response(200, json=self._found(id))
        if not prediction.done:
            self._pool.cancel(prediction)
        return Response(200, json=prediction.json())

    def _page(self, params: Mapping[str, str]) -> dict[str, Any]:
        """List predictions, newest first."""
        after, before = parse_time(params.get("created_after")), parse_time(params.get("created_before"))
        begin = params.get("cursor")
        page: list[Prediction] = []
        for each in self._newest_first():
            if begin is not None:
                begin = None if each.id == begin else begin
            elif (before is None or each.created < before) and (after is None or each.created >= after):
                page.append(each)
                if len(page) > _PAGE:
                    break
        shown = page[:_PAGE]
        link = f"{self.root}/predictions?cursor={shown[-1].id}" if len(page) > _PAGE else None
        return {"previous": None, "next": link, "results": [each.json(listed=True) for each in shown]}

    def _newest_first(self) -> Iterator[Prediction]:
        return reversed(self._predictions.values())

    def _keep(self, prediction: Prediction) -> None:
        """Keep a prediction, and forget what is old."""
        self._predictions[prediction.id] = prediction
        now, size, old = datetime.now(UTC), 0, list[str]()
        if len(self._predictions) % _PAGE:  # to look at all of them takes longer than a prediction
            return
        for each in self._newest_first():
            size += each.size
            ago = now - each.completed if each.completed else timedelta(0)
            if ago > _RETENTION or (size > _MOST_BYTES and ago > _AT_LEAST):
                each.forget()
        for id, each in self._predictions.items():
            if len(self._predictions) - len(old) <= _MOST_KEPT:
                break
            if each.done:
                old.append(id)
        for id in old:
            del self._predictions[id]

    # The model.

    async def _model(self, owner: str, name: str, request: Request) -> dict[str, Any]:
        """Describe the model, whatever it is called."""
        version = await self._version(request)
        return {
            "url": self.servers[0].url,
            "owner": owner,
            "name": name,
            "description": f"The model of the Cog server{'s' * (len(self.servers) > 1)} "
            f"{', '.join(each.url for each in self.servers)}.",
            "visibility": "private",
            "is_official": False,
            "run_count": len(self._predictions),
            "latest_version": version,
        }

    async def _version(self, request: Request) -> dict[str, Any]:
        """Describe what the servers run now."""
        await self._pool.looked()
        usable = [each for each in self.servers if each.usable]
        if not usable:
            self._refuse(request)
        inputs = {each.url: each.inputs for each in usable}
        if len(set(inputs.values())) > 1:
            told = "; ".join(f"{url} takes {', '.join(names) or 'anything'}" for url, names in inputs.items())
            raise Problem(
                409, f"The servers do not run the same model: {told}. Make one client for each model."
            )
        health = usable[0].health
        return {
            "id": self._version_id(),
            "created_at": health.started_at if health else timestamp(),
            "cog_version": (health.coglet if health else "") or None,
            "openapi_schema": usable[0].schema,
        }

    def _refuse(self, request: Request) -> None:
        """Say why no server can be asked."""
        told = "; ".join(f"{each.url}: {each.fault}" for each in self.servers)
        if all(each.health is None for each in self.servers):
            raise ConnectFailed(
                f"{request.named}: no Cog server can be used. {told}. Start one, for example with "
                "`replicate-kit cog serve FOLDER`.",
                request=request,
            )
        raise Problem(503, f"No Cog server can be used. {told}.", retry_after="1")

    def _version_id(self) -> str:
        """An id that stays the same as long as the schema does; "" where no server was seen yet."""
        known = next((each for each in self.servers if each.usable), None)
        return sha256(f"cog {known.version}".encode()).hexdigest() if known else ""


def path_of(root: str) -> str:
    """The path of a URL."""
    return root[root.index("/", root.index("://") + 3) :]


def _read(content: bytes) -> Mapping[str, Any]:
    """Read the body of a create."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Problem(400, "The body of the request is no JSON object.")
    return body


def _wait(request: Request) -> float:
    """For how many seconds the answer is to be held, and the client waits for it."""
    for each in request.headers.get("prefer", "").split(","):
        name, _, value = each.strip().partition("=")
        if name == "wait":
            seconds = float(value) if value.isdecimal() else 60.0
            return seconds if request.timeout.read is None else min(seconds, request.timeout.read * 0.9)
    return 0.0
