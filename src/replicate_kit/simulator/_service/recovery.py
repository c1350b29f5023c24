"""Take up what an earlier process left: predictions that ended, and those it was killed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replicate_kit.simulator._state.entities import Event, File, Model, Prediction, Version

if TYPE_CHECKING:
    from replicate_kit.simulator._service.service import Service
    from replicate_kit.simulator._state.journal import Journal

__all__ = ["restore", "resume"]


def restore(service: Service, journal: Journal) -> None:
    """Fill the store from the journal. Nothing runs yet: there are no models to run."""
    for kind, entry in journal.entries():
        if kind == "begin":
            service.store.add(Prediction(version=None, **entry))
        elif kind == "end":
            _end(service, entry)
        elif kind == "file":
            _file(service, entry)
    # The earlier clock may have been ahead, and listings are in the order of stamps: ours have to be later.
    service.clock.pass_by(max((each.created for each in service.store.predictions.values()), default=0))
    service.ended.extend(each for each in service.store.predictions.values() if each.done)


def _end(service: Service, entry: dict[str, Any]) -> None:
    prediction = service.store.predictions.get(entry["id"])
    if prediction is not None:
        entry["events"] = [Event(*each) for each in entry["events"]]
        for name, value in entry.items():
            setattr(prediction, name, value)


def _file(service: Service, entry: dict[str, Any]) -> None:
    blob = service.store.blobs.find(entry.pop("blob"), entry.pop("size"))
    if blob is None:
        return
    file = File(blob=blob, **entry)
    made_by = service.store.predictions.get(file.prediction)
    if made_by is not None:
        made_by.files.append(file.id)
        service.store.outputs[file.id] = file
    elif not file.prediction:
        service.store.uploads[file.id] = file


def resume(service: Service, model: Model) -> None:
    """Run what was not finished when the earlier process ended, now that its model is here again."""
    with service.lock:
        waiting = [
            each
            for each in service.store.predictions.values()
            if each.version is None and each.model == model.full_name
        ]
        # Also those that are done: only the version tells whether they have a stream.
        for prediction in waiting:
            prediction.version = _version(model, prediction)
    for prediction in waiting:
        if prediction.version is not None and not prediction.done:
            service.launch(prediction, prediction.version)


def _version(model: Model, prediction: Prediction) -> Version | None:
    """The version that it was created with; official models have but one."""
    same = [each for each in model.versions if each.id == prediction.version_id]
    return same[0] if same else model.latest if prediction.version_id == "hidden" else None
