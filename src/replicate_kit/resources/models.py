"""Models and their versions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from replicate_kit._blocking import blocking
from replicate_kit.errors import InvalidReference, InvalidResponse, NotFound
from replicate_kit.records import Field, Record, parse_time
from replicate_kit.refs import Reference, escape
from replicate_kit.resource import Page, Resource, walk
from replicate_kit.schema import ModelSchema

if TYPE_CHECKING:
    from replicate_kit.session import Session

__all__ = ["Model", "Models", "Runnable", "Version", "Versions"]

_REMEMBERED_FOR = 300.0  # seconds; a new version of a model is noticed after this time at the latest


class Version(Record):
    """One version of a model: what runs when the reference names it."""

    id: Field[str] = Field(default="")
    created_at: Field[datetime | None] = Field(parse_time)
    cog_version: Field[str | None] = Field()
    openapi_schema: Field[dict[str, Any] | None] = Field()

    def __init__(self, json: Any, session: Any = None, model: str | None = None) -> None:
        super().__init__(json, session)
        self._model = model

    @property
    def reference(self) -> Reference:
        """What `run` takes for it."""
        return Reference.parse(f"{self._model}:{self.id}") if self._model else Reference(version=self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return Version, (self._json, None, self._model)


class Model(Record):
    """A model, with its latest version where it has one.

    >>> from replicate_kit import Client
    >>> Client(backend="mock").models.get("demo/poet")
    <Model: demo/poet>
    """

    _named_by = ("owner", "name")

    owner: Field[str] = Field(default="")
    name: Field[str] = Field(default="")
    url: Field[str | None] = Field()
    description: Field[str | None] = Field()
    visibility: Field[str | None] = Field()
    is_official: Field[bool] = Field(default=False)
    run_count: Field[int] = Field(default=0)
    github_url: Field[str | None] = Field()
    license_url: Field[str | None] = Field()
    paper_url: Field[str | None] = Field()
    cover_image_url: Field[str | None] = Field()
    default_example: Field[dict[str, Any] | None] = Field()

    @property
    def reference(self) -> Reference:
        """What `run` takes for it."""
        return Reference(self.owner, self.name)

    @property
    def latest_version(self) -> Version | None:
        """The version that was pushed last; None if none was."""
        json = self._json.get("latest_version")
        return Version(json, self._session, str(self.reference)) if isinstance(json, dict) else None

    @property
    def versions(self) -> Versions:
        """The operations on its versions."""
        return Versions(self.session, self.reference)


@dataclass(frozen=True)
class Runnable:
    """What a reference leads to: how to create predictions of it, and what its inputs and outputs are.

    `reference` names a version, except for official models and deployments, which run whichever version is
    current. `schema` is None where the API shows none.
    """

    reference: Reference
    official: bool
    schema: ModelSchema | None

    @property
    def is_iterator(self) -> bool:
        """Whether its output comes piece by piece."""
        return self.schema is not None and self.schema.is_iterator

    @property
    def is_concatenated(self) -> bool:
        """Whether the pieces of its output are parts of one text."""
        return self.schema is not None and self.schema.is_concatenated


class Versions(Resource):
    """Operations on the versions of one model: `model.versions`."""

    def __init__(self, session: Session, model: Reference) -> None:
        super().__init__(session)
        self._ref = model

    async def async_get(self, id: str, /) -> Version:
        """Fetch a version by its id. Raises `NotFound` if the model has none such."""
        return self._load(await self.session.fetch("GET", f"{self._ref.path}/versions/{escape(id)}"))

    async def async_list(self, cursor: str | None = None) -> Page[Version]:
        """List the versions, newest first. `cursor` is the `next` or `previous` of a page."""
        return await self._page(f"{self._ref.path}/versions", cursor, self._load)

    def async_list_all(self) -> AsyncIterator[Version]:
        """Give all versions, newest first, fetching pages as they are needed."""
        return walk(self.async_list)

    get = blocking(async_get)
    list = blocking(async_list)
    list_all = blocking(async_list_all)

    def _load(self, json: Any) -> Version:
        """Make the record of a version that the API sent."""
        if not isinstance(json, dict):
            raise InvalidResponse(
                "The API's answer is not a version. Check that base_url leads to Replicate's API."
            )
        return Version(json, self.session, str(self._ref))


def _schema(version: Version | None) -> ModelSchema | None:
    """Read the schema of a version that has one."""
    return ModelSchema(version.openapi_schema) if version and version.openapi_schema else None


class Models(Resource):
    """Operations on models: `client.models`."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._remembered: dict[Reference, tuple[float, Runnable]] = {}

    async def async_get(self, ref: str, name: str | None = None, /) -> Model:
        """Fetch a model by `owner/name`, or by owner and name. Raises `NotFound` if there is none.

        >>> from replicate_kit import Client
        >>> Client(backend="mock").models.get("demo/poet").owner
        'demo'
        """
        return self._load(
            await self.session.fetch("GET", self._path(ref if name is None else f"{ref}/{name}"))
        )

    async def async_list(
        self,
        cursor: str | None = None,
        *,
        sort_by: Literal["model_created_at", "latest_version_created_at"] | None = None,
        sort_direction: Literal["asc", "desc"] | None = None,
    ) -> Page[Model]:
        """List the public models, a page of 25 at a time. `cursor` is the `next` or `previous` of a page.

        >>> from replicate_kit import Client
        >>> Client(backend="mock").models.list()[0].owner
        'demo'
        """
        return await self._page(
            "models", cursor, self._load, {"sort_by": sort_by, "sort_direction": sort_direction}
        )

    def async_list_all(self, /, **sorting: Any) -> AsyncIterator[Model]:
        """Give all public models, fetching pages as they are needed. Takes the sorting of `list`."""
        return walk(lambda cursor: self.async_list(cursor, **(sorting if cursor is None else {})))

    async def async_resolve(self, ref: Reference) -> Runnable:
        """Find out how to run what `ref` names, and its schema. What was found is remembered for five
        minutes.

        Raises `NotFound` if there is no such model or deployment.
        """
        if (known := self._remembered.get(ref)) and self.session.now() - known[0] < _REMEMBERED_FOR:
            return known[1]
        found = await self._resolve(ref)
        self._remembered[ref] = (self.session.now(), found)
        return found

    get = blocking(async_get)
    list = blocking(async_list)
    list_all = blocking(async_list_all)
    resolve = blocking(async_resolve)

    async def _resolve(self, ref: Reference) -> Runnable:
        """Ask the API what a reference leads to."""
        if ref.deployment:
            return Runnable(ref, official=False, schema=await self._schema_of_deployment(ref))
        if ref.owner is None:
            return Runnable(ref, official=False, schema=None)
        if ref.version is not None:
            return Runnable(ref, official=False, schema=await self._schema_of_version(ref))
        model = await self._known(ref)
        latest = model.latest_version
        schema = _schema(latest)
        if model.is_official or latest is None:
            return Runnable(ref, official=model.is_official, schema=schema)
        return Runnable(Reference(ref.owner, ref.name, latest.id), official=False, schema=schema)

    async def _known(self, ref: Reference) -> Model:
        """Fetch a model; say what to check if there is none."""
        try:
            return await self.async_get(str(ref))
        except NotFound as error:
            error.add_note(
                f"The model {str(ref)!r} was not found, and nothing was created. Look for it at "
                "https://replicate.com/explore"
            )
            raise

    async def _schema_of_version(self, ref: Reference) -> ModelSchema | None:
        """Fetch the schema of a version; some versions run although the API does not show them."""
        try:
            return _schema(await Versions(self.session, ref).async_get(ref.version or ""))
        except NotFound:
            return None

    async def _schema_of_deployment(self, ref: Reference) -> ModelSchema | None:
        """Fetch the schema of the version that a deployment runs."""
        deployment = await self.session.fetch("GET", ref.path)
        release = deployment.get("current_release") if isinstance(deployment, dict) else None
        if not isinstance(release, dict) or not release.get("version"):
            return None
        return await self._schema_of_version(Reference.parse(f"{release.get('model')}:{release['version']}"))

    def _path(self, ref: str) -> str:
        """The path of the model that a reference names."""
        reference = self.session.hooks.parse_reference(ref)
        if reference.deployment:
            raise InvalidReference(f"{ref!r} names a deployment, not a model. Pass 'owner/name'.")
        return reference.path

    def _load(self, json: Any) -> Model:
        """Make the record of a model that the API sent."""
        if not isinstance(json, dict):
            raise InvalidResponse(
                "The API's answer is not a model. Check that base_url leads to Replicate's API."
            )
        return Model(json, self.session)
