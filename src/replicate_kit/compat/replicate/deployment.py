"""Deployments."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypedDict

from replicate_kit._runtime.blocking import blocking
from replicate_kit.compat.replicate.account import Account
from replicate_kit.compat.replicate.helpers import async_encode_json, encode_json
from replicate_kit.compat.replicate.identifier import halves, owner_and_name, path_of
from replicate_kit.compat.replicate.pagination import Page
from replicate_kit.compat.replicate.prediction import Prediction, create
from replicate_kit.compat.replicate.resource import Namespace, Nested, Resource
from replicate_kit.records import Field

if TYPE_CHECKING:
    from replicate_kit.compat.replicate.client import Client

__all__ = [
    "Deployment",
    "DeploymentPredictions",
    "Deployments",
    "DeploymentsPredictions",
    "async_encode_json",
    "encode_json",
]


class Configuration(Resource):
    """The machines of a release."""

    hardware: Field[str] = Field()
    min_instances: Field[int] = Field()
    max_instances: Field[int] = Field()


class Release(Resource):
    """What a deployment runs."""

    Configuration = Configuration

    number: Field[int] = Field()
    model: Field[str] = Field()
    version: Field[str] = Field()
    created_at: Field[str] = Field()
    created_by: Nested = Nested(Account)
    configuration: Nested = Nested(Configuration)


class Deployment(Resource):
    """A deployment."""

    Release = Release

    owner: Field[str] = Field()
    name: Field[str] = Field()
    current_release: Nested = Nested(Release)

    @property
    def id(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    @property
    def username(self) -> str:
        """Deprecated: use `owner`."""
        warnings.warn("Use `deployment.owner` instead.", DeprecationWarning, stacklevel=2)
        return self.owner

    @property
    def predictions(self) -> DeploymentPredictions:
        """The operations on its predictions."""
        return DeploymentPredictions(self._client, self)


class Deployments(Namespace):
    """Operations on deployments."""

    class CreateDeploymentParams(TypedDict):
        """The options of creating a deployment."""

        name: str
        model: str
        version: str
        hardware: str
        min_instances: int
        max_instances: int

    class UpdateDeploymentParams(TypedDict, total=False):
        """The options of changing a deployment."""

        version: str
        hardware: str
        min_instances: int
        max_instances: int

    @property
    def predictions(self) -> DeploymentsPredictions:
        """The operations on deployments' predictions."""
        return DeploymentsPredictions(self._client)

    async def async_list(self, cursor: Any = ...) -> Page[Deployment]:
        """List deployments: the first page, or the one that `cursor` leads to."""
        return await self._page(Deployment, "deployments", cursor)

    async def async_get(self, name: str) -> Deployment:
        """Fetch a deployment by `owner/name`."""
        return await self._fetch(Deployment, "GET", _path(*halves(name)))

    async def async_create(self, /, **params: Any) -> Deployment:
        """Create a deployment: name, model, version, hardware, min_instances and max_instances."""
        if (name := params.get("name")) and "/" in name:
            params["name"] = halves(name)[1]
        return await self._fetch(Deployment, "POST", "deployments", json=params)

    async def async_update(self, /, deployment_owner: str, deployment_name: str, **params: Any) -> Deployment:
        """Change version, hardware, min_instances or max_instances, which makes a new release."""
        return await self._fetch(Deployment, "PATCH", _path(deployment_owner, deployment_name), json=params)

    async def async_delete(self, deployment_owner: str, deployment_name: str) -> bool:
        """Delete a deployment; tell whether it is gone."""
        return await self._deleted(_path(deployment_owner, deployment_name))

    list = blocking(async_list)
    get = blocking(async_get)
    create = blocking(async_create)
    update = blocking(async_update)
    delete = blocking(async_delete)


class DeploymentPredictions(Namespace):
    """Operations on the predictions of one deployment."""

    def __init__(self, client: Client, deployment: Deployment) -> None:
        super().__init__(client)
        self._deployment = deployment

    async def async_create(self, /, input: Any, **params: Any) -> Prediction:
        """Start a prediction of it."""
        return await DeploymentsPredictions(self._client).async_create(self._deployment, input, **params)

    create = blocking(async_create)


class DeploymentsPredictions(Namespace):
    """Operations on the predictions of deployments."""

    async def async_create(self, /, deployment: Any, input: Any, **params: Any) -> Prediction:
        """Start a prediction of a deployment."""
        path = _path(*owner_and_name(deployment, Deployment, halves))
        return await create(self._client, f"{path}/predictions", input, **params)

    create = blocking(async_create)


def _path(owner: Any, name: Any) -> str:
    """Where a deployment is."""
    return f"deployments/{path_of(owner, name)}"
