"""Predictions: run a model, look at how it goes, and take its output."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from replicate_kit import errors
from replicate_kit._blocking import blocking
from replicate_kit.records import Field, Record, parse_time
from replicate_kit.refs import Reference, escape
from replicate_kit.resource import Page, Resource, walk
from replicate_kit.sse import ServerSentEvent, decode

if TYPE_CHECKING:
    from replicate_kit.session import Session

__all__ = ["Prediction", "Predictions", "Status", "WebhookEvent"]

Status = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
WebhookEvent = Literal["start", "output", "logs", "completed"]

_ENDED = frozenset({"succeeded", "failed", "canceled", "aborted"})
_MOST_RECONNECTS = 5


class Prediction(Record):
    """One run of a model. `reload`, `wait` and `cancel` change it in place.

    Statuses are `starting`, `processing`, `succeeded`, `failed`, `canceled` and `aborted` (ended before it
    started, not billed); one that the API adds later reads as it is.

    >>> from replicate_kit import Client
    >>> prediction = Client(backend="mock").predictions.create(model="demo/poet", input={"prompt": "sea"})
    >>> prediction.wait()
    >>> prediction.status
    'succeeded'
    """

    id: Field[str] = Field(default="")
    status: Field[str] = Field(default="")
    model: Field[str | None] = Field()
    version: Field[str | None] = Field()
    deployment: Field[str | None] = Field()
    input: Field[dict[str, Any]] = Field(default={})
    error: Field[Any] = Field()
    logs: Field[str] = Field(default="")
    metrics: Field[dict[str, Any]] = Field(default={})
    source: Field[str | None] = Field()
    urls: Field[dict[str, str]] = Field(default={})
    data_removed: Field[bool] = Field(default=False)
    created_at: Field[datetime | None] = Field(parse_time)
    started_at: Field[datetime | None] = Field(parse_time)
    completed_at: Field[datetime | None] = Field(parse_time)
    deadline: Field[datetime | None] = Field(parse_time)
    webhook: Field[str | None] = Field()
    webhook_events_filter: Field[list[str] | None] = Field()

    @property
    def output(self) -> Any:
        """The output as Python values, files as `FileOutput`; None while there is none. The JSON is in
        `["output"]`.
        """
        value = self._json.get("output")
        return None if value is None else self.session.hooks.decode_output(value, self, self.session)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in _ENDED or self.completed_at is not None

    @property
    def progress(self) -> float | None:
        """How far it is, from 0 to 1, by the last progress bar in its logs (tqdm's form); None if it shows
        none.
        """
        return _progress(self.logs)

    def raise_for_status(self) -> None:
        """Raise `ModelError`, `PredictionCanceled` or `PredictionAborted` if it ended without success."""
        if self.status == "failed":
            raise errors.ModelError(
                str(self.error or "The model failed and gave no reason."), prediction=self
            )
        if self.status == "canceled":
            raise errors.PredictionCanceled(
                f"The prediction {self.id} was canceled while it ran, so it has no complete output. Run it "
                "again if you need one.",
                prediction=self,
            )
        if self.status == "aborted":
            raise errors.PredictionAborted(
                f"The prediction {self.id} was aborted before it started (its deadline passed or it was "
                "canceled in the queue). "
                "It is not billed; run it again, with a longer cancel_after if it had one.",
                prediction=self,
            )

    async def async_reload(self) -> None:
        """Fetch its present state. Raises `NotFound` if the API no longer knows it."""
        self._update(await self.session.fetch("GET", f"predictions/{escape(self.id)}"))

    async def async_cancel(self) -> None:
        """Stop it. One that has ended stays as it is."""
        path = f"predictions/{escape(self.id)}/cancel"
        # Cancelling twice does no more than cancelling once, so it may be sent again.
        self._update(await self.session.fetch("POST", path, repeatable=True))

    async def async_wait(
        self, timeout: float | None = None, *, progress: Callable[[Prediction], None] | None = None
    ) -> None:
        """Wait until it has ended, whichever way; `raise_for_status` tells which.

        `timeout` is in seconds; when it has passed, `PredictionTimeout` is raised and the prediction runs on.
        `progress` is called with the prediction whenever it was looked at.
        """
        session = self.session
        began, pause = session.now(), session.config.poll_interval
        while not self.ended:
            waited = session.now() - began
            if timeout is not None and waited >= timeout:
                raise errors.PredictionTimeout(
                    f"The prediction {self.id} is still {self.status!r} after {timeout:g} s. It runs on: "
                    "wait() again, or cancel() it.",
                    prediction=self,
                )
            # Look less often at what takes long: a twentieth of the time so far costs at most that much more.
            longer = min(max(pause, waited / 20), max(pause, 5.0))
            await session.sleep(longer if timeout is None else min(longer, timeout - waited))
            await self.async_reload()
            if progress is not None:
                progress(self)

    async def async_output_iterator(self) -> AsyncIterator[Any]:
        """Give the items of its output as they come, those that are already there included, until it has
        ended.

        Raises what `raise_for_status` does if it ends without success.
        """
        given = 0
        while True:
            items = self._items()
            for item in items[given:]:
                yield item
            given = max(given, len(items))
            if self.ended:
                break
            await self.session.sleep(self.session.config.poll_interval)
            await self.async_reload()
        self.raise_for_status()

    async def async_stream(self) -> AsyncGenerator[ServerSentEvent]:
        """Give the events of its stream as they come: output, logs, error and done.

        A stream that breaks off is resumed where it was. Raises `StreamError` if the model gives none or it
        stays broken, `ModelError` if the model fails.
        """
        url, last, broken = self._stream_url(), "", 0
        while True:
            try:
                async for event in _events(self.session, url, last):
                    last, broken = event.id or last, 0
                    if event.event == "error":
                        await self._fail(event)
                    yield event
                    if event.event == "done":
                        return
            except errors.TransportError as error:
                if broken >= _MOST_RECONNECTS:
                    raise errors.StreamError(
                        f"The stream of {self.id} broke off: {error}", prediction=self
                    ) from error
            broken += 1
            if broken > _MOST_RECONNECTS:
                raise errors.StreamError(
                    f"The stream of {self.id} ends before its model does. wait() for the prediction instead.",
                    prediction=self,
                )
            await self.session.sleep(min(0.1 * 2.0**broken, 5.0))

    reload = blocking(async_reload)
    cancel = blocking(async_cancel)
    wait = blocking(async_wait)
    output_iterator = blocking(async_output_iterator)
    stream = blocking(async_stream)

    def _items(self) -> list[Any]:
        """The items of the output so far; an output that is no list is one item."""
        output = self.output
        return output if isinstance(output, list) else [] if output is None else [output]

    def _stream_url(self) -> str:
        """Where its events are."""
        url = self.urls.get("stream")
        if not url:
            raise errors.StreamError(
                f"The model {self.model or ''} of the prediction {self.id} gives no stream. Use run(), or "
                "wait() for this prediction.",
                prediction=self,
            )
        return url

    async def _fail(self, event: ServerSentEvent) -> None:
        """Raise what an error event stands for, with the prediction as it is now."""
        await self.async_reload()
        self.raise_for_status()
        raise errors.ModelError(_detail(event), prediction=self)

    def _update(self, json: Any) -> None:
        """Take in what the API now says, and tell the plugins."""
        previous = type(self)(self._json, self._session)
        self._json = _object(json)
        if self._json != previous._json:
            self.session.hooks.prediction_changed(self, previous)


async def _events(session: Session, url: str, last_id: str) -> AsyncIterator[ServerSentEvent]:
    """Read one connection's worth of events."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    response = await session.open(url, headers={**headers, "Last-Event-ID": last_id} if last_id else headers)
    try:
        async for event in decode(response.aiter_bytes()):
            yield event
    finally:
        await response.aclose()


class Predictions(Resource):
    """Operations on predictions: `client.predictions`."""

    async def async_create(
        self,
        version: Any = None,
        input: Mapping[str, Any] | None = None,
        *,
        model: Any = None,
        deployment: Any = None,
        wait: bool | int = False,
        stream: bool | None = None,
        webhook: str | None = None,
        webhook_events_filter: Iterable[WebhookEvent] | None = None,
        cancel_after: float | str | None = None,
        timeout: float | None = None,
    ) -> Prediction:
        """Start a prediction of a version, a model or a deployment, and give it at once.

        `version` is a `Version`, its id, or any reference; `model` and `deployment` are objects or
        `owner/name`. A model that can only be run by version is run by its latest one. `wait` asks the API to
        hold its answer until the prediction has ended, for 1 to 60 seconds (True: 60). `cancel_after` ends
        the prediction so many seconds after its creation, at least 5 (or a text such as "1m30s"). `timeout`
        is that of the request, in seconds. `stream` is deprecated by the API, which streams where it can.

        Raises `InputError` for an input that cannot be sent, `ValidationError` for one that the API refuses,
        and `UncertainCreate` where it is unknown whether the prediction was created: it is never sent twice.

        >>> from replicate_kit import Client
        >>> client = Client(backend="mock")
        >>> client.predictions.create(model="demo/poet", input={"prompt": "sea"}, wait=True).status
        'succeeded'
        """
        ref = _the_one(version=version, model=model, deployment=deployment, session=self.session)
        body: dict[str, Any] = {
            "input": await self.session.encode(input or {}),
            "stream": stream,
            "webhook": webhook,
            "webhook_events_filter": None if webhook_events_filter is None else list(webhook_events_filter),
        }
        body = {key: value for key, value in body.items() if value is not None}
        headers = {**_prefer(wait), **_deadline(cancel_after)}
        seconds = max(self.session.config.timeout, 60 + 30) if wait and timeout is None else timeout
        return self.load(await self._post(ref, body, headers, seconds))

    async def async_get(self, id: str, /) -> Prediction:
        """Fetch a prediction by its id. Raises `NotFound` if there is none.

        >>> from replicate_kit import Client
        >>> client = Client(backend="mock")
        >>> created = client.predictions.create(model="demo/poet", input={"prompt": "sea"})
        >>> client.predictions.get(created.id).id == created.id
        True
        """
        return self.load(await self.session.fetch("GET", f"predictions/{escape(id)}"))

    async def async_list(
        self,
        cursor: str | None = None,
        *,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        source: Literal["web"] | None = None,
    ) -> Page[Prediction]:
        """List predictions, newest first, a page of 100 at a time.

        `cursor` is the `next` or `previous` of a page. `created_after` and `created_before` are aware
        datetimes or ISO 8601 texts. `source="web"` lists only those made on the website.

        >>> from replicate_kit import Client
        >>> client = Client(backend="mock")
        >>> created = client.predictions.create(model="demo/poet", input={"prompt": "sea"})
        >>> created.id in [each.id for each in client.predictions.list()]
        True
        """
        filters = {
            "created_after": _iso(created_after),
            "created_before": _iso(created_before),
            "source": source,
        }
        return await self._page("predictions", cursor, self.load, filters)

    def async_list_all(self, /, **filters: Any) -> AsyncIterator[Prediction]:
        """Give all predictions, newest first, fetching pages as they are needed. Takes the filters of
        `list`.
        """
        return walk(lambda cursor: self.async_list(cursor, **(filters if cursor is None else {})))

    async def async_cancel(self, id: str, /) -> Prediction:
        """Stop the prediction with this id; give it as it is then."""
        prediction = self.load({"id": id}, announce=False)
        await prediction.async_cancel()
        return prediction

    create = blocking(async_create)
    get = blocking(async_get)
    list = blocking(async_list)
    list_all = blocking(async_list_all)
    cancel = blocking(async_cancel)

    def load(self, json: Any, *, announce: bool = True) -> Prediction:
        """Make the record of a prediction that the API sent, as a webhook does too."""
        prediction = Prediction(_object(json), self.session)
        if announce:
            self.session.hooks.prediction_changed(prediction, None)
        return prediction

    async def _post(
        self, ref: Reference, body: dict[str, Any], headers: dict[str, str], timeout: float | None
    ) -> Any:
        """Create by whichever operation the reference needs; a model that only runs by version by its latest
        one.
        """
        options: dict[str, Any] = {"headers": headers, "timeout": timeout}
        if ref.version is not None:
            return await self.session.fetch(
                "POST", "predictions", json={"version": ref.version, **body}, **options
            )
        try:
            return await self.session.fetch("POST", f"{ref.path}/predictions", json=body, **options)
        except errors.NotFound:
            # 404 says that nothing was created: community models have no predictions of their own, only versions.
            if ref.deployment or (version := await self._latest_version(ref)) is None:
                raise
        return await self.session.fetch("POST", "predictions", json={"version": version, **body}, **options)

    async def _latest_version(self, ref: Reference) -> str | None:
        """Find the id of a model's latest version; raises `NotFound` if there is no such model."""
        model = await self.session.fetch("GET", ref.path)
        latest = model.get("latest_version") if isinstance(model, dict) else None
        return latest.get("id") if isinstance(latest, dict) else None


def reference_of(thing: Any, session: Session, *, deployment: bool = False) -> Reference:
    """See what is meant by a text, a Reference, or a record that has one."""
    if isinstance(thing, str):
        # A deployment's own name has no prefix where it is clear that a deployment is meant.
        prefixed = f"deployments/{thing}" if deployment and thing.count("/") == 1 else thing
        return session.hooks.parse_reference(prefixed)
    ref = thing if isinstance(thing, Reference) else getattr(thing, "reference", None)
    if isinstance(ref, Reference):
        return ref
    raise errors.InvalidReference(
        f"{thing!r} does not name what to run. Pass 'owner/name', 'owner/name:version', "
        "'deployments/owner/name', a version id, "
        "or a Model, Version or Deployment."
    )


def _the_one(*, session: Session, **named: Any) -> Reference:
    """Take the one thing that was named to be run."""
    given = {key: value for key, value in named.items() if value is not None}
    if len(given) != 1:
        raise errors.InputError(
            f"Pass exactly one of version, model and deployment, not {', '.join(given) or 'none of them'}."
        )
    ((kind, thing),) = given.items()
    return reference_of(thing, session, deployment=kind == "deployment")


def _prefer(wait: bool | int) -> dict[str, str]:
    """Ask the API to hold its answer. It takes 1 to 60 seconds (its OpenAPI description, header Prefer)."""
    if wait is False or wait is None:
        return {}
    if wait is True:
        return {"Prefer": "wait"}
    if isinstance(wait, int) and 1 <= wait <= 60:
        return {"Prefer": f"wait={wait}"}
    raise errors.InputError(
        f"wait={wait!r} is not True, False or a whole number of seconds from 1 to 60. To wait longer, use "
        "run(…, timeout=…) or wait()."
    )


def _deadline(cancel_after: float | str | None) -> dict[str, str]:
    """Ask the API to end the prediction after a time, at least 5 seconds (its OpenAPI description, header
    Cancel-After).
    """
    if cancel_after is None:
        return {}
    if isinstance(cancel_after, str):
        return {"Cancel-After": cancel_after}
    if cancel_after < 5:
        raise errors.InputError(
            f"cancel_after={cancel_after!r} is less than the 5 seconds that the API asks for at least."
        )
    return {"Cancel-After": f"{int(cancel_after)}s"}


def _iso(moment: datetime | str | None) -> str | None:
    """Write a moment as the API reads it."""
    return moment.isoformat() if isinstance(moment, datetime) else moment


def _object(json: Any) -> dict[str, Any]:
    """Check that a prediction came."""
    if isinstance(json, dict) and isinstance(json.get("id"), str):
        return json
    raise errors.InvalidResponse(
        "The API's answer is not a prediction. Check that base_url leads to Replicate's API."
    )


def _detail(event: ServerSentEvent) -> str:
    """What an error event says."""
    try:
        return str(event.json()["detail"])
    except (ValueError, TypeError, KeyError):
        return event.data or "The model failed and gave no reason."


def _progress(logs: str) -> float | None:
    """Find the last percentage of a progress bar."""
    import re

    found = re.findall(r"(\d{1,3})%\|", logs[-4000:])
    return min(int(found[-1]), 100) / 100 if found else None
