"""The versions of a model."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from replicate_kit._runtime.blocking import blocking
from replicate_kit.compat.replicate.identifier import halves, path_of
from replicate_kit.compat.replicate.pagination import Page
from replicate_kit.compat.replicate.resource import Namespace, Resource
from replicate_kit.records import Field, parse_time

if TYPE_CHECKING:
    from replicate_kit.compat.replicate.client import Client

__all__ = ["Version", "Versions"]


class Version(Resource):
    """A version of a model."""

    id: Field[str] = Field()
    created_at: Field[datetime | None] = Field(parse_time)
    cog_version: Field[str] = Field()
    openapi_schema: Field[dict[str, Any]] = Field()

    async def async_predict(self, /, **inputs: Any) -> Any:
        """Run it and give its output."""
        return await self._client.async_run(self, input=inputs)

    def predict(self, /, **inputs: Any) -> Any:
        """Run it and give its output."""
        return self._client.run(self, input=inputs)


class Versions(Namespace):
    """Operations on the versions of one model."""

    def __init__(self, client: Client, model: Any) -> None:
        super().__init__(client)
        from replicate_kit.compat.replicate.model import Model

        self.model = (model.owner, model.name) if isinstance(model, Model) else model
        if isinstance(model, str):
            self.model = halves(model)

    async def async_get(self, id: str) -> Version:
        """Fetch a version by its id."""
        return await self._fetch(Version, "GET", f"{self._path}/{path_of(id)}")

    async def async_list(self) -> Page[Version]:
        """List the versions."""
        return await self._page(Version, self._path)

    async def async_delete(self, id: str) -> bool:
        """Delete a version."""
        return await self._deleted(f"{self._path}/{path_of(id)}")

    get = blocking(async_get)
    list = blocking(async_list)
    delete = blocking(async_delete)

    @property
    def _path(self) -> str:
        """Where they are."""
        return f"models/{path_of(self.model[0], self.model[1])}/versions"
