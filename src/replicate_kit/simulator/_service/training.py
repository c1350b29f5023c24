"""The end of a training: a new version of the model at its destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replicate_kit.simulator._state.entities import Model, Prediction, Version
from replicate_kit.simulator._state.ids import version_id

if TYPE_CHECKING:
    from replicate_kit.simulator._service.service import Service

__all__ = ["publish"]

WEIGHTS = "replicate_weights"


def publish(service: Service, training: Prediction, weights: Any) -> dict[str, Any]:
    """Make the version that a training leads to, and give the training's output."""
    base = training.version
    with service.lock:
        destination = service.store.models.get(training.destination or "")
        if base is None or destination is None:
            raise LookupError("The training's destination has been deleted meanwhile.")
        version = _trained(service, training, base, destination, weights)
        destination.versions = [*destination.versions, version]
    return {"version": f"{destination.full_name}:{version.id}", "weights": weights}


def _trained(
    service: Service, training: Prediction, base: Version, destination: Model, weights: Any
) -> Version:
    """The base's function, with the weights if it takes any."""
    takes = WEIGHTS in base.function.schema.properties
    function = base.function.bound({WEIGHTS: weights}) if takes else base.function
    # Two trainings may have the same function and schema. The salt makes them two versions.
    id = version_id(destination.full_name, function.schema.document, salt=training.id)
    return Version(id, destination, function, service.clock.stamp())
