"""Put things into the simulated service without a request: models, trainers, deployments, collections, examples."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

from replicate_kit._formats.wording import listed
from replicate_kit.schema import ModelSchema, openapi
from replicate_kit.simulator._models.functions import ModelFunction
from replicate_kit.simulator._service.recovery import resume
from replicate_kit.simulator._service.service import Service
from replicate_kit.simulator._state.entities import Deployment, Model, Prediction, Release, Version
from replicate_kit.simulator._state.ids import version_id
from replicate_kit.simulator._state.workers import Workers

__all__ = ["Publisher"]


class Publisher:
    """Publishes to one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def model(
        self,
        full_name: str,
        function: Callable[..., Any],
        *,
        schema: Mapping[str, Any] | None,
        workers: int | None,
        cold_start: float,
        **about: Any,
    ) -> Version:
        """Push a version; the model is made if it is new. The same function pushed again replaces itself."""
        made = ModelFunction(function, schema)
        service = self._service
        with service.lock:
            model = self._described(full_name, function, workers, cold_start, about)
            version = self._version(model, made, service.clock.stamp())
            model.versions = _with(model.versions, version)
        resume(service, model)
        return version

    def put_off(
        self,
        full_name: str,
        function: Callable[..., Any],
        trainer: Callable[..., Any] | None,
        *,
        readme: str,
        official: bool,
    ) -> None:
        """Push a version that is made when somebody asks for it, as most programs run one of the demo's models.

        What is wrong with a function is told no earlier, so this is for those that are known to be good.
        """
        service = self._service
        about = {
            "readme": readme,
            "official": official,
            "visibility": "public",
            "hardware": "cpu",
            "price": 0.0,
        }
        with service.lock:
            model = self._described(full_name, function, None, 0.0, about)
            model.make_latest = partial(self._make, model, function, trainer, service.clock.stamp())
        resume(service, model)

    def _make(
        self,
        model: Model,
        function: Callable[..., Any],
        trainer: Callable[..., Any] | None,
        created: int,
    ) -> None:
        """Make a version that was put off. Others see it when it is complete; an interrupt leaves it to the next."""
        with self._service.lock:
            if model.make_latest is None:
                return  # another thread was faster
            version = self._version(model, ModelFunction(function), created)
            if trainer is not None:
                _make_trainable(version, trainer)
            model.known = _with(model.known, version)
            model.make_latest = None

    def trainer(self, full_name: str, function: Callable[..., Any]) -> None:
        """Make the latest version of a model trainable."""
        _make_trainable(self.find(full_name), function)

    def deployment(self, name: str, model: str, *, hardware: str, instances: tuple[int, int]) -> Deployment:
        """Deploy the latest version of a model under a name of the account's."""
        service, version = self._service, self.find(model)
        with service.lock:
            now = service.clock.stamp()
            configuration = {
                "hardware": hardware,
                "min_instances": instances[0],
                "max_instances": instances[1],
            }
            release = Release(1, model, version.id, now, configuration)
            made = Deployment(service.settings.account, name, now, release)
            service.store.deployments[f"{made.owner}/{name}"] = made
            return made

    def collection(
        self, slug: str, name: str, description: str, models: Iterable[str], full_description: str | None
    ) -> None:
        """Group models."""
        with self._service.lock:
            self._service.store.collections[slug] = {
                "slug": slug,
                "name": name,
                "description": description,
                "full_description": full_description,
                "models": listed(models),
                "created": self._service.clock.stamp(),
            }

    def example(self, full_name: str, input: Mapping[str, Any], output: Any) -> None:
        """Save a prediction as an example of what a model does."""
        service, version = self._service, self.find(full_name)
        with service.lock:
            now = service.clock.stamp()
            example = Prediction(
                id=service.ids.prediction(),
                model=full_name,
                version=version,
                version_id="hidden" if version.model.official else version.id,
                input=dict(input),
                created=now,
                account=version.model.owner,
                source="web",
                status="succeeded",
                output=output,
                started=now,
                completed=service.clock.stamp(),
                metrics={"predict_time": 0.0, "total_time": 0.0},
            )
            version.model.examples.append(example)

    def find(self, full_name: str) -> Version:
        """The latest version of a model."""
        model = self._service.store.models.get(full_name)
        if model is None or model.latest is None:
            known = ", ".join(sorted(self._service.store.models)) or "none"
            raise LookupError(f"There is no model {full_name!r} with a version here. Known models: {known}.")
        return model.latest

    def _described(
        self,
        full_name: str,
        function: Callable[..., Any],
        workers: int | None,
        cold_start: float,
        about: dict[str, Any],
    ) -> Model:
        """Find a model, or make it, and say of it what is known; the function's docstring describes it otherwise."""
        owner, _, name = full_name.partition("/")
        if not owner or not name or "/" in name:
            raise ValueError(f"{full_name!r} does not name a model. Write it as owner/name.")
        service = self._service
        model = service.store.models.get(full_name) or service.new_model(owner, name)
        model.workers = Workers(
            full_name, workers or service.settings.workers, service.clock, cold_start=cold_start
        )
        doc = inspect.getdoc(function)
        model.description = about.pop("description", None) or (doc.splitlines()[0] if doc else None)
        model.links.update(about.pop("links", None) or {})
        for attribute, value in about.items():
            setattr(model, attribute, value)
        return model

    def _version(self, model: Model, function: ModelFunction, created: int) -> Version:
        return Version(version_id(model.full_name, function.schema.document), model, function, created)


def _with(versions: Iterable[Version], version: Version) -> list[Version]:
    """Add a version, which is the latest from now on; the same function again replaces itself."""
    return [*(each for each in versions if each.id != version.id), version]


def _make_trainable(version: Version, function: Callable[..., Any]) -> None:
    """Add a trainer, and its inputs to what the version's document says."""
    version.trainer = ModelFunction(function)
    # A copy: the document may be the one that the caller passed as `schema`.
    document = deepcopy(dict(version.schema.document))
    ours = openapi(function, input="TrainingInput", output="TrainingOutput")["components"]["schemas"]
    document["components"]["schemas"] = {**ours, **document["components"]["schemas"]}
    version.schema = ModelSchema(document)
