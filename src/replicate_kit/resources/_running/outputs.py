"""Outputs that come chunk by chunk, while the model works."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, TypeVar

from replicate_kit._files.outputs import FileOutput
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit._runtime.blocking import blocking, iterate
from replicate_kit._runtime.tracebacks import async_entrance, entrance
from replicate_kit.errors import ReplicateError
from replicate_kit.resources._running.abandoning import guarded
from replicate_kit.resources.predictions import Prediction

__all__ = ["OutputIterator"]

T = TypeVar("T")


def _shortening(kind: type[T], /) -> type[T]:
    """Shorten the tracebacks of mistakes that leave what Python itself calls to use an object as a text."""
    for name in ("__str__", "__format__", "__add__", "__radd__", "__contains__", "__eq__", "__hash__"):
        setattr(kind, name, entrance(vars(kind)[name]))
    return kind


@_shortening
@with_safe_repr
class OutputIterator:
    """The output of a model that gives it chunk by chunk: iterate it with `for` or `async for` while the
    model works.

    `whole()` waits for the end and joins the chunks; where they are not parts of one text, it gives the list of them.
    `str()` gives that as text. `prediction` is the run behind it. Iterating again gives the same chunks again.

    Where the chunks are parts of one text, it stands for that text: `output + "!"`, `"sea" in output`,
    `output == "yes"`, `f"{output:>20}"`, the methods of `str` and the inputs of other models wait for all of it. `len`,
    indices and `json.dumps` do not take it: write `str(output)`. It is always true, so that `if output:` does not wait.

    As the last line of a notebook's cell it waits, too, and shows the text, or the list with its files, or what had
    come when it failed or was interrupted. If `async_run` made it, it shows what to write instead, since to wait there
    would stop the event loop.

    Ctrl-C, or the cancellation of the task, while it waits for a chunk cancels the prediction, as it does in
    every `run` (not with `cancel_on_exit=False`). A `break` does not: whoever has seen enough for now may
    iterate again for the rest, and `prediction.cancel()` says plainly that nobody will.

    >>> from replicate_kit import Client
    >>> words = Client(backend="mock").run("demo/poet", {"prompt": "sea"})
    >>> "".join(words) == words == str(words)
    True
    """

    # There is no __len__, not even one that raises: `list` asks it first, and pandas and polars take the chunks of what
    # has none.

    def __init__(
        self, prediction: Prediction, *, cancel_on_exit: bool = True, is_blocking: bool = True
    ) -> None:
        self.prediction, self._cancel_on_exit, self._is_blocking = prediction, cancel_on_exit, is_blocking
        # Only a schema can deny that the chunks are parts of one text, and copies of a prediction have none.
        self.is_text = prediction.schema is None or prediction.schema.is_concatenated
        """Whether the chunks are parts of one text."""

    def __iter__(self) -> Iterator[Any]:
        return iterate(aiter(self))

    @async_entrance
    def __aiter__(self) -> AsyncIterator[Any]:
        chunks = self.prediction.async_output_iterator()
        return guarded(chunks, self.prediction) if self._cancel_on_exit else chunks

    async def async_whole(self) -> Any:
        """Wait for the end, and give the text; where the chunks are not parts of one, the list of them.

        >>> from replicate_kit import Client
        >>> type(Client(backend="mock").run("demo/poet", {"prompt": "sea"}).whole())
        <class 'str'>
        """
        return self._joined([chunk async for chunk in self])

    whole = blocking(async_whole)

    def __str__(self) -> str:
        return str(self.whole())

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __add__(self, other: Any) -> Any:
        return self._text() + (other._text() if isinstance(other, OutputIterator) else other)

    def __radd__(self, other: Any) -> Any:
        return other + self._text()

    def __contains__(self, item: Any) -> bool:
        return item in (str(self) if self.is_text else iter(self))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, OutputIterator) and other is not self and other.is_text:
            other = str(other)
        return str(self) == other if isinstance(other, str) and self.is_text else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self)) if self.is_text else super().__hash__()

    def __getattr__(self, name: str) -> Any:
        """Give a method of the text, which waits when it is called."""
        if name.startswith("_") or not hasattr(str, name):
            raise AttributeError(f"OutputIterator has no {name!r}.", name=name, obj=self)
        return entrance(lambda *args, **options: getattr(self._text(), name)(*args, **options))

    def __repr__(self) -> str:
        return f"<OutputIterator of {self.prediction!r}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show itself within a list or the like, without waiting: the text, or how far it was when last asked."""
        prediction = self.prediction
        chunks = dict(prediction).get("output")  # the JSON: plugins that decode it may ask somebody
        if prediction.status == "succeeded" and self.is_text and isinstance(chunks, list):
            printer.text(self._joined(chunks))
        else:
            printer.text(self._outcome(""))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Show itself at IPython's prompt and in a notebook, once all is there or no more will come."""
        if not (self._is_blocking or self.prediction.ended):
            return {"text/plain": self._outcome(f". {_INSTEAD}")}
        chunks: list[Any] = []
        try:
            for chunk in self:
                chunks.append(chunk)
        except ReplicateError as error:
            return self._shown(chunks, self._outcome(f": {error}"))
        except KeyboardInterrupt:
            print(self._shown(chunks, self._outcome(""))["text/plain"])  # noqa: T201 - where the display goes, too
            raise  # so that a notebook does not go on to the next cell
        return self._shown(chunks)

    def _shown(self, chunks: list[Any], outcome: str = "") -> dict[str, str]:
        """Show chunks, and what kept others from coming; files in HTML as they show themselves."""
        text = str(self._joined(chunks)) if chunks or not outcome else ""
        shown = {"text/plain": f"{text}\n{outcome}".strip("\n") if outcome else text}
        if not self.is_text and any(isinstance(chunk, FileOutput) for chunk in chunks):
            shown["text/html"] = "\n".join([*map(_html, chunks), *([_html(outcome)] if outcome else [])])
        return shown

    def _outcome(self, more: str) -> str:
        return f"<OutputIterator of {self.prediction!r}: {self.prediction.status}{more}>"

    def _joined(self, chunks: Iterable[Any]) -> Any:
        return "".join(map(str, chunks)) if self.is_text else list(chunks)

    def _text(self) -> str:
        """Wait for the text; raise `TypeError` where the output is none."""
        if not self.is_text:
            raise TypeError(
                "This output is not one text: list(output) gives its items, and str(output) that list as text."
            )
        return str(self)


_INSTEAD = "async_run made it, so it does not wait here. Write: await output.async_whole()"


def _html(value: object) -> str:
    """Show an item of an output, or a text that is about it."""
    from html import escape

    if isinstance(value, FileOutput):
        return value._repr_mimebundle_()["text/html"]
    return f"<pre>{escape(value if isinstance(value, str) else repr(value))}</pre>"
