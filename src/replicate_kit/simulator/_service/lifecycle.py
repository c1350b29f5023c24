"""How a prediction goes from starting to its end, and who is told.

Whatever changes a prediction goes through here: model functions on their threads, requests, deadlines. Listeners (the
journal, webhooks) are told while the lock is held, in order; only then are waiters woken, so that nobody is told of an
end that the journal does not know.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from replicate_kit.simulator._state.clock import Clock
from replicate_kit.simulator._state.entities import Event, Prediction

__all__ = ["Lifecycle", "Listener"]

Listener = Callable[[Prediction, str], None]
"""Is told `created`, `start`, `output`, `logs`, `completed` or `removed`."""


class Lifecycle:
    """Moves predictions on. `run_limit` and `retention` are in seconds of the clock."""

    def __init__(self, lock: threading.RLock, clock: Clock, *, run_limit: float, retention: float) -> None:
        self._lock, self._clock = lock, clock
        self._run_limit, self._retention = int(run_limit * 1e6), int(retention * 1e6)
        self.listeners: list[Listener] = []

    def ended(self, prediction: Prediction) -> Future[None]:
        """A future that is done when the prediction has come to its end."""
        with self._lock:
            if prediction.ended is None:
                prediction.ended = Future()
                if prediction.done:
                    prediction.ended.set_result(None)
            return prediction.ended

    def changed(self, prediction: Prediction) -> Future[None]:
        """A future that is done at the prediction's next change, or now if it has come to its end."""
        with self._lock:
            if prediction.done:
                return self.ended(prediction)
            if prediction.changed is None:
                prediction.changed = Future()
            return prediction.changed

    def created(self, prediction: Prediction) -> None:
        """Tell of a new prediction."""
        with self._lock:
            self._tell(prediction, "created")

    def start(self, prediction: Prediction) -> bool:
        """The model begins to work on it; False if it is over already."""

        def change() -> None:
            prediction.status, prediction.started = "processing", self._clock.stamp()

        return self._apply(prediction, "start", change)

    def emit(self, prediction: Prediction, item: Any) -> bool:
        """One more item of an output that grows."""

        def change() -> None:
            if prediction.output is None:
                prediction.output = []
            prediction.output.append(item)
            self._event(prediction, "output", _data(item))

        return self._apply(prediction, "output", change)

    def write(self, prediction: Prediction, text: str) -> bool:
        """More logs."""

        def change() -> None:
            prediction.logs.append(text)
            self._event(prediction, "logs", text)

        return self._apply(prediction, "logs", change)

    def succeed(self, prediction: Prediction, output: Any) -> bool:
        """The model is done. What it gave at once, as one chunk, is streamed now."""

        def change() -> None:
            # An output that grew has streamed each item when it came.
            if prediction.output is None:
                self._stream_whole(prediction, output)
            prediction.output = output
            self._end(prediction, "succeeded")

        return self._apply(prediction, "completed", change)

    def fail(self, prediction: Prediction, error: str) -> bool:
        """The model raised an error, or could not run."""

        def change() -> None:
            self._stream_error(prediction, error)
            prediction.error = error
            self._end(prediction, "failed", "error")

        return self._apply(prediction, "completed", change)

    def cancel(self, prediction: Prediction, *, aborted: bool = False) -> bool:
        """Somebody, or a deadline, ends it."""

        def change() -> None:
            self._end(prediction, "aborted" if aborted else "canceled", "canceled")

        return self._apply(prediction, "completed", change)

    def retell(self, prediction: Prediction) -> None:
        """Stream what a prediction that ran elsewhere would have streamed."""
        for text in prediction.logs:
            self._event(prediction, "logs", text)
        self._stream_whole(prediction, prediction.output)
        if prediction.status == "failed":
            self._stream_error(prediction, prediction.error or "")
        if prediction.done:
            reasons = {"succeeded": "", "failed": "error"}
            self._stream_end(prediction, reasons.get(prediction.status, "canceled"))

    def refresh(self, prediction: Prediction) -> None:
        """Apply what the passing of time has done to it."""
        now = int(self._clock.now() * 1e6)
        if prediction.is_loaded:
            return
        if prediction.done:
            completed = prediction.completed or prediction.created
            # Only predictions of the API lose their data; those of the web keep it (replicate.com/docs). A training has
            # made weights that its version needs.
            if (
                not prediction.data_removed
                and prediction.kind == "prediction"
                and prediction.source == "api"
                and now - completed > self._retention
            ):
                self._remove_data(prediction)
        elif prediction.deadline is not None and now >= prediction.deadline:
            # What ends before it starts is aborted; later it is canceled (OpenAPI: predictions.get, status).
            self.cancel(prediction, aborted=prediction.started is None)
        elif prediction.started is not None and now - prediction.started > self._run_limit:
            # No timer watches this limit: it strikes when somebody looks.
            self.fail(prediction, "Prediction timed out: it ran for longer than the limit.")

    def _remove_data(self, prediction: Prediction) -> None:
        """Forget input, output and logs, as Replicate does an hour after the end."""
        with self._lock:
            if prediction.data_removed:
                return
            # The output becomes null (OpenAPI: predictions.get). Nobody has recorded what becomes of input and logs:
            # {} and an empty text fit every client.
            prediction.data_removed, prediction.output, prediction.input = True, None, {}
            prediction.logs, prediction.events = [], []
            self._tell(prediction, "removed")

    def _apply(self, prediction: Prediction, event: str, change: Callable[[], None]) -> bool:
        """Change a prediction that has not ended, then tell and wake; False if it has."""
        with self._lock:
            if prediction.done:
                return False
            change()
            self._tell(prediction, event)
            waiting = [prediction.changed]
            prediction.changed = None
            if event == "completed":
                waiting.append(prediction.ended)
                prediction.ended = (
                    None  # made anew for whoever still asks; kept, it would weigh more than all the rest
                )
        for future in waiting:
            if future is not None:
                future.set_result(None)
        return True

    def _tell(self, prediction: Prediction, event: str) -> None:
        for listener in self.listeners:
            listener(prediction, event)

    def _event(self, prediction: Prediction, name: str, data: str) -> None:
        """Add to what is streamed."""
        prediction.events.append(Event(int(self._clock.now()), name, data))

    def _stream_whole(self, prediction: Prediction, output: Any) -> None:
        """Stream an output that did not grow."""
        if output is not None:
            for chunk in output if isinstance(output, list) else [output]:
                self._event(prediction, "output", _data(chunk))

    def _stream_error(self, prediction: Prediction, error: str) -> None:
        self._event(prediction, "error", json.dumps({"detail": error}, ensure_ascii=False))

    def _stream_end(self, prediction: Prediction, reason: str) -> None:
        self._event(prediction, "done", json.dumps({"reason": reason}) if reason else "{}")

    def _end(self, prediction: Prediction, status: str, reason: str = "") -> None:
        """Set what every end sets."""
        self._stream_end(prediction, reason)
        prediction.status, prediction.completed = status, self._clock.stamp()
        # predict_time leaves out the queue (OpenAPI: predictions.get), so what never started has none.
        if prediction.started is not None:
            prediction.metrics["predict_time"] = (prediction.completed - prediction.started) / 1e6
        prediction.metrics["total_time"] = (prediction.completed - prediction.created) / 1e6


def _data(item: Any) -> str:
    """An item of the output as an event's data."""
    return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
