"""Models."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NotRequired, TypedDict

from replicate_kit._runtime.blocking import blocking
from replicate_kit.compat.replicate.exceptions import ReplicateException
from replicate_kit.compat.replicate.helpers import async_encode_json, encode_json
from replicate_kit.compat.replicate.identifier import ModelVersionIdentifier, owner_and_name, path_of
from replicate_kit.compat.replicate.pagination import Page
from replicate_kit.compat.replicate.prediction import Prediction, create
from replicate_kit.compat.replicate.resource import Namespace, Nested, Resource
from replicate_kit.compat.replicate.version import Version, Versions
from replicate_kit.records import Field
from replicate_kit.resources._resource import present

__all__ = ["Model", "Models", "ModelsPredictions", "async_encode_json", "encode_json"]


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

    @username.setter
    def username(self, value: str) -> None:
        warnings.warn("Use `model.owner` instead.", DeprecationWarning, stacklevel=2)
        self._json["owner"] = value

    @property
    def versions(self) -> Versions:
        """The operations on its versions."""
        return Versions(self._client, self)

    async def async_reload(self) -> None:
        """Fetch its present state."""
        self._json = dict((await self._client.models.async_get(self.id))._json)

    reload = blocking(async_reload)

    def predict(self, *args: Any, **kwargs: Any) -> None:
        """Not there any more: use `replicate.run()`."""
        raise ReplicateException(
            "The `model.predict()` method has been removed, because it's unstable: if a new version of the model "
            "you're using is pushed and its API has changed, your code may break. Use `replicate.run()` instead. "
            "See https://github.com/replicate/replicate-python#readme"
        )


class Models(Namespace):
    """Operations on models."""

    model = Model

    class CreateModelParams(TypedDict):
        """The options of creating a model."""

        hardware: str
        visibility: Literal["public", "private"]
        description: NotRequired[str]
        github_url: NotRequired[str]
        paper_url: NotRequired[str]
        license_url: NotRequired[str]
        cover_image_url: NotRequired[str]

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

    async def async_get(self, /, *args: Any, **kwargs: Any) -> Model:
        """Fetch a model by its key `owner/name`, or by `owner` and `name`."""
        return await self._fetch(Model, "GET", _path(*args, **kwargs))

    async def async_delete(self, /, *args: Any, **kwargs: Any) -> bool:
        """Delete a model, named as for `get`; tell whether it is gone."""
        return await self._deleted(_path(*args, **kwargs))

    async def async_create(self, /, owner: str, name: str, **params: Any) -> Model:
        """Create an empty model: visibility and hardware, and what else there is to say of it."""
        return await self._fetch(Model, "POST", "models", json=_create_model_body(owner, name, **params))

    list = blocking(async_list)
    search = blocking(async_search)
    get = blocking(async_get)
    delete = blocking(async_delete)
    create = blocking(async_create)


class ModelsPredictions(Namespace):
    """Operations on the predictions of models."""

    async def async_create(self, /, model: Any, input: Any, **params: Any) -> Prediction:
        """Start a prediction of a model."""
        path = path_of(*owner_and_name(model, Model, _without_version))
        return await create(self._client, f"models/{path}/predictions", input, **params)

    create = blocking(async_create)


def _create_model_body(
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
) -> dict[str, Any]:
    """Say what is to be created; Python refuses other options, and names this function as 1.x does."""
    optional = {
        "description": description,
        "github_url": github_url,
        "paper_url": paper_url,
        "license_url": license_url,
        "cover_image_url": cover_image_url,
    }
    named = {"owner": owner, "name": name, "visibility": visibility, "hardware": hardware}
    return named | present(optional)


def _without_version(text: str) -> tuple[str, str]:
    """Read a reference to a model, but not to a certain version of it."""
    owner, name, version = ModelVersionIdentifier.parse(text)
    if version is None:
        return owner, name
    raise ValueError(
        f"Invalid reference to model version: {text}. Expected model or reference in the format owner/name"
    )


def _path(*args: Any, **kwargs: Any) -> str:
    """Where a model is."""
    if args and kwargs:
        raise ValueError("Cannot mix positional and keyword arguments")
    key, owner, name = (kwargs.get(each) for each in ("key", "owner", "name"))
    if key and (owner or name):
        raise ValueError(
            "Must specify exactly one of 'owner' and 'name' or single 'key' in the format 'owner/name'"
        )
    if len(args) > 2:
        raise ValueError("Invalid number of arguments")
    if len(args) == 2:
        owner, name = args
    elif args:
        key = args[0]
    if not (key or (owner and name)):
        raise ValueError("Both 'owner' and 'name' must be provided if 'key' is not specified.")
    return f"models/{path_of(*f'{key}'.split('/')) if key else path_of(owner, name)}"
