"""Deployments: a model version on hardware of one's own, behind a fixed name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from replicate_kit._formats.arguments import text, whole
from replicate_kit._formats.references import Reference
from replicate_kit._moved import answering, with_moved_names
from replicate_kit._runtime.blocking import blocking
from replicate_kit.errors import InvalidReference
from replicate_kit.records import Field, Record, parse_time
from replicate_kit.resources._jobs.creating import reference_of
from replicate_kit.resources._resource import Page, Resource, joined, present, walk
from replicate_kit.resources.accounts import Account
from replicate_kit.resources.predictions import PredictionsOf

__all__ = ["Deployment", "Deployments", "Release"]


class Release(Record):
    """What a deployment runs: a version of a model and the machines for it."""

    _named_by = ("number",)

    number: Field[int] = Field(default=0)
    model: Field[str] = Field(default="")
    version: Field[str] = Field(default="")
    created_at: Field[datetime | None] = Field(parse_time)
    created_by: Field[Account | None] = Field(Account)
    configuration: Field[dict[str, Any]] = Field(default={})
    """`hardware`, `min_instances` and `max_instances`."""


class Deployment(Record):
    """A deployment and its current release."""

    _named_by = ("owner", "name")

    owner: Field[str] = Field(default="")
    name: Field[str] = Field(default="")
    current_release: Field[Release | None] = Field(Release)

    @property
    def id(self) -> str:
        """Its name in full, `owner/name`."""
        return f"{self.owner}/{self.name}"

    @property
    def reference(self) -> Reference:
        """What `run` takes for it."""
        return Reference(self.owner, self.name, deployment=True)

    @property
    def predictions(self) -> PredictionsOf:
        """Its predictions: `deployment.predictions.create(input)`."""
        return PredictionsOf(self.session, self.reference)


@with_moved_names
class Deployments(Resource):
    """Operations on deployments: `client.deployments`."""

    async def async_list(self, cursor: str | None = None) -> Page[Deployment]:
        """List the account's deployments, a page at a time. `cursor` is the `next` or `previous` of a
        page.
        """
        return await self._page(Deployment, "deployments", cursor)

    def async_list_all(self) -> AsyncIterator[Deployment]:
        """Give all deployments, fetching pages as they are needed."""
        return walk(self.async_list)

    @answering("deployment")
    async def async_get(self, ref: str, name: str | None = None, /) -> Deployment:
        """Fetch a deployment by `owner/name`, or by owner and name. Raises `NotFound` if there is none."""
        return await self._get(Deployment, self._path(ref, name))

    async def async_create(
        self,
        name: str,
        *,
        model: str | Any,
        version: str | Any,
        hardware: str,
        min_instances: int,
        max_instances: int,
    ) -> Deployment:
        """Create a deployment of a version of a model.

        `model` is `owner/name` or a `Model`, `version` an id or a `Version`, `hardware` a sku of
        `client.hardware`. From `min_instances` (0 to 5) to `max_instances` (0 to 20) machines run; those that
        always run cost money always.

        >>> from replicate_kit import Client
        >>> client = Client(backend="mock")
        >>> model = client.models.get("demo/painter")
        >>> release = client.deployments.create(
        ...     "painters", model=model, version=model.latest_version, hardware="cpu", min_instances=0, max_instances=1
        ... ).current_release
        >>> release.number, release.configuration["max_instances"]
        (1, 1)
        """
        body = {
            "name": text("name", name),
            "model": _model_of(reference_of(model, self.session)),
            **_configuration(version, hardware, min_instances, max_instances),
        }
        return self._load(Deployment, await self.session.fetch("POST", "deployments", json=body))

    @answering("deployment")
    async def async_update(
        self,
        ref: str,
        name: str | None = None,
        /,
        *,
        version: str | Any = None,
        hardware: str | None = None,
        min_instances: int | None = None,
        max_instances: int | None = None,
    ) -> Deployment:
        """Change a deployment, named as `get` takes it, which makes a new release of it; what is not given stays as it
        is.
        """
        body = _configuration(version, hardware, min_instances, max_instances)
        return self._load(
            Deployment, await self.session.fetch("PATCH", self._path(ref, name), json=present(body))
        )

    @answering("deployment")
    async def async_delete(self, ref: str, name: str | None = None, /) -> None:
        """Delete a deployment, named as `get` takes it.

        The API asks that it is offline and was not used for 15 minutes.
        """
        await self.session.fetch("DELETE", self._path(ref, name))

    list = blocking(async_list)
    list_all = blocking(async_list_all)
    get = blocking(async_get)
    create = blocking(async_create)
    update = blocking(async_update)
    delete = blocking(async_delete)

    def _path(self, ref: str, name: str | None) -> str:
        """The path of the deployment that is named, with or without `deployments/` before it."""
        found = joined(ref, name)
        named = str(getattr(found, "reference", found))
        try:
            reference = Reference.parse(named if named.startswith("deployments/") else f"deployments/{named}")
        except InvalidReference:
            raise InvalidReference(
                f"{named!r} does not name a deployment. Use 'owner/name': the owner is the account or the organization "
                "that made it."
            ) from None
        return reference.path


def _model_of(reference: Reference) -> str:
    """The name of the model that is to be deployed."""
    if reference.model is None:
        raise InvalidReference(f"model={str(reference)!r} does not name a model. Pass 'owner/name'.")
    return reference.model


def _configuration(version: Any, hardware: Any, least: Any, most: Any) -> dict[str, Any]:
    """Read what a release runs, and on how many machines; the limits are those of the API's OpenAPI description."""
    return {
        "version": text("version", getattr(version, "id", version), "the id of a version"),
        "hardware": text("hardware", getattr(hardware, "sku", hardware), "a sku of client.hardware"),
        "min_instances": None if least is None else whole("min_instances", least, 0, 5),
        "max_instances": None if most is None else whole("max_instances", most, 0, 20),
    }
