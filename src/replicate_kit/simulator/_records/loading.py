"""Put records into the simulated service."""

from __future__ import annotations

import base64
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from replicate_kit._formats.file_names import UNKNOWN_TYPE, media_type
from replicate_kit.simulator._models.functions import ModelFunction
from replicate_kit.simulator._records.checking import check_records
from replicate_kit.simulator._records.format import CONTENTS
from replicate_kit.simulator._records.known import Known
from replicate_kit.simulator._records.pasting import unpasted
from replicate_kit.simulator._service.recovery import resume
from replicate_kit.simulator._service.service import Service
from replicate_kit.simulator._state.blobs import Blob
from replicate_kit.simulator._state.clock import parse_time
from replicate_kit.simulator._state.entities import (
    Deployment,
    File,
    Model,
    Prediction,
    Release,
    Version,
)
from replicate_kit.simulator._state.ids import version_id

__all__ = ["load_records", "read_records"]

Imitate = Callable[[Mapping[str, Any]], Callable[..., Any]]
"""Makes a function out of an OpenAPI document."""

_LINKS = ("github_url", "paper_url", "license_url", "cover_image_url")


def read_records(path: str | pathlib.Path) -> Any:
    """Read a file of records. Raises ValueError, with the file's name, for one that is not JSON."""
    try:
        return json.loads(pathlib.Path(path).read_text("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not in UTF-8. Save it as UTF-8.") from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply to be read.") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from None


def load_records(service: Service, records: Any, imitate: Imitate, name: str) -> None:
    """Check records, and put all of them in; they replace what has the same id or name. `name` is theirs in errors."""
    records = unpasted(records)
    with service.lock:
        check_records(records, Known(service, records), name)
        loader = _Loader(service, records, imitate)
        loader.load()
    for model in loader.models.values():
        resume(service, model)


class _Loader:
    """Loads what was checked, in the order in which one thing needs the other."""

    def __init__(self, service: Service, records: Mapping[str, Any], imitate: Imitate) -> None:
        self._service, self._store, self._records, self._imitate = service, service.store, records, imitate
        self._stamps: set[int] = set()
        self.models: dict[str, Model] = {}
        # Looked up before anything is replaced: a model may run as the one that it replaces.
        names = {each["runs_as"] for each in self._running() if "runs_as" in each}
        self._runners = {name: model.latest for name in names if (model := self._store.models.get(name))}

    def load(self) -> None:
        """Load everything."""
        for each in self._all("accounts"):
            described = {name: value for name, value in each.items() if name != "members"}
            self._service.accounts.add(described, each.get("members", ()))
        self._store.hardware.update({each["sku"]: each["name"] for each in self._all("hardware")})
        for each in self._all("models"):
            self._model(each)
        self._versions()
        for each in self._all("models"):
            self._examples(each)
        for each in self._all("deployments"):
            self._deployment(each)
        for each in self._all("collections"):
            self._collection(each)
        for each in self._all("files"):
            self._file(each)
        for kind in ("prediction", "training"):
            for each in self._all(f"{kind}s"):
                self._store.put(self._run(each, kind))
        # Whatever is made from now on is newer, as listings have the newest first.
        self._service.clock.pass_by(max(self._stamps, default=0))

    def _all(self, section: str) -> list[Mapping[str, Any]]:
        entries: list[Mapping[str, Any]] = self._records.get(section, [])
        return entries

    def _running(self) -> Iterator[Mapping[str, Any]]:
        """All entries that may say what they run as."""
        for each in self._all("models"):
            yield each
            yield each.get("latest_version") or {}
        yield from self._all("versions")

    def _owner(self, entry: Mapping[str, Any]) -> str:
        return str(entry.get("owner", self._service.settings.account))

    def _time(self, entry: Mapping[str, Any], name: str = "created_at") -> int:
        """When something was made, or now; no two times are the same, since cursors are times."""
        text = entry.get(name)
        stamp = self._service.clock.stamp() if text is None else parse_time(text)
        while stamp in self._stamps:
            stamp += 1
        self._stamps.add(stamp)
        return stamp

    def _model(self, entry: Mapping[str, Any]) -> None:
        full_name = f"{entry['owner']}/{entry['name']}"
        self._store.models.pop(full_name, None)
        for alias in [alias for alias, name in self._store.aliases.items() if name == full_name]:
            del self._store.aliases[alias]
        model = self._service.new_model(entry["owner"], entry["name"])
        model.official = entry.get("is_official", False)
        for name in ("visibility", "description", "readme", "hardware", "run_count"):
            setattr(model, name, entry.get(name, getattr(model, name)))
        model.links = {name: entry.get(name) for name in _LINKS}
        self._store.aliases.update(dict.fromkeys(entry.get("aliases", ()), model.full_name))
        self.models[model.full_name] = model

    def _versions(self) -> None:
        """Make the versions of the records, oldest first; a model that only says what it runs as has one, too."""
        given: dict[str, dict[str, Mapping[str, Any]]] = {name: {} for name in self.models}
        for each in self._all("models"):
            if latest := each.get("latest_version"):
                given[f"{each['owner']}/{each['name']}"][latest["id"]] = latest
        for each in self._all("versions"):
            given.setdefault(each["model"], {})[each["id"]] = each
        runs_as = {f"{each['owner']}/{each['name']}": each.get("runs_as") for each in self._all("models")}
        for name, entries in given.items():
            model = self._store.models[name]
            if not entries and runs_as.get(name):
                entries[""] = {}
            made = [self._version(model, {"runs_as": runs_as.get(name), **each}) for each in entries.values()]
            kept = [each for each in model.versions if each.id not in entries]
            model.versions = sorted([*kept, *made], key=lambda each: each.created)
            self.models[name] = model

    def _version(self, model: Model, entry: Mapping[str, Any]) -> Version:
        """Make a version that runs: as another one does, or by an imitation of its own schema."""
        # Where there is no other to run as, there is a document, as was checked.
        document: dict[str, Any] = entry.get("openapi_schema") or {}
        base = self._runners.get(entry["runs_as"] or "")
        if base is None:
            function = ModelFunction(self._imitate(document), document)
        else:
            function = ModelFunction(base.function.function, document) if document else base.function
        id = entry.get("id") or version_id(model.full_name, function.schema.document)
        version = Version(id, model, function, self._time(entry))
        version.cog_version = entry.get("cog_version") or version.cog_version
        if base is not None:
            version.trainer = base.trainer
            version.schema = version.schema if document else base.schema
        elif "TrainingInput" in document["components"]["schemas"]:
            version.trainer = _trainer(document)
        return version

    def _examples(self, entry: Mapping[str, Any]) -> None:
        """Keep the examples of a model, the default one first."""
        model = self._store.models[f"{entry['owner']}/{entry['name']}"]
        shown = [entry["default_example"]] if entry.get("default_example") else []
        for each in [*shown, *entry.get("examples", ())]:
            addressed = {
                "model": model.full_name,
                "owner": model.owner,
                "source": "web",
                **each,
                "deployment": None,
            }
            example = self._run(addressed, "prediction")
            if example.id not in [other.id for other in model.examples]:
                model.examples.append(example)

    def _deployment(self, entry: Mapping[str, Any]) -> None:
        owner, model = self._owner(entry), self._store.models[entry["model"]]
        version = self._version_of(entry)
        configuration = {
            "hardware": entry.get("hardware", model.hardware),
            "min_instances": entry.get("min_instances", 0),
            "max_instances": entry.get("max_instances", 1),
        }
        now = self._service.clock.stamp()
        made = Deployment(
            owner, entry["name"], now, Release(1, model.full_name, version.id, now, configuration)
        )
        full_name = f"{owner}/{made.name}"
        self._store.deployments.pop(full_name, None)  # listings go by when each was made
        self._store.deployments[full_name] = made

    def _collection(self, entry: Mapping[str, Any]) -> None:
        self._store.collections[entry["slug"]] = {
            "slug": entry["slug"],
            "name": entry.get("name") or entry["slug"].replace("-", " ").capitalize(),
            "description": entry.get("description") or "",
            "full_description": entry.get("full_description"),
            "models": list(entry["models"]),
            "created": self._service.clock.stamp(),
        }

    def _file(self, entry: Mapping[str, Any]) -> None:
        name, created = entry.get("name", "file"), self._time(entry)
        # From now on, and not from when it was made: an old one could not be read.
        expires = self._service.clock.now() * 1e6 + self._service.settings.upload_lifetime * 1e6
        blob = self._blob(entry, self._store.uploads.pop(entry["id"], None))
        self._store.uploads[entry["id"]] = File(
            id=entry["id"],
            name=name,
            content_type=entry.get("content_type") or media_type(name) or UNKNOWN_TYPE,
            blob=blob,
            created=created,
            expires=parse_time(entry["expires_at"]) if entry.get("expires_at") else int(expires),
            account=self._owner(entry),
            metadata=entry.get("metadata", {}),
        )

    def _blob(self, entry: Mapping[str, Any], before: File | None) -> Blob:
        """Keep the content of a file; where none is said, it stays as it was."""
        if before is not None:
            if entry.keys().isdisjoint(CONTENTS):
                return before.blob
            self._store.blobs.forget(before.blob)
        given = entry.get("content_base64")
        content = base64.b64decode(given) if given is not None else entry.get("content", "").encode()
        # The id may be any text, and no name for a file. The same name each time: a folder of state outlives the
        # process, and would gather copies.
        return self._store.blobs.put(
            content, f"loaded-{hashlib.sha256(entry['id'].encode()).hexdigest()[:32]}"
        )

    def _run(self, entry: Mapping[str, Any], kind: str) -> Prediction:
        """Make a prediction or a training as it is described; nothing runs, and time does not change it."""
        version = self._version_of(entry)
        hidden = version.model.official and kind == "prediction"
        made = Prediction(
            id=entry.get("id") or self._service.ids.prediction(),
            kind=kind,
            model=version.model.full_name,
            version=version,
            version_id=entry.get("version") or ("hidden" if hidden else version.id),
            input=entry.get("input", {}),
            created=self._time(entry),
            account=self._owner(entry),
            source=entry.get("source", "api"),
            status=entry.get("status", "succeeded"),
            output=entry.get("output"),
            logs=[entry["logs"]] if entry.get("logs") else [],
            error=entry.get("error"),
            metrics=dict(entry.get("metrics") or {}),
            deployment=entry.get("deployment"),
            destination=entry.get("destination"),
            webhook=entry.get("webhook"),
            events_filter=entry.get("webhook_events_filter"),
            data_removed=entry.get("data_removed", False),
            is_loaded=True,
        )
        for attribute, name in (
            ("started", "started_at"),
            ("completed", "completed_at"),
            ("deadline", "deadline"),
        ):
            setattr(made, attribute, parse_time(entry[name]) if entry.get(name) else None)
        self._service.lifecycle.retell(made)
        return made

    def _version_of(self, entry: Mapping[str, Any]) -> Version:
        """The version that an entry is of; the latest one of its model, or of its deployment's, if it names none."""
        id, name = entry.get("version"), entry.get("model")
        deployment = self._store.deployments.get(entry.get("deployment") or "")
        if id in (None, "hidden") and name is None and deployment is not None:
            id, name = deployment.current.version, deployment.current.model
        # The latest models first, which are those of the records: others would make their versions only for this.
        models = [self._store.models[name]] if name else list(self._store.models.values())[::-1]
        if id in (None, "hidden"):
            id = models[0].versions[-1].id
        return next(version for model in models for version in model.versions if version.id == id)


def _trainer(document: Mapping[str, Any]) -> ModelFunction:
    """A trainer for a model of which only the schema is known: it gives weights of no use."""

    def train(**input: Any) -> bytes:
        return b"weights"

    schemas = document["components"]["schemas"]
    return ModelFunction(train, {"components": {"schemas": {**schemas, "Input": schemas["TrainingInput"]}}})
