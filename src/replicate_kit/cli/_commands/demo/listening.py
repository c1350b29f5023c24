"""Listening to one prediction while it writes: its stream is another door to what a batch is running anyway."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from replicate_kit.errors import ReplicateError

if TYPE_CHECKING:
    from replicate_kit.client import Client
    from replicate_kit.resources.predictions import Prediction

__all__ = ["listening"]

_PAUSE = 0.05  # seconds between two looks for a prediction that runs

Heard = Callable[["Prediction", str], None]


@contextlib.contextmanager
def listening(client: Client, model: str, heard: Heard) -> Iterator[None]:
    """While the block runs, pass on what the first running prediction of `model` streams. Nothing is created."""
    done = threading.Event()
    thread = threading.Thread(target=_listen, args=(client, model, heard, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=5)


def _listen(client: Client, model: str, heard: Heard, done: threading.Event) -> None:
    """Find a prediction and read its stream to the end; what goes wrong here must not disturb the demo."""
    with contextlib.suppress(ReplicateError):
        while not done.wait(_PAUSE):
            if (prediction := _running(client, model)) is not None:
                for event in prediction.stream():
                    heard(prediction, str(event))
                return


def _running(client: Client, model: str) -> Prediction | None:
    """Look for a prediction of the model that is at work."""
    found = (each for each in client.predictions.list() if (each.model, each.status) == (model, "processing"))
    return next(found, None)
