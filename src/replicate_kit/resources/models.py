"""Models: find, make, describe and run them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from replicate_kit._formats.arguments import choice, text
from replicate_kit._formats.references import Reference
from replicate_kit._moved import answering, with_moved_names
from replicate_kit._runtime.blocking import blocking
from replicate_kit.errors import InvalidReference
from replicate_kit.records import Field, Record
from replicate_kit.resources._jobs.creating import reference_of
from replicate_kit.resources._resource import Page, Resource, joined, present, walk
from replicate_kit.resources._running.resolving import Resolver
from replicate_kit.resources._running.running import Run, Runnable
from replicate_kit.resources.predictions import Prediction, PredictionsOf
from replicate_kit.resources.versions import Version, Versions

if TYPE_CHECKING:
    from replicate_kit._http.session import Session

__all__ = ["Description", "Model", "Models", "reference_of"]


class Description(TypedDict, total=False):
    """What describes a model; all of it can be changed later."""

    description: str | None
    readme: str | None
    github_url: str | None
    paper_url: str | None
    license_url: str | None
    weights_url: str | None
    cover_image_url: str | None


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

    @property
    def id(self) -> str:
        """Its name in full, `owner/name`."""
        return f"{self.owner}/{self.name}"

    @property
    def reference(self) -> Reference:
        """What `run` takes for it."""
        return Reference(self.owner, self.name)

    @property
    def latest_version(self) -> Version | None:
        """The version that was pushed last; None if none was."""
        json = self._json.get("latest_version")
        return Version(json, self._session).of(self.reference) if isinstance(json, dict) else None

    @property
    def default_example(self) -> Prediction | None:
        """A prediction that shows what it does; None if its author chose none."""
        json = self._json.get("default_example")
        return Prediction(json, self._session) if isinstance(json, dict) else None

    @property
    def versions(self) -> Versions:
        """The operations on its versions."""
        return Versions(self.session, self.reference)

    @property
    def predictions(self) -> PredictionsOf:
        """Its predictions: `model.predictions.create(input)`."""
        return PredictionsOf(self.session, self.reference)

    async def async_predict(self, /, **inputs: Any) -> Any:
        """Run it and give its output, as `client.run` does."""
        version = self.latest_version
        runnable = Runnable(
            self.reference if self.is_official or version is None else version.reference,
            official=self.is_official,
            schema=version.schema if version else None,
        )
        return await Run()(runnable, inputs, self.session)

    async def async_reload(self) -> None:
        """Fetch its present state."""
        self._json = dict(await Models(self.session).async_get(str(self.reference)))

    predict = blocking(async_predict)
    reload = blocking(async_reload)


@with_moved_names
class Models(Resource):
    """Operations on models: `client.models`. A model is named as `owner/name`."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._resolver = Resolver(session)

    @answering("model")
    async def async_get(self, ref: str, name: str | None = None, /) -> Model:
        """Fetch a model by `owner/name`, or by owner and name. Raises `NotFound` if there is none.

        >>> from replicate_kit import Client
        >>> Client(backend="mock").models.get("demo/poet").owner
        'demo'
        """
        return await self._get(Model, self._path(joined(ref, name)))

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
        # The words of the API's OpenAPI description.
        sorting = {
            "sort_by": choice("sort_by", sort_by, ("model_created_at", "latest_version_created_at")),
            "sort_direction": choice("sort_direction", sort_direction, ("asc", "desc")),
        }
        return await self._page(Model, "models", cursor, sorting)

    def async_list_all(self, /, **sorting: Any) -> AsyncIterator[Model]:
        """Give all public models, fetching pages as they are needed. Takes the sorting of `list`."""
        return walk(self.async_list, **sorting)

    async def async_search(self, query: str) -> Page[Model]:
        """Find public models by words, the most fitting first: one page of up to 25.

        >>> from replicate_kit import Client
        >>> Client(backend="mock").models.search("painter")
        [<Model: demo/painter>]
        """
        found = await self.session.fetch(
            "QUERY", "models", content=text("query", query), headers={"Content-Type": "text/plain"}
        )
        return self._load_page(Model, found)

    async def async_create(
        self,
        owner: str,
        name: str,
        *,
        visibility: Literal["public", "private"],
        hardware: str,
        **description: Unpack[Description],
    ) -> Model:
        """Create an empty model, to push or train versions for. `hardware` is a sku of `client.hardware`.

        >>> from replicate_kit import Client
        >>> client = Client(backend="mock")
        >>> client.models.create(client.accounts.current(), "my-model", visibility="private", hardware="cpu").name
        'my-model'
        """
        body = {
            "owner": text("owner", getattr(owner, "username", owner), "a user's name"),
            "name": text("name", name),
            "visibility": choice("visibility", visibility, ("public", "private")),
            "hardware": text("hardware", getattr(hardware, "sku", hardware), "a sku of client.hardware"),
            **present(_texts(description)),
        }
        return self._load(Model, await self.session.fetch("POST", "models", json=body))

    async def async_update(self, ref: str, /, **description: Unpack[Description]) -> Model:
        """Change what describes a model of one's own; what is not given stays as it is."""
        return self._load(
            Model, await self.session.fetch("PATCH", self._whole(ref), json=_texts(description))
        )

    @answering("model")
    async def async_delete(self, ref: str, name: str | None = None, /) -> None:
        """Delete a model by `owner/name`, or by owner and name.

        The API allows it for one's own private models that have no versions.
        """
        await self.session.fetch("DELETE", self._whole(joined(ref, name)))

    async def async_examples(self, ref: str, /, cursor: str | None = None) -> Page[Prediction]:
        """List the predictions that a model's author shows as examples."""
        return await self._page(Prediction, f"{self._path(ref)}/examples", cursor)

    async def async_readme(self, ref: str, /) -> str:
        """Fetch a model's README as Markdown. Raises `NotFound` if it has none."""
        return (await self.session.request("GET", f"{self._path(ref)}/readme")).text

    async def async_resolve(self, ref: Reference) -> Runnable:
        """Find out how to run what `ref` names, and its schema. What was found is remembered for five minutes,
        and those who ask at the same time share one request.

        Raises `NotFound` if there is no such model or deployment, which is not remembered.
        """
        return await self._resolver(ref)

    get = blocking(async_get)
    list = blocking(async_list)
    list_all = blocking(async_list_all)
    search = blocking(async_search)
    create = blocking(async_create)
    update = blocking(async_update)
    delete = blocking(async_delete)
    examples = blocking(async_examples)
    readme = blocking(async_readme)
    resolve = blocking(async_resolve)

    def versions(self, ref: str, /) -> Versions:
        """The operations on a model's versions, without fetching the model first."""
        return Versions(self.session, self._reference(ref))

    def _reference(self, ref: str) -> Reference:
        """The model that is named."""
        reference = self.session.hooks.parse_reference(str(getattr(ref, "reference", ref)))
        if reference.deployment:
            raise InvalidReference(f"{ref!r} names a deployment, not a model. Pass 'owner/name'.")
        return reference

    def _path(self, ref: str) -> str:
        """The path of the model that is named."""
        return self._reference(ref).path

    def _whole(self, ref: str) -> str:
        """The path of the model that is named, which is to be changed: a version of it is something else."""
        reference = self._reference(ref)
        if reference.version:
            model = f"{reference.owner}/{reference.name}" if reference.name else "owner/name"
            raise InvalidReference(
                f"{ref!r} names a version, and this is about the whole model; nothing was changed. Pass {model!r}, or "
                f"delete the version: client.models.versions({model!r}).delete({reference.version[:12]!r}…)."
            )
        return reference.path


def _texts(description: Mapping[str, Any]) -> dict[str, Any]:
    """Check what describes a model: all of it is text."""
    return {name: text(name, value) for name, value in description.items()}
