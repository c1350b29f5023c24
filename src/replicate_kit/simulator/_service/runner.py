"""Run one prediction on the thread that this is called on."""

from __future__ import annotations

import pathlib
import traceback
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Self

from replicate_kit.simulator._models.artifacts import Encoder
from replicate_kit.simulator._models.functions import Canceled, ModelFunction
from replicate_kit.simulator._service.context import Run, current
from replicate_kit.simulator._service.training import publish
from replicate_kit.simulator._state.entities import Prediction
from replicate_kit.simulator._state.workers import abandoned

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

    from replicate_kit.simulator._service.service import Service

__all__ = ["run"]


def run(service: Service, prediction: Prediction, function: ModelFunction) -> None:
    """Call the model and bring the prediction to its end, whatever happens."""
    # The deadline may have passed in the queue: then the prediction is aborted and never starts.
    service.lifecycle.refresh(prediction)
    if not service.lifecycle.start(prediction):
        return
    task = Run(prediction, service.lifecycle, service.clock)
    token = current.set(task)
    try:
        service.lifecycle.succeed(prediction, _result(service, prediction, function, task))
    except Canceled:
        if not abandoned():  # an abandoned run stays unfinished: the next process may take it up
            service.lifecycle.cancel(prediction)
    except BaseException as error:
        # Also for SystemExit: a model that calls `sys.exit` fails, and its thread goes on with the next job.
        service.lifecycle.write(prediction, "".join(traceback.format_exception(error)))
        service.lifecycle.fail(prediction, str(error) or type(error).__name__)
    finally:
        current.reset(token)


def _result(service: Service, prediction: Prediction, function: ModelFunction, task: Run) -> Any:
    """Give the model's output as JSON."""
    encoder = Encoder(lambda content, name: service.keep_output(prediction, content, name))
    with _InputFiles(service.read_input) as files:
        arguments = function.arguments(prediction.input, files)
        if function.schema.is_iterator:
            return _grow(service, prediction, function.items(arguments, task.ended), encoder)
        output = encoder.encode(function.call(arguments, task.ended))
    return publish(service, prediction, output) if prediction.kind == "training" else output


def _grow(service: Service, prediction: Prediction, items: Iterator[Any], encoder: Encoder) -> list[Any]:
    """Publish item by item; stop asking for more once the prediction has ended."""
    try:
        for item in items:
            if not service.lifecycle.emit(prediction, encoder.encode(item)):
                raise Canceled
    finally:
        # Closed now and on this thread, where the generator expects to clean up.
        if isinstance(items, Generator):
            items.close()
    return list(prediction.output or ())


class _InputFiles:
    """Input files, read when asked for; the copies on disk are taken away afterwards."""

    def __init__(self, read: Callable[[str], tuple[bytes, str]]) -> None:
        self._read = read
        self._folder: TemporaryDirectory[str] | None = None
        self._count = 0

    def read(self, url: str, /) -> bytes:
        return self._read(url)[0]

    def path(self, url: str, /) -> pathlib.Path:
        """Copy the file to a folder of this run's own."""
        content, name = self._read(url)
        if self._folder is None:
            from tempfile import TemporaryDirectory

            self._folder = TemporaryDirectory(prefix="replicate-kit-input-")
        self._count += 1
        path = pathlib.Path(self._folder.name, f"{self._count}-{name}")
        path.write_bytes(content)
        return path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()
