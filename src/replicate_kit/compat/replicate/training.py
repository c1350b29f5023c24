"""Trainings."""

from __future__ import annotations

from typing import Any, Self, TypedDict

from replicate_kit._runtime.blocking import blocking
from replicate_kit.compat.replicate.helpers import async_encode_json, encode_json
from replicate_kit.compat.replicate.identifier import ModelVersionIdentifier, path_of
from replicate_kit.compat.replicate.model import Model
from replicate_kit.compat.replicate.pagination import Page
from replicate_kit.compat.replicate.resource import Namespace, Resource
from replicate_kit.compat.replicate.version import Version
from replicate_kit.records import Field
from replicate_kit.resources import trainings
from replicate_kit.resources._resource import present

__all__ = ["Training", "Trainings", "encode_json"]


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

    def take_in(self, json: Any) -> None:
        """Take in what the API now says, and where the trained model is."""
        super().take_in(json)
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

        destination: str | tuple[str, str] | Model
        webhook: str
        webhook_completed: str
        webhook_events_filter: list[str]
        file_encoding_strategy: str

    async def async_list(self, cursor: Any = ...) -> Page[Training]:
        """List trainings, newest first: the first page, or the one that `cursor` leads to."""
        return await self._page(Training, "trainings", cursor)

    async def async_get(self, id: str) -> Training:
        """Fetch a training by its id."""
        return await self._fetch(Training, "GET", f"trainings/{path_of(id)}")

    async def async_create(
        self, /, *args: Any, model: Any = None, version: Any = None, input: Any = None, **params: Any
    ) -> Training:
        """Start a training, named as for `create`, or by the positional arguments model, version and input."""
        if args and (version is not None or (len(args) > 1 and isinstance(args[1], str | Version))):
            named = {"model": model, "version": version, "input": input}
            named |= dict(zip(named, args, strict=False))
            return await self._create(**{**named, "model": _named(named["model"])}, **params)
        return await self._create(*args, model=model, version=version, input=input, **params)

    async def _create(
        self, /, *args: Any, model: Any = None, version: Any = None, input: Any = None, **params: Any
    ) -> Training:
        """Start a training.

        The version is named by `model` and `version`, by `version="owner/name:id"`, or by the first positional
        argument in that form, after which come input, destination, webhook, webhook_completed and
        webhook_events_filter.
        """
        named = {"input": input, **params} | dict(zip(_POSITIONS[1:], args[1:], strict=False))
        path = _path(args, model, version)
        strategy = named.pop("file_encoding_strategy", None)
        body = {"input": await async_encode_json(named.pop("input"), self._client, strategy)}
        if (destination := named.get("destination")) is None:
            raise ValueError("A destination must be provided as a positional or keyword argument.")
        body |= {"destination": _told(destination), **{name: named.get(name) for name in _POSITIONS[3:]}}
        return await self._fetch(Training, "POST", path, json=present(body))

    async def async_cancel(self, id: str) -> Training:
        """Stop the training with this id."""
        return await self._fetch(Training, "POST", f"trainings/{path_of(id)}/cancel", repeatable=True)

    list = blocking(async_list)
    get = blocking(async_get)
    create = blocking(_create)
    cancel = blocking(async_cancel)


_POSITIONS = ("version", "input", "destination", "webhook", "webhook_completed", "webhook_events_filter")


def _path(args: tuple[Any, ...], model: Any, version: Any) -> str:
    """Where trainings of a version are created."""
    if args:
        parts = ModelVersionIdentifier.parse(args[0]) if args[0] else None
    elif model and version:
        parts = ModelVersionIdentifier(
            *_named(model), version.id if isinstance(version, Version) else version
        )
    else:
        shorthand = model is None and isinstance(version, str)
        parts = ModelVersionIdentifier.parse(version) if shorthand else None
    if parts is None:
        raise ValueError("model and version or shorthand version must be specified")
    return f"models/{path_of(parts.owner, parts.name)}/versions/{path_of(parts.version)}/trainings"


def _named(model: Any) -> tuple[Any, Any]:
    """See which model is trained."""
    if isinstance(model, Model):
        return model.owner, model.name
    if isinstance(model, tuple):
        return model[0], model[1]
    if isinstance(model, str):
        return ModelVersionIdentifier.parse(model)[:2]
    raise ValueError(
        "model must be a Model, a tuple of (owner, name), or a string in the format 'owner/name'"
    )


def _told(destination: Any) -> Any:
    """Name the destination as the API wants it, which judges what is no name."""
    if isinstance(destination, Model):
        return f"{destination.owner}/{destination.name}"
    return f"{destination[0]}/{destination[1]}" if isinstance(destination, tuple) else destination
