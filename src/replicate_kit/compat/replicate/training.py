"""Trainings."""

from __future__ import annotations

from typing import Any, Self, TypedDict

from replicate_kit._blocking import blocking
from replicate_kit.compat.replicate.helpers import async_encode_json
from replicate_kit.compat.replicate.identifier import ModelVersionIdentifier, owner_and_name
from replicate_kit.compat.replicate.pagination import Page
from replicate_kit.compat.replicate.resource import Namespace, Resource
from replicate_kit.records import Field
from replicate_kit.refs import escape
from replicate_kit.resource import present
from replicate_kit.resources import trainings

__all__ = ["Training", "Trainings"]


class Training(Resource, trainings.Training):
    """A training. Its times are texts, as the API sends them."""

    id: Field[Any] = Field()
    model: Field[Any] = Field()
    version: Field[Any] = Field()
    destination: Field[Any] = Field()
    status: Field[Any] = Field()
    input: Field[Any] = Field()
    output: Field[Any] = Field()
    logs: Field[Any] = Field()
    error: Field[Any] = Field()
    created_at: Field[Any] = Field()
    started_at: Field[Any] = Field()
    completed_at: Field[Any] = Field()
    urls: Field[Any] = Field()

    def _on(self, client: Any) -> Self:
        self._find_destination()
        return super()._on(client)

    def _update(self, json: Any) -> None:
        super()._update(json)
        self._find_destination()

    def _find_destination(self) -> None:
        """Take the destination from the version that came out: the API tells it nowhere else."""
        if isinstance(self.output, dict) and self.output.get("version"):
            owner, name, _ = ModelVersionIdentifier.parse(self.output["version"])
            self._json["destination"] = f"{owner}/{name}"


class Trainings(Namespace):
    """Operations on trainings."""

    class CreateTrainingParams(TypedDict, total=False):
        """The options of creating a training."""

        destination: Any
        webhook: str
        webhook_completed: str
        webhook_events_filter: list[str]
        file_encoding_strategy: str

    async def async_list(self, cursor: Any = ...) -> Page[Training]:
        """List trainings, newest first: the first page, or the one that `cursor` leads to."""
        return await self._page(Training, "trainings", cursor)

    async def async_get(self, id: str) -> Training:
        """Fetch a training by its id."""
        return await self._fetch(Training, "GET", f"trainings/{escape(id)}")

    async def async_create(
        self, /, *args: Any, model: Any = None, version: Any = None, input: Any = None, **params: Any
    ) -> Training:
        """Start a training.

        The version is named by `model` and `version`, by `version="owner/name:id"`, or by the first positional
        argument in that form, after which come input, destination, webhook, webhook_completed and
        webhook_events_filter.
        """
        named = {"version": version, "input": input, **params} | dict(zip(_POSITIONS, args, strict=False))
        path = _path(None if args else model, named.pop("version"))
        destination = named.pop("destination", None)
        if destination is None:
            raise ValueError("A training needs a destination: the model owner/name that its version goes to.")
        strategy = named.pop("file_encoding_strategy", None)
        body = {
            "input": await async_encode_json(named.pop("input"), self._client, strategy),
            "destination": "/".join(owner_and_name(destination, "model")),
            **{name: named.get(name) for name in _POSITIONS[3:]},
        }
        return await self._fetch(Training, "POST", path, json=present(body))

    async def async_cancel(self, id: str) -> Training:
        """Stop the training with this id."""
        return await self._fetch(Training, "POST", f"trainings/{escape(id)}/cancel", repeatable=True)

    list = blocking(async_list)
    get = blocking(async_get)
    create = blocking(async_create)
    cancel = blocking(async_cancel)


_POSITIONS = ("version", "input", "destination", "webhook", "webhook_completed", "webhook_events_filter")


def _path(model: Any, version: Any) -> str:
    """Where trainings of a version are created."""
    if model and version:
        owner, name = owner_and_name(model, "model")
        id = getattr(version, "id", version)
    elif isinstance(version, str) and ":" in version:
        owner, name, id = ModelVersionIdentifier.parse(version)
    else:
        raise ValueError("A training needs model and version, or version in the form owner/name:id.")
    return f"models/{escape(owner)}/{escape(name)}/versions/{escape(str(id))}/trainings"
