"""Predictions: run a model, look at how it goes, and take its output."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, Unpack

from replicate_kit import errors
from replicate_kit._formats.arguments import check_function, choice, seconds_or_none, timestamp
from replicate_kit._formats.references import Reference, escape
from replicate_kit._moved import answering, with_moved_names
from replicate_kit._runtime.blocking import blocking
from replicate_kit.records import Field, parse_time
from replicate_kit.resources._jobs.creating import (
    WebhookEvent,
    cancel_after_header,
    check_webhook,
    create_of,
    events_filter,
    mapping_of,
    prefer_header,
    the_one,
)
from replicate_kit.resources._jobs.lifecycle import Job
from replicate_kit.resources._resource import Page, Resource, present, walk

if TYPE_CHECKING:
    from replicate_kit._formats.sse import ServerSentEvent
    from replicate_kit._http.session import Session
    from replicate_kit.resources._saving.choosing import When
    from replicate_kit.resources._saving.saving import Told
    from replicate_kit.schema import ModelSchema
    from replicate_kit.storage import SavedOutput
    from replicate_kit.stores._saving import Destination

__all__ = ["CreateOptions", "Prediction", "Predictions", "PredictionsOf", "WebhookEvent"]

Saved: TypeAlias = "list[SavedOutput]"

_CHUNKS = 0.5  # seconds between two looks for more of an output, where nobody said how often


class CreateOptions(TypedDict, total=False):
    """The options of creating a prediction; see `Predictions.create`."""

    wait: bool | int
    stream: bool | None
    webhook: str | None
    webhook_events_filter: Iterable[WebhookEvent] | None
    cancel_after: float | str | None
    timeout: float | None


class Prediction(Job):
    """One run of a model. `reload`, `wait` and `cancel` change it in place.

    >>> from replicate_kit import Client
    >>> prediction = Client(backend="mock").predictions.create(model="demo/poet", input={"prompt": "sea"})
    >>> prediction.wait()
    >>> prediction.status
    'succeeded'
    """

    _path = "predictions"

    deployment: Field[str | None] = Field()
    deadline: Field[datetime | None] = Field(parse_time)

    schema: ModelSchema | None = None
    """The schema of its model where that is at hand: it tells files from text in the output."""

    label: str | None = None
    """The label of the run over rows that it belongs to: `label=` of `Client.map`."""

    @property
    def output(self) -> Any:
        """The output as Python values, files as `FileOutput`; None while there is none. The JSON is in
        `["output"]`.
        """
        value = self._json.get("output")
        return None if value is None else self.session.hooks.decode_output(value, self, self.session)

    async def async_output_iterator(self) -> AsyncGenerator[Any]:
        """Give the items of its output as they come, those that are already there included, until it has
        ended.

        Raises what `raise_for_status` does if it ends without success.
        """
        given = 0
        if self.status == "canceled" and not self._items():
            await self.async_reload()  # the answer to a cancel leaves out what had come until then
        while True:
            items = self._items()
            for item in items[given:]:
                yield item
            given = max(given, len(items))
            if self.ended:
                break
            interval = self.session.config.poll_interval
            await self.session.sleep(_CHUNKS if interval is None else interval)
            await self.async_reload()
        self.raise_for_status()

    @answering("prediction.stream")
    async def async_stream(self) -> AsyncGenerator[ServerSentEvent]:
        """Give the events of its stream as they come: output, logs, error and done.

        A stream that breaks off is resumed where it was. A prediction that has none gives its output once it has
        ended: an output event for each item of a list, or one for all, and done. Raises `StreamError` if the stream
        stays broken, and what `raise_for_status` does if the prediction ends without success.
        """
        from replicate_kit.resources._jobs.streaming import events_of, output_as_events

        streams = bool(self.urls.get("stream"))
        async with aclosing(events_of(self) if streams else output_as_events(self)) as events:
            async for event in events:
                yield event

    output_iterator = blocking(async_output_iterator)
    stream = blocking(async_stream)

    def _items(self) -> list[Any]:
        """The items of the output so far; an output that is no list is one item."""
        output = self.output
        return output if isinstance(output, list) else [] if output is None else [output]

    def _changed(self, previous: dict[str, Any]) -> None:
        """Tell the plugins, with a snapshot of what was known before."""
        self.session.hooks.prediction_changed(self, Prediction(previous, self._session))


@with_moved_names
class Predictions(Resource):
    """Operations on predictions: `client.predictions`."""

    @answering("create")
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
        >>> client.predictions.create(model="demo/poet", input={"prompt": "sea"}, wait=True).output is None
        False
        """
        ref = the_one(version=version, model=model, deployment=deployment, session=self.session)
        headers = {**prefer_header(wait), **cancel_after_header(cancel_after)}
        events, patience = (
            events_filter(webhook_events_filter),
            seconds_or_none("timeout", timeout, positive=True),
        )
        check_webhook(webhook, self.session)
        if not isinstance(stream, bool | None):
            raise errors.InputError(f"stream={stream!r:.80} is neither True nor False. Nothing was created.")
        body: dict[str, Any] = {
            "input": await self.session.encode(mapping_of(input)),  # which may upload files
            "stream": stream,
            "webhook": webhook,
            "webhook_events_filter": events,
        }
        # The API may keep its answer back for 60 seconds. A timeout before that would give up a prediction that is paid
        # for, before its id is known.
        if headers.get("Prefer") and patience is None:
            patience = max(self.session.config.timeout, 60 + 30)
        began = self.session.now()
        json = await self._post(ref, present(body), headers=headers, timeout=patience)
        prediction = self.load(json).created_now(began if headers.get("Prefer") else None)
        self.session.hooks.prediction_created(prediction)
        return prediction

    async def async_get(self, id: str) -> Prediction:
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
            "created_after": timestamp("created_after", created_after),
            "created_before": timestamp("created_before", created_before),
            "source": choice("source", source, ("web",)),
        }
        return await self._page(Prediction, "predictions", cursor, filters)

    def async_list_all(self, /, **filters: Any) -> AsyncIterator[Prediction]:
        """Give all predictions, newest first, fetching pages as they are needed. Takes the filters of
        `list`.
        """
        return walk(self.async_list, **filters)

    async def async_cancel(self, id: str) -> Prediction:
        """Stop the prediction with this id; give it as it is then."""
        prediction = Prediction({"id": id}, self.session)
        await prediction.async_cancel()
        return prediction

    async def async_save(
        self,
        to: Destination,
        *,
        since: When = "2h",
        until: When | None = None,
        model: Any = None,
        status: str | Iterable[str] = "succeeded",
        limit: int | None = None,
        storage_options: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        progress: Told | None = None,
    ) -> Saved:
        """Store the files of predictions that have run already, before the API removes them; it does so an hour after
        their end.

        The oldest come first, and several are stored at a time. What an earlier call has stored in the same place is
        not stored again, also where that was killed: `manifest.jsonl` there lists it. Gives what became of each
        prediction; one whose files are gone, or could not be stored, raises nothing.

        - `to`: a folder, fsspec URL or `SaveTo`, as for `save_to` of `run`. A template of names has the fields `date`
          (of the creation, in UTC) and `status` beside those of predictions; without one it is
          "{date}/{model}/{prediction_id}-{index}{ext}". `storage_options` go to the filesystem.
        - `since`, `until`: when they were created: aware datetimes, days of UTC, texts in ISO 8601, a `timedelta` or a
          text such as "2h", "90m" or "1d" before now.
        - `model`: only those of this model, version or deployment, as for `run`.
        - `status`: "succeeded", "failed", "canceled", or several: the latter two may have a part of their output.
        - `limit`: no more than the newest so many.
        - `dry_run`: store nothing; the records of files say where they would go, and their sizes where known.
        - `progress`: called with each `SavedOutput` as it is known, how many are done and how many there are; in
          blocking code on another thread.

        Raises `InputError`, `ConfigError` and `FileError` for what cannot be meant, and for a place that takes no
        files, before anything is stored.

        >>> from replicate_kit import Client
        >>> client = Client(backend="mock")
        >>> client.predictions.create(model="demo/painter", input={"prompt": "a hill"}).wait()
        >>> {each.outcome for each in client.predictions.save("rescued/", model="demo/painter")}
        {'saved'}
        """
        from replicate_kit.resources._saving.choosing import Choice
        from replicate_kit.resources._saving.saving import Saving, target_of

        check_function("progress", progress, "one that is called with each SavedOutput and two numbers")
        wanted = Choice.of(self, since, until, model, status, limit)
        target = await target_of(to, storage_options, self.session)
        saving = Saving(self.session, target, dry=dry_run, told=progress)
        return await saving.run(await wanted.listed(self))

    create = blocking(async_create)
    get = blocking(async_get)
    list = blocking(async_list)
    list_all = blocking(async_list_all)
    cancel = blocking(async_cancel)
    save = blocking(async_save)

    def load(self, json: Any) -> Prediction:
        """Make the record of a prediction that the API sent, and tell the plugins."""
        prediction = Prediction(Prediction.checked(json), self.session)
        self.session.hooks.prediction_changed(prediction, None)
        return prediction

    async def _post(self, ref: Reference, body: dict[str, Any], **options: Any) -> Any:
        """Create by whichever operation the reference needs; a model that only runs by version by its latest one."""
        options["check"] = Prediction.checked
        path, json = create_of(ref, body)
        try:
            return await self.session.fetch("POST", path, json=json, **options)
        except errors.NotFound:
            # 404 says that nothing was created: community models have no predictions of their own, only versions.
            if ref.version or ref.deployment or (version := await self._latest_version(ref)) is None:
                raise
        return await self.session.fetch("POST", "predictions", json={"version": version, **body}, **options)

    async def _latest_version(self, ref: Reference) -> str | None:
        """Find the id of a model's latest version; raises `NotFound` if there is no such model."""
        model = await self.session.fetch("GET", ref.path)
        latest = model.get("latest_version") if isinstance(model, dict) else None
        return latest.get("id") if isinstance(latest, dict) else None


class PredictionsOf(Resource):
    """The predictions of one model, version or deployment: `deployment.predictions`."""

    def __init__(self, session: Session, reference: Reference) -> None:
        super().__init__(session)
        self._reference = reference

    @answering("create")
    async def async_create(self, input: Mapping[str, Any], **options: Unpack[CreateOptions]) -> Prediction:
        """Start a prediction of it. Takes the options of `client.predictions.create`."""
        return await Predictions(self.session).async_create(self._reference, input, **options)

    create = blocking(async_create)
