"""The tables of the simulated service."""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterator
from typing import Any

from replicate_kit.simulator._state.blobs import Blobs
from replicate_kit.simulator._state.entities import Deployment, File, Model, Prediction
from replicate_kit.simulator._state.problems import no_model, not_found

__all__ = ["Store"]

# The first four were recorded. Replicate has changed its list since, so no client should rely on one.
_HARDWARE = {
    "cpu": "CPU",
    "gpu-t4": "Nvidia T4 GPU",
    "gpu-a40-small": "Nvidia A40 GPU",
    "gpu-a40-large": "Nvidia A40 (Large) GPU",
    "gpu-l40s": "Nvidia L40S GPU",
    "gpu-a100-large": "Nvidia A100 (80GB) GPU",
    "gpu-h100": "Nvidia H100 GPU",
}


class Store:
    """Everything that exists, guarded by the simulator's lock.

    Of the predictions that have ended, only about the latest `keep` are remembered.
    """

    def __init__(self, blobs: Blobs, *, keep: int) -> None:
        self.blobs, self._keep = blobs, keep
        self.models: dict[str, Model] = {}
        self.aliases: dict[str, str] = {}
        """Further names of models, by which requests may mean them."""
        self.hardware = dict(_HARDWARE)
        """What there is to run on: names by SKU."""
        self.deployments: dict[str, Deployment] = {}
        self.collections: dict[str, dict[str, Any]] = {}
        self.predictions: dict[str, Prediction] = {}
        self._ordered: dict[tuple[str, str], list[Prediction]] = {}
        self.uploads: dict[str, File] = {}
        self.outputs: dict[str, File] = {}

    def add(self, prediction: Prediction) -> None:
        """Add a prediction, which is the newest."""
        self.predictions[prediction.id] = prediction
        self._ordered.setdefault((prediction.account, prediction.kind), []).append(prediction)

    def put(self, prediction: Prediction) -> None:
        """Put in a prediction of any time; it replaces the one that has its id."""
        before = self.predictions.get(prediction.id)
        if before is not None:
            self.drop_files(before)
            self._ordered[before.account, before.kind].remove(before)
        self.predictions[prediction.id] = prediction
        ordered = self._ordered.setdefault((prediction.account, prediction.kind), [])
        insort(ordered, prediction, key=lambda each: each.created)

    def listed(self, account: str, kind: str) -> list[Prediction]:
        """An account's predictions or trainings, oldest first."""
        return self._ordered.get((account, kind), [])

    def latest(self, count: int) -> Iterator[Prediction]:
        """The latest of each account's predictions and trainings."""
        return (each for ordered in self._ordered.values() for each in ordered[-count:])

    def named(self, reference: str) -> Model | None:
        """The model of a name, `owner/name` or a further one, if there is any."""
        return self.models.get(self.aliases.get(reference, reference))

    def model(self, owner: str, name: str, owners: Collection[str]) -> Model:
        """Find a model that may be seen by who acts for `owners`."""
        model = self.models.get(f"{owner}/{name}")
        if model is None or (model.visibility == "private" and model.owner not in owners):
            raise no_model(f"{owner}/{name}", [each.full_name for each in self.visible(owners)])
        return model

    def visible(self, owners: Collection[str]) -> Iterator[Model]:
        """The models that may be seen by who acts for `owners`."""
        return (each for each in self.models.values() if each.visibility == "public" or each.owner in owners)

    def prediction(self, id: str, account: str, kind: str | None = None) -> Prediction:
        """Find a prediction of an account."""
        found = self.predictions.get(id)
        if found is None or found.account != account or (kind is not None and found.kind != kind):
            raise not_found()
        return found

    def drop_files(self, prediction: Prediction) -> None:
        """Forget the files that a prediction made."""
        for key in prediction.files:
            self._drop(self.outputs, key)
        prediction.files.clear()

    def drop_expired(self, now: int) -> None:
        """Forget uploads whose time is over. They are in the order of their creation, and live equally long."""
        for key in [key for key, file in self.uploads.items() if file.expires <= now]:
            self._drop(self.uploads, key)

    def drop_surplus(self) -> None:
        """Forget the oldest predictions when there are many more than are kept."""
        surplus = len(self.predictions) - self._keep
        # A tenth more may gather: sorting for each prediction beyond the limit would slow every create.
        if surplus <= self._keep // 10:
            return
        oldest = sorted(
            (each for each in self.predictions.values() if each.done), key=lambda each: each.created
        )[:surplus]
        for each in oldest:
            self.drop_files(each)
            del self.predictions[each.id]
        for ordered in self._ordered.values():
            ordered[:] = [each for each in ordered if each.id in self.predictions]

    def _drop(self, table: dict[str, File], key: str) -> None:
        file = table.pop(key, None)
        if file is not None:
            self.blobs.forget(file.blob)
