"""Trainings: make a version of a model that knows something new."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from replicate_kit import errors
from replicate_kit._formats.references import Reference, escape
from replicate_kit._moved import answering, with_moved_names
from replicate_kit._runtime.blocking import blocking
from replicate_kit.records import Field
from replicate_kit.resources._jobs.creating import check_webhook, events_filter, mapping_of
from replicate_kit.resources._jobs.lifecycle import Job
from replicate_kit.resources._resource import Page, Resource, present, walk
from replicate_kit.resources.predictions import WebhookEvent

if TYPE_CHECKING:
    from replicate_kit._http.session import Session

__all__ = ["Training", "Trainings"]


class Training(Job):
    """One training. `reload`, `wait` and `cancel` change it in place.

    `output` has the new `version` and its `weights` when it has succeeded.
    """

    _path = "trainings"

    destination: Field[str | None] = Field()
    output: Field[dict[str, Any] | None] = Field()


@with_moved_names
class Trainings(Resource):
    """Operations on trainings: `client.trainings`."""

    @answering("create")
    async def async_create(
        self,
        model: Any = None,
        version: Any = None,
        input: Mapping[str, Any] | None = None,
        destination: str | tuple[str, str] | Any = None,
        *,
        webhook: str | None = None,
        webhook_events_filter: Iterable[WebhookEvent] | None = None,
    ) -> Training:
        """Start a training of a version of a model; the new version goes to the model `destination`,
        `owner/name`.

        The version is named as `model="owner/name", version="…"`, as `version="owner/name:…"`, or as the
        first of the positional arguments `"owner/name:…", input, destination`; a `Version` that came from its
        model works too, and models and destinations may be `Model`s or pairs of owner and name.

        >>> from replicate_kit import Client
        >>> client = Client(backend="mock")
        >>> model = client.models.create("local", "mine", visibility="private", hardware="cpu")
        >>> training = client.trainings.create(
        ...     client.models.get("demo/painter").latest_version, input={"prompt": "a wombat"}, destination="local/mine"
        ... )
        >>> training.wait()
        >>> sorted(training.output)
        ['version', 'weights']
        """
        if isinstance(version, Mapping):  # the positional form: reference, input, destination
            version, input, destination = None, version, destination if input is None else input
        ref = _version_to_train(model, version, self.session)
        events = events_filter(webhook_events_filter)
        check_webhook(webhook, self.session)
        body = {
            "destination": _destination(destination, self.session),
            "input": await self.session.encode(mapping_of(input)),  # which may upload files
            "webhook": webhook,
            "webhook_events_filter": events,
        }
        path = f"{Reference(ref.owner, ref.name).path}/versions/{escape(ref.version or '')}/trainings"
        started = await self.session.fetch("POST", path, json=present(body), check=Training.checked)
        return self._load(Training, started).created_now()

    async def async_get(self, id: str) -> Training:
        """Fetch a training by its id. Raises `NotFound` if there is none."""
        return await self._get(Training, f"trainings/{escape(id)}")

    async def async_list(self, cursor: str | None = None) -> Page[Training]:
        """List trainings, newest first, a page at a time. `cursor` is the `next` or `previous` of a page."""
        return await self._page(Training, "trainings", cursor)

    def async_list_all(self) -> AsyncIterator[Training]:
        """Give all trainings, newest first, fetching pages as they are needed."""
        return walk(self.async_list)

    async def async_cancel(self, id: str) -> Training:
        """Stop the training with this id; give it as it is then."""
        training = Training({"id": id}, self.session)
        await training.async_cancel()
        return training

    create = blocking(async_create)
    get = blocking(async_get)
    list = blocking(async_list)
    list_all = blocking(async_list_all)
    cancel = blocking(async_cancel)


def _version_to_train(model: Any, version: Any, session: Session) -> Reference:
    """Put together which version of which model is meant."""
    named = [_text_of(each) for each in (model, version) if each is not None]
    ref = session.hooks.parse_reference(
        ":".join(named) if len(named) == 2 and ":" not in named[1] else named[-1] if named else ""
    )
    if len(named) == 2 and ref.model is not None and not named[0].startswith(ref.model):
        raise errors.InvalidReference(
            f"model={named[0]!r} and version={named[1]!r} name two models. Pass one of them."
        )
    if ref.model is None or ref.version is None:
        raise errors.InvalidReference(
            f"A training needs a version of a model, not {' and '.join(named) or 'nothing'}. "
            "Pass model='owner/name' and version='…', or version='owner/name:…'."
        )
    return ref


def _text_of(thing: Any) -> str:
    """Write a model, a version or a pair of owner and name as a reference has it."""
    if isinstance(thing, tuple):
        return "/".join(map(str, thing))
    return str(getattr(thing, "reference", thing))


def _destination(thing: Any, session: Session) -> str:
    """Read where the new version goes: to a model, and to no version of one."""
    ref = session.hooks.parse_reference(_text_of(thing)) if thing else None
    if ref is None or ref.model is None or ref.version is not None:
        raise errors.InputError(
            "A training needs a destination: the model 'owner/name' that the new version goes to"
            f"{f', not {thing!r:.80}' if thing else ''}. Nothing was created."
        )
    return ref.model
