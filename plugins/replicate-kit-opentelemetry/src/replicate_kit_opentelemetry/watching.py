"""The plugin, as a class that can be set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicate_kit import hookimpl
from replicate_kit_opentelemetry.metrics import Metrics
from replicate_kit_opentelemetry.spans import Traced

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from replicate_kit import Prediction
    from replicate_kit.config import Config
    from replicate_kit.storage import StoredFile
    from replicate_kit.transport import Layer

__all__ = ["OpenTelemetry"]


class OpenTelemetry:
    """The plugin: pass it as `Client(plugins=[OpenTelemetry(…)])` to set it up otherwise than by default.

    `tracer_provider` and `meter_provider` are OpenTelemetry's global ones if they are not given. `record_inputs` puts
    the inputs of predictions into their spans, as JSON in `replicate.prediction.input`; they may hold personal data,
    so that is off by default. Secret inputs are `[secret]` there. Metrics never hold any.

    >>> from replicate_kit import Client
    >>> client = Client(backend="mock", plugins=[OpenTelemetry()])
    >>> client.run("demo/painter", {"prompt": "a wombat"}) != []
    True
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        *,
        meter_provider: MeterProvider | None = None,
        record_inputs: bool = False,
    ) -> None:
        self._tracer_provider, self._record_inputs = tracer_provider, record_inputs
        self._metrics = Metrics(meter_provider)

    @hookimpl
    def replicate_transport_layer(self, config: Config) -> Layer:
        """Put spans around every attempt of every request, and count creates that are refused."""
        return lambda inner: Traced(inner, self._tracer_provider, self._metrics, self._record_inputs)

    @hookimpl
    def replicate_prediction_created(self, prediction: Prediction) -> None:
        """Count a prediction that was created."""
        self._metrics.created(prediction)

    @hookimpl
    def replicate_prediction_changed(self, prediction: Prediction, previous: Prediction | None) -> None:
        """See how a prediction goes, and count its end."""
        self._metrics.changed(prediction, previous)

    @hookimpl
    def replicate_prediction_charged(self, model: str | None, cost: float, label: str | None) -> None:
        """Add up what predictions cost."""
        self._metrics.charged(model, cost, label)

    @hookimpl
    def replicate_file_saved(self, file: StoredFile, model: str | None, label: str | None) -> None:
        """Add up what is saved."""
        self._metrics.saved(file, model, label)
