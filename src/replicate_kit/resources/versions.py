"""The versions of a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from replicate_kit._formats.references import Reference, escape
from replicate_kit._moved import with_moved_names
from replicate_kit._runtime.blocking import blocking
from replicate_kit.records import Field, Record, parse_time
from replicate_kit.resources._resource import K, Page, Resource, walk
from replicate_kit.resources._running.running import Run, Runnable
from replicate_kit.resources.predictions import PredictionsOf
from replicate_kit.schema import ModelSchema

if TYPE_CHECKING:
    from replicate_kit._http.session import Session

__all__ = ["Version", "Versions"]


class Version(Record):
    """One version of a model: what runs when the reference names it.

    >>> from replicate_kit import Client
    >>> version = Client(backend="mock").models.get("demo/painter").latest_version
    >>> version.predict(prompt="a wombat")[0].media_type
    'image/png'
    """

    id: Field[str] = Field(default="")
    created_at: Field[datetime | None] = Field(parse_time)
    cog_version: Field[str | None] = Field()
    openapi_schema: Field[dict[str, Any] | None] = Field()

    model: Reference | None = None
    """The model that it is a version of, where that is known."""

    @property
    def reference(self) -> Reference:
        """What `run` takes for it."""
        return (
            Reference(self.model.owner, self.model.name, self.id)
            if self.model
            else Reference(version=self.id)
        )

    @property
    def predictions(self) -> PredictionsOf:
        """Its predictions: `version.predictions.create(input)`."""
        return PredictionsOf(self.session, self.reference)

    @cached_property
    def schema(self) -> ModelSchema | None:
        """Its inputs and outputs; None where the API does not show them."""
        return ModelSchema(self.openapi_schema) if self.openapi_schema else None

    async def async_predict(self, /, **inputs: Any) -> Any:
        """Run it and give its output, as `client.run` does."""
        return await Run()(Runnable(self.reference, schema=self.schema), inputs, self.session)

    predict = blocking(async_predict)

    def of(self, model: Reference) -> Version:
        """Say which model it is a version of; gives itself."""
        self.model = model
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (self._json, self.model)


def _revive(json: Mapping[str, Any], model: Reference | None) -> Version:
    """Rebuild a version that was pickled."""
    version = Version(json)
    return version.of(model) if model else version


@with_moved_names
class Versions(Resource):
    """Operations on the versions of one model: `model.versions`."""

    def __init__(self, session: Session, model: Reference) -> None:
        super().__init__(session)
        self._model = model

    async def async_get(self, id: str) -> Version:
        """Fetch a version by its id. Raises `NotFound` if the model has none such."""
        return await self._get(Version, f"{self._model.path}/versions/{escape(id)}")

    async def async_list(self, cursor: str | None = None) -> Page[Version]:
        """List the versions, newest first. `cursor` is the `next` or `previous` of a page."""
        return await self._page(Version, f"{self._model.path}/versions", cursor)

    def async_list_all(self) -> AsyncIterator[Version]:
        """Give all versions, newest first, fetching pages as they are needed."""
        return walk(self.async_list)

    async def async_delete(self, id: str) -> None:
        """Delete a version of one's own private model, with its predictions and files; the API does so after
        a while.
        """
        await self.session.fetch("DELETE", f"{self._model.path}/versions/{escape(id)}")

    get = blocking(async_get)
    list = blocking(async_list)
    list_all = blocking(async_list_all)
    delete = blocking(async_delete)

    def _load(self, kind: type[K], json: Any) -> K:
        """Make the record of a version that knows its model."""
        record = super()._load(kind, json)
        if isinstance(record, Version):
            record.of(self._model)
        return record
