"""Outputs that come chunk by chunk, while the model works."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from replicate_kit._formats.wording import with_safe_repr
from replicate_kit._runtime.blocking import iterate
from replicate_kit._runtime.tracebacks import async_entrance
from replicate_kit.resources._running.abandoning import guarded
from replicate_kit.resources.predictions import Prediction

__all__ = ["OutputIterator"]


@with_safe_repr
class OutputIterator:
    """The output of a model that gives it chunk by chunk: iterate it with `for` or `async for` while the
    model works.

    `str()` waits for the end and joins the chunks where they are parts of one text. `prediction` is the run
    behind it. Iterating again gives the same chunks again.

    Ctrl-C, or the cancellation of the task, while it waits for a chunk cancels the prediction, as it does in
    every `run` (not with `cancel_on_exit=False`). A `break` does not: whoever has seen enough for now may
    iterate again for the rest, and `prediction.cancel()` says plainly that nobody will.

    >>> from replicate_kit import Client
    >>> words = Client(backend="mock").run("demo/poet", {"prompt": "sea"})
    >>> "".join(words) == str(words)
    True
    """

    def __init__(self, prediction: Prediction, *, cancel_on_exit: bool = True) -> None:
        self.prediction, self._cancel_on_exit = prediction, cancel_on_exit

    def __iter__(self) -> Iterator[Any]:
        return iterate(aiter(self))

    @async_entrance
    def __aiter__(self) -> AsyncIterator[Any]:
        chunks = self.prediction.async_output_iterator()
        return guarded(chunks, self.prediction) if self._cancel_on_exit else chunks

    def __str__(self) -> str:
        return "".join(str(chunk) for chunk in self)

    def __repr__(self) -> str:
        return f"<OutputIterator of {self.prediction!r}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show itself at IPython's prompt."""
        printer.text(self._shown())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Show itself in a notebook."""
        return {"text/plain": self._shown()}

    def _shown(self) -> str:
        """The text, where the prediction is known to have ended with one; else how far it was when last asked."""
        prediction, schema = self.prediction, self.prediction.schema
        chunks = dict(prediction).get("output")  # the JSON: plugins that decode it may ask somebody
        if (
            prediction.status == "succeeded"
            and schema
            and schema.is_concatenated
            and isinstance(chunks, list)
        ):
            return "".join(map(str, chunks))
        return f"<OutputIterator of {prediction!r}: {prediction.status}>"
