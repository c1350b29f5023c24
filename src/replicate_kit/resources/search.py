"""Search over models, collections and documentation pages."""

from __future__ import annotations

import builtins
from typing import Any

from replicate_kit._formats.arguments import text, whole
from replicate_kit._runtime.blocking import blocking
from replicate_kit.records import Record, records
from replicate_kit.resources._resource import Resource, present
from replicate_kit.resources.collections import Collection
from replicate_kit.resources.models import Model

__all__ = ["Search", "SearchResults"]


class SearchResults(Record):
    """What a search found."""

    _named_by = ("query",)

    @property
    def models(self) -> builtins.list[Model]:
        """Models, the most fitting first, ready to be run. What the search knows of each besides is in
        `["models"]`.
        """
        found = records(Record, self._json.get("models"), self._session)
        return records(Model, [dict(each).get("model", dict(each)) for each in found], self._session)

    @property
    def collections(self) -> builtins.list[Collection]:
        """Collections, without their models."""
        found = records(Collection, self._json.get("collections"), self._session)
        return [Collection(_without_models(dict(each)), self._session) for each in found]

    @property
    def pages(self) -> builtins.list[Record]:
        """Pages of the documentation, with `name` and `href`."""
        return records(Record, self._json.get("pages"), self._session)


def _without_models(collection: dict[str, Any]) -> dict[str, Any]:
    """Leave out the names of models, which are not the models that a `Collection` has."""
    return {key: value for key, value in collection.items() if key != "models"}


class Search(Resource):
    """Search: `client.search.query("…")`, or `client.search("…")` for short."""

    async def async_query(self, query: str, *, limit: int | None = None) -> SearchResults:
        """Search models, collections and pages by words. `limit` is the most models to give: 1 to 50, 20 if
        not given.

        >>> from replicate_kit import Client
        >>> Client(backend="mock").search("painter").models
        [<Model: demo/painter>]
        """
        most = None if limit is None else whole("limit", limit, 1, 50)  # of the API's OpenAPI description
        asked = present({"query": text("query", query), "limit": most})
        return self._load(SearchResults, await self.session.fetch("GET", "search", params=asked))

    query = blocking(async_query)

    def __call__(self, query: str, *, limit: int | None = None) -> SearchResults:
        """Search; the same as `query`."""
        return self.query(query, limit=limit)
