"""Models."""

from __future__ import annotations

import warnings
from typing import Any

from replicate_kit._blocking import blocking
from replicate_kit.compat.replicate.identifier import owner_and_name
from replicate_kit.compat.replicate.pagination import Page
from replicate_kit.compat.replicate.prediction import Prediction, create
from replicate_kit.compat.replicate.resource import Namespace, Nested, Resource
from replicate_kit.compat.replicate.version import Version, Versions
from replicate_kit.records import Field
from replicate_kit.refs import escape
from replicate_kit.resource import present

__all__ = ["Model", "Models", "ModelsPredictions"]


class Model(Resource):
    """A model."""

    url: Field[str] = Field()
    owner: Field[str] = Field()
    name: Field[str] = Field()
    description: Field[str | None] = Field()
    visibility: Field[str] = Field()
    github_url: Field[str | None] = Field()
    paper_url: Field[str | None] = Field()
    license_url: Field[str | None] = Field()
    run_count: Field[int] = Field()
    cover_image_url: Field[str | None] = Field()
    default_example: Nested = Nested(Prediction)
    latest_version: Nested = Nested(Version)

    @property
    def id(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    @property
    def username(self) -> str:
        """Deprecated: use `owner`."""
        warnings.warn("Use `model.owner` instead.", DeprecationWarning, stacklevel=2)
        return self.owner

    @property
    def versions(self) -> Versions:
        """The operations on its versions."""
        return Versions(self._client, self)

    async def async_reload(self) -> None:
        """Fetch its present state."""
        self._json = dict((await self._client.models.async_get(self.id))._json)

    reload = blocking(async_reload)

    def predict(self, /, **inputs: Any) -> Any:
        """Run it and give its output."""
        return self._client.run(self, input=inputs)


class Models(Namespace):
    """Operations on models."""

    model = Model

    @property
    def predictions(self) -> ModelsPredictions:
        """The operations on models' predictions."""
        return ModelsPredictions(self._client)

    async def async_list(self, cursor: Any = ...) -> Page[Model]:
        """List the public models: the first page, or the one that `cursor` leads to."""
        return await self._page(Model, "models", cursor)

    async def async_search(self, query: str) -> Page[Model]:
        """Find public models by words."""
        return await self._page(
            Model, "models", method="QUERY", content=query, headers={"Content-Type": "text/plain"}
        )

    async def async_get(self, /, *args: str, **named: str) -> Model:
        """Fetch a model by its key `owner/name`, or by `owner` and `name`."""
        return await self._fetch(Model, "GET", _path(*args, **named))

    async def async_delete(self, /, *args: str, **named: str) -> bool:
        """Delete a model, named as for `get`; tell whether it is gone."""
        return await self._deleted(_path(*args, **named))

    async def async_create(
        self,
        owner: str,
        name: str,
        *,
        visibility: str,
        hardware: str,
        description: str | None = None,
        github_url: str | None = None,
        paper_url: str | None = None,
        license_url: str | None = None,
        cover_image_url: str | None = None,
    ) -> Model:
        """Create an empty model."""
        body = present({name: value for name, value in locals().items() if name != "self"})
        return await self._fetch(Model, "POST", "models", json=body)

    list = blocking(async_list)
    search = blocking(async_search)
    get = blocking(async_get)
    delete = blocking(async_delete)
    create = blocking(async_create)


class ModelsPredictions(Namespace):
    """Operations on the predictions of models."""

    async def async_create(self, /, model: Any, input: Any, **params: Any) -> Prediction:
        """Start a prediction of a model."""
        owner, name = owner_and_name(model, "model")
        return await create(
            self._client, f"models/{escape(owner)}/{escape(name)}/predictions", input, **params
        )

    create = blocking(async_create)


def _path(*args: str, **named: str) -> str:
    """Where a model is."""
    if (args and named) or len(args) > 2:
        raise ValueError("Name a model by its key owner/name, or by owner and name, in one way only.")
    if len(args) == 2:
        named = {"owner": args[0], "name": args[1]}
    key = args[0] if len(args) == 1 else named.get("key")
    if key and (named.get("owner") or named.get("name")):
        raise ValueError("Name a model by its key owner/name, or by owner and name, in one way only.")
    parts = key.split("/") if key else [named.get("owner", ""), named.get("name", "")]
    if not all(parts):
        raise ValueError("A model is named by its key owner/name, or by both owner and name.")
    return "/".join(("models", *map(escape, parts)))
