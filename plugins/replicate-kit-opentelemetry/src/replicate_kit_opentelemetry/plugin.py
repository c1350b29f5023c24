"""The plugin as it is when it is merely installed: spans without inputs and metrics, through the global providers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from replicate_kit import hookimpl

if TYPE_CHECKING:
    from replicate_kit import Prediction
    from replicate_kit.config import Config
    from replicate_kit.storage import StoredFile
    from replicate_kit.transport import Layer
    from replicate_kit_opentelemetry.watching import OpenTelemetry


@functools.cache
def _plugin() -> OpenTelemetry:
    """Make it when a client is made, so that installing the plugin costs nothing before."""
    from replicate_kit_opentelemetry.watching import OpenTelemetry

    return OpenTelemetry()


@hookimpl
def replicate_transport_layer(config: Config) -> Layer:
    """Put spans around every attempt of every request, and count creates that are refused."""
    return _plugin().replicate_transport_layer(config)


@hookimpl
def replicate_prediction_created(prediction: Prediction) -> None:
    """Count a prediction that was created."""
    _plugin().replicate_prediction_created(prediction)


@hookimpl
def replicate_prediction_changed(prediction: Prediction, previous: Prediction | None) -> None:
    """See how a prediction goes, and count its end."""
    _plugin().replicate_prediction_changed(prediction, previous)


@hookimpl
def replicate_prediction_charged(model: str | None, cost: float, label: str | None) -> None:
    """Add up what predictions cost."""
    _plugin().replicate_prediction_charged(model, cost, label)


@hookimpl
def replicate_file_saved(file: StoredFile, model: str | None, label: str | None) -> None:
    """Add up what is saved."""
    _plugin().replicate_file_saved(file, model, label)
