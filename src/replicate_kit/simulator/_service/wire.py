"""How everything is written on the wire: which keys, in which order, and what is left out or null."""

from __future__ import annotations

from typing import Any

from replicate_kit.simulator._state.clock import format_time
from replicate_kit.simulator._state.entities import Deployment, File, Model, Prediction, Release, Version
from replicate_kit.simulator._state.links import Links

__all__ = ["Wire"]


class Wire:
    """Writes entities as JSON with the links of one service."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def created(self, prediction: Prediction) -> dict[str, Any]:
        """The answer to a create: milliseconds, and nothing that has not been set yet."""
        return self._state(prediction, digits=3)

    def after_wait(self, prediction: Prediction) -> dict[str, Any]:
        """The answer to a create that waited, as recorded: still "processing", but with the whole output."""
        body = self._state(prediction, digits=3, has_run=False)
        body["status"], body["logs"] = "processing", ""
        return body

    def prediction(self, prediction: Prediction) -> dict[str, Any]:
        """A prediction as GET and webhooks give it."""
        return self._state(prediction, digits=6)

    def canceled(self, prediction: Prediction) -> dict[str, Any]:
        """The answer to a cancel, which has a shape of its own."""
        # Only here the API sorts the keys and has null for logs (recorded traffic).
        body = {**self._state(prediction, digits=6), "logs": None, "output": None, "webhook_completed": None}
        return dict(sorted(body.items()))

    def _state(self, it: Prediction, *, digits: int, has_run: bool = True) -> dict[str, Any]:
        """Write a prediction; without `has_run` nothing is said of its run."""
        body: dict[str, Any] = {
            "id": it.id,
            "model": it.model,
            "version": it.version_id,
            "input": dict(it.input),
            "logs": "".join(it.logs),
            # A list is copied: the model's thread may go on adding to it.
            "output": list(it.output) if isinstance(it.output, list) else it.output,
        }
        if it.kind != "training":
            # A training has no such key (OpenAPI: trainings.get).
            body["data_removed"] = it.data_removed
        body["error"] = it.error
        if digits == 6:
            # The answer to a create does not have it (recorded traffic).
            body["source"] = it.source
        body["status"], body["created_at"] = it.status, format_time(it.created, digits=digits)
        # Absent until it is set, and never null (recorded traffic): strict validators refuse a null here.
        if has_run and it.started is not None:
            body["started_at"] = format_time(it.started)
        if has_run and it.completed is not None:
            body["completed_at"] = format_time(it.completed)
        if it.deadline is not None:
            body["deadline"] = format_time(it.deadline)
        if has_run and it.metrics:
            body["metrics"] = dict(it.metrics)
        if it.deployment is not None:
            body["deployment"] = it.deployment
        if it.webhook is not None:
            body["webhook"] = it.webhook
        if it.events_filter is not None:
            body["webhook_events_filter"] = it.events_filter
        body["urls"] = self._urls(it, created=digits == 3)
        return body

    def _urls(self, it: Prediction, *, created: bool) -> dict[str, str]:
        # A training is created with the links of a prediction, and has its own ever after (recorded).
        kind = "trainings" if it.kind == "training" and not created else "predictions"
        operation = self._links.operation
        urls = {"cancel": operation(kind, it.id, "cancel"), "get": operation(kind, it.id)}
        if it.kind == "prediction" and it.version is not None and _streams(it.version):
            urls["stream"] = self._links.stream(it.id, files=it.version.schema.has_files)
        urls["web"] = f"{self._links.web}/p/{it.id}"
        return urls

    def version(self, version: Version) -> dict[str, Any]:
        """A version with its schema."""
        return {
            "id": version.id,
            "created_at": format_time(version.created),
            "cog_version": version.cog_version,
            "openapi_schema": version.schema.document,
        }

    def model(self, model: Model) -> dict[str, Any]:
        """A model with its latest version and its first example."""
        links = {key: model.links.get(key) for key in ("github_url", "paper_url", "license_url")}
        return {
            "url": f"{self._links.web}/{model.full_name}",
            "owner": model.owner,
            "name": model.name,
            "description": model.description,
            "visibility": model.visibility,
            "is_official": model.official,
            **links,
            "run_count": model.run_count,
            "cover_image_url": model.links.get("cover_image_url"),
            "default_example": self.prediction(model.examples[0]) if model.examples else None,
            "latest_version": self.version(model.latest) if model.latest else None,
        }

    def file(self, file: File) -> dict[str, Any]:
        """An uploaded file."""
        return {
            "id": file.id,
            # `name` and `etag` are not in the description, but Python's client 1.0.7 requires them.
            "name": file.name,
            "content_type": file.content_type,
            "size": file.blob.size,
            "etag": file.blob.digest("md5"),
            "checksums": {"sha256": file.blob.digest("sha256"), "md5": file.blob.digest("md5")},
            "metadata": dict(file.metadata),
            "created_at": format_time(file.created, digits=3),
            "expires_at": format_time(file.expires, digits=3),
            "urls": {"get": self._links.operation("files", file.id)},
        }

    def deployment(self, deployment: Deployment, account: dict[str, Any]) -> dict[str, Any]:
        """A deployment with its current release."""
        release: Release = deployment.current
        return {
            "owner": deployment.owner,
            "name": deployment.name,
            "current_release": {
                "number": release.number,
                "model": release.model,
                "version": release.version,
                "created_at": format_time(release.created),
                "created_by": account,
                "configuration": dict(release.configuration),
            },
        }


def _streams(version: Version) -> bool:
    """Whether there is a stream: the model gives its output in chunks, or gives files."""
    return version.schema.is_iterator or version.schema.has_files
