"""Collections of models."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from replicate_kit._runtime.blocking import blocking
from replicate_kit.compat.replicate.identifier import path_of
from replicate_kit.compat.replicate.model import Model
from replicate_kit.compat.replicate.pagination import Page
from replicate_kit.compat.replicate.resource import Namespace, Nested, Resource
from replicate_kit.records import Field

__all__ = ["Collection", "Collections"]


class Collection(Resource):
    """Models that belong together."""

    slug: Field[str] = Field()
    name: Field[str] = Field()
    description: Field[str] = Field()
    models: Nested = Nested(Model)

    @property
    def id(self) -> str:
        """Deprecated: use `slug`."""
        warnings.warn("Use `slug` instead of `id`", DeprecationWarning, stacklevel=2)
        return self.slug

    def __iter__(self) -> Iterator[Any]:
        return iter(self.models or [])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            return super().__getitem__(index)
        return None if self.models is None else self.models[index]

    def __len__(self) -> int:
        return len(self.models or [])


class Collections(Namespace):
    """Operations on collections."""

    async def async_list(self, cursor: Any = ...) -> Page[Collection]:
        """List collections: the first page, or the one that `cursor` leads to."""
        return await self._page(Collection, "collections", cursor)

    async def async_get(self, slug: str) -> Collection:
        """Fetch a collection with its models."""
        return await self._fetch(Collection, "GET", f"collections/{path_of(slug)}")

    list = blocking(async_list)
    get = blocking(async_get)
