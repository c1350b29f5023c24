"""Collections: models that belong together."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator

from replicate_kit._formats.references import escape
from replicate_kit._runtime.blocking import blocking
from replicate_kit.records import Field, Record, records
from replicate_kit.resources._resource import Page, Resource, walk
from replicate_kit.resources.models import Model

__all__ = ["Collection", "Collections"]


class Collection(Record):
    """A collection. A listing leaves its `models` out; `get` has them."""

    _named_by = ("slug",)

    name: Field[str] = Field(default="")
    slug: Field[str] = Field(default="")
    description: Field[str | None] = Field()

    @property
    def models(self) -> builtins.list[Model] | None:
        """Its models, ready to be run; None where they were not sent."""
        models = self._json.get("models")
        return None if models is None else records(Model, models, self._session)


class Collections(Resource):
    """Operations on collections: `client.collections`."""

    async def async_list(self, cursor: str | None = None) -> Page[Collection]:
        """List the collections, a page at a time. `cursor` is the `next` or `previous` of a page.

        >>> from replicate_kit import Client
        >>> Client(backend="mock").collections.list()
        [<Collection: demo>, <Collection: text-to-image>]
        """
        return await self._page(Collection, "collections", cursor)

    def async_list_all(self) -> AsyncIterator[Collection]:
        """Give all collections, fetching pages as they are needed."""
        return walk(self.async_list)

    async def async_get(self, slug: str) -> Collection:
        """Fetch a collection with its models. Raises `NotFound` if there is none.

        >>> from replicate_kit import Client
        >>> Client(backend="mock").collections.get("demo").models[0].owner
        'demo'
        """
        return await self._get(Collection, f"collections/{escape(slug)}")

    list = blocking(async_list)
    list_all = blocking(async_list_all)
    get = blocking(async_get)
