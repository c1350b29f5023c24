"""Metrics of predictions: how many there are, how they end, what they cost and what is saved of them."""

from __future__ import annotations

import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from replicate_kit.partitions import user_label

if TYPE_CHECKING:
    from replicate_kit import Prediction
    from replicate_kit.storage import StoredFile
    from replicate_kit.transport import Request, Response

__all__ = ["Metrics"]

_CREATE = re.compile(r".*/v1/(?:models/(?P<model>[^/]+/[^/]+)/|deployments/[^/]+/[^/]+/)?predictions")
# After these nobody knows whether the prediction was created: that is no refusal. Nor is 5xx, but for a 503 that names
# a time (docs/architecture.md of replicate-kit, its first rule).
_UNKNOWN = frozenset({408, 409, 425, 499})
_ENDED = 10_000  # ids of predictions that have ended lately: two objects of one may both tell of its end

Attributes = dict[str, str | int]


class Metrics:
    """Counts what it is told. Nothing is counted, nor kept, as long as nobody has set up a meter provider."""

    def __init__(self, provider: MeterProvider | None) -> None:
        self._provider, self._found = provider, None if provider is None else _of(provider)

    @property
    def _instruments(self) -> _Instruments | None:
        """What counts; None where there is no provider yet but those of the API, which keep nothing."""
        if self._found is None:
            provider = metrics.get_meter_provider()
            if type(provider).__module__.startswith("opentelemetry.metrics"):
                return None
            self._found = _of(provider)
        return self._found

    def created(self, prediction: Prediction) -> None:
        """Count a prediction that was created; it may have ended by now."""
        if (instruments := self._instruments) is not None:
            instruments.created(prediction)

    def changed(self, prediction: Prediction, previous: Prediction | None) -> None:
        """Take note of a change. What is merely fetched or listed is none."""
        if previous is not None and (instruments := self._instruments) is not None:
            instruments.watch(prediction)

    def charged(self, model: str | None, cost: float, label: str | None) -> None:
        """Add up what predictions have cost."""
        if (instruments := self._instruments) is not None:
            instruments.cost.add(cost, _attributes(model, label))

    def saved(self, file: StoredFile, model: str | None, label: str | None) -> None:
        """Add up what was saved; what was there before was not."""
        if file.size and file.saved_at is not None and (instruments := self._instruments) is not None:
            instruments.saved.add(file.size, _attributes(model, label))

    def answered(self, request: Request, response: Response) -> None:
        """Count an answer that refuses to create a prediction."""
        status = response.status_code
        if status < 400 or request.method != "POST" or (instruments := self._instruments) is None:
            return
        create = _CREATE.fullmatch(request.url.path)
        refused = (
            status == 503 and "retry-after" in response.headers if status >= 500 else status not in _UNKNOWN
        )
        if create and refused:
            instruments.refused.add(
                1, {**_attributes(create["model"], None), "http.response.status_code": status}
            )


class _Instruments:
    """The instruments of one provider, and the predictions that are in flight."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = metrics.get_meter("replicate_kit", meter_provider=provider)
        # Weakly: what nobody holds any more nobody watches, and its end will not be told.
        self._flights: WeakValueDictionary[str, Prediction] = WeakValueDictionary()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._created = meter.create_counter(
            "replicate.predictions.created", "{prediction}", "Predictions that were created."
        )
        self._outcomes = meter.create_counter(
            "replicate.predictions.ended", "{prediction}", "Predictions that have ended, by status."
        )
        self._duration = meter.create_histogram(
            "replicate.prediction.duration", "s", "How long predictions ran that have ended."
        )
        self.refused = meter.create_counter(
            "replicate.predictions.refused", "{request}", "Creates that the API has refused, by status."
        )
        self.cost = meter.create_counter(
            "replicate.predictions.cost",
            "{price}",
            "What predictions of map have cost, in the unit of price=.",
        )
        self.saved = meter.create_counter(
            "replicate.files.saved", "By", "Bytes of output files that were saved."
        )
        meter.create_observable_up_down_counter(
            "replicate.predictions.in_flight",
            [self._in_flight],
            "{prediction}",
            "Predictions that are waited for, or may be, and have not ended.",
        )

    def created(self, prediction: Prediction) -> None:
        """Count a prediction that is new."""
        self._created.add(1, _of_prediction(prediction))
        self.watch(prediction)

    def watch(self, prediction: Prediction) -> None:
        """Note that a prediction runs, or count its end, once."""
        id = prediction.id
        with self._lock:
            if id in self._ended:
                return
            if not prediction.ended:
                self._flights.setdefault(id, prediction)
                return
            self._flights.pop(id, None)
            self._ended[id] = None
            if len(self._ended) > _ENDED:
                self._ended.popitem(last=False)
        attributes = {**_of_prediction(prediction), "replicate.prediction.status": prediction.status}
        self._outcomes.add(1, attributes)
        if (seconds := _seconds(prediction)) is not None:
            self._duration.record(seconds, attributes)

    def _in_flight(self, options: CallbackOptions) -> Iterable[Observation]:
        """Count what is in flight, as often as somebody reads it."""
        found = (each() for each in self._flights.valuerefs())
        counts = Counter(tuple(_of_prediction(each).items()) for each in found if each is not None)
        return [Observation(number, dict(attributes)) for attributes, number in counts.items()]


_shared: WeakKeyDictionary[MeterProvider, _Instruments] = WeakKeyDictionary()
_making = threading.Lock()


def _of(provider: MeterProvider) -> _Instruments:
    """The instruments of a provider: one set for all clients, since what is observed may be registered once."""
    with _making:
        if provider not in _shared:
            _shared[provider] = _Instruments(provider)
        return _shared[provider]


def _of_prediction(prediction: Prediction) -> Attributes:
    """What a prediction is told apart by."""
    return _attributes(prediction.model, prediction.label)


def _attributes(model: str | None, label: str | None) -> Attributes:
    """What has few values: the model without its version, and the label of a run."""
    attributes: Attributes = {}
    if model:
        attributes["replicate.prediction.model"] = model.partition(":")[0]
    if (chosen := user_label(label)) is not None:
        attributes["replicate.run.label"] = chosen
    return attributes


def _seconds(prediction: Prediction) -> float | None:
    """How long a prediction ran by the API's own measure."""
    measured = (prediction.metrics or {}).get("predict_time")
    return measured if isinstance(measured, int | float) and 0 <= measured < float("inf") else None
