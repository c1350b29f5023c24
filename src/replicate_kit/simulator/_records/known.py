"""What there is when records are loaded: in the simulator already, and in the records themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from replicate_kit.simulator._state.ids import version_id

if TYPE_CHECKING:
    from replicate_kit.simulator._records.format import Section
    from replicate_kit.simulator._service.service import Service
    from replicate_kit.simulator._state.entities import Version

__all__ = ["Known"]


class Known:
    """Answers what there will be once the records are loaded. Use it with the service's lock held."""

    def __init__(self, service: Service, records: Any) -> None:
        self._service = service
        self._records = records if isinstance(records, Mapping) else {}

    @property
    def now(self) -> int:
        """Unix microseconds."""
        return int(self._service.clock.now() * 1e6)

    @property
    def account(self) -> str:
        """Who owns what names no owner."""
        return self._service.settings.account

    @cached_property
    def hardware(self) -> frozenset[str]:
        """What there is to run on."""
        return frozenset({*self._service.store.hardware, *(each["sku"] for each in self._all("hardware"))})

    def key(self, entry: Mapping[str, Any], section: Section) -> tuple[str, ...]:
        """What tells an entry from the others of its list."""
        return tuple(str(entry.get(name, self.account)) for name in section.key)

    def has_model(self, name: str) -> bool:
        """Whether there is a model."""
        return name in self._models or name in self._service.store.models

    def runs_as(self, model: str) -> str | None:
        """What a model of the records runs as, if it says so."""
        name: str | None = self._models.get(model, {}).get("runs_as")
        return name

    def runner(self, name: str) -> Version | None:
        """The version of the simulator's own that a record may run as."""
        model = self._service.store.models.get(name)
        return model.latest if model else None

    def runners(self) -> Iterable[str]:
        """The names of all models that the simulator has."""
        return list(self._service.store.models)

    def has_version(self, model: str, id: str) -> bool:
        """Whether a model has the version of this id."""
        if (model, id) in self._versions:
            return True
        stored = self._service.store.models.get(model) if model not in self._models else None
        return stored is not None and any(each.id == id for each in stored.versions)

    def model_with(self, version: str) -> str | None:
        """A model that has a version of this id."""
        # Those of the records first: the simulator's own versions are made when somebody asks for them.
        for model, id in self._versions:
            if id == version:
                return model
        return next((name for name in self._service.store.models if self.has_version(name, version)), None)

    def version_of(self, model: str) -> bool:
        """Whether a model has any version."""
        if self.runs_as(model) or any(name == model for name, _ in self._versions):
            return True
        return model not in self._models and self.runner(model) is not None

    def has_file(self, id: str) -> bool:
        """Whether there is an upload in the simulator."""
        return id in self._service.store.uploads

    def deployed(self, name: str | None) -> str | None:
        """The model of a deployment `owner/name`, if there is one."""
        for each in self._all("deployments"):
            if f"{each.get('owner', self.account)}/{each['name']}" == name:
                return str(each["model"])
        deployment = self._service.store.deployments.get(name or "")
        return deployment.current.model if deployment else None

    def deployments_of(self, model: str) -> list[tuple[str, str]]:
        """The deployments of a model that the records leave as they are, each with the id of its version."""
        loaded = {f"{each.get('owner', self.account)}/{each['name']}" for each in self._all("deployments")}
        return [
            (name, each.current.version)
            for name, each in self._service.store.deployments.items()
            if each.current.model == model and name not in loaded
        ]

    @cached_property
    def _models(self) -> dict[str, Mapping[str, Any]]:
        return {f"{each['owner']}/{each['name']}": each for each in self._all("models")}

    @cached_property
    def _versions(self) -> list[tuple[str, str]]:
        """Models and ids."""
        latest = [
            (name, each["latest_version"]["id"])
            for name, each in self._models.items()
            if each.get("latest_version")
        ]
        named = [*latest, *((each["model"], each["id"]) for each in self._all("versions"))]
        bare = self._models.keys() - {model for model, _ in named}
        runs_as = [(name, self.runner(self.runs_as(name) or "")) for name in bare]
        return [
            *named,
            *((name, version_id(name, found.function.schema.document)) for name, found in runs_as if found),
        ]

    def _all(self, section: str) -> Iterable[Mapping[str, Any]]:
        found: Iterable[Mapping[str, Any]] = self._records.get(section, ())
        return found
