"""A model as a Python function: `flux = client.use("owner/flux")`, then `flux(prompt="a wombat")`."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from replicate_kit._formats.wording import with_safe_repr
from replicate_kit._runtime.blocking import blocking
from replicate_kit.resources._running.running import Run, Runnable
from replicate_kit.resources.predictions import Prediction

if TYPE_CHECKING:
    from replicate_kit._formats.sse import ServerSentEvent
    from replicate_kit._http.session import Session

__all__ = ["ModelFunction"]


@with_safe_repr
class ModelFunction:
    """A model that is called like a function. Its parameters are the model's inputs: see `help(function)`.

    >>> from replicate_kit import Client
    >>> paint = Client(backend="mock").use("demo/painter")
    >>> paint(prompt="a wombat")[0].media_type
    'image/png'
    >>> import inspect
    >>> next(iter(inspect.signature(paint).parameters))
    'prompt'
    """

    def __init__(self, runnable: Runnable, run: Run, session: Session) -> None:
        self._runnable, self._run, self._session = runnable, run, session
        self.__name__ = str(runnable.reference.name or runnable.reference.version)
        if runnable.schema is not None:
            self.__signature__ = runnable.schema.signature()
            self.__doc__ = _describe(runnable)

    async def async_run(self, /, **inputs: Any) -> Any:
        """Run the model with these inputs and give its output, as `client.run` does."""
        return await self._run(self._runnable, inputs, self._session)

    async def async_create(self, /, **inputs: Any) -> Prediction:
        """Start a prediction with these inputs and give it at once."""
        return await self._run.create(self._runnable, inputs, self._session)

    def async_stream(self, /, **inputs: Any) -> AsyncIterator[ServerSentEvent]:
        """Run the model with these inputs and give the events of its stream."""
        return self._run.stream(self._runnable, inputs, self._session)

    run = blocking(async_run)
    create = blocking(async_create)
    stream = blocking(async_stream)

    def __call__(self, /, *values: Any, **inputs: Any) -> Any:
        """Run the model; the same as `run`."""
        if values:
            schema = self._runnable.schema
            first = next(iter(schema.properties), "prompt") if schema else "prompt"
            raise TypeError(f"Inputs are passed by name: {self.__name__}({first}={values[0]!r:.40}).")
        return self.run(**inputs)

    def __repr__(self) -> str:
        return (
            f"<ModelFunction {self._runnable.reference}{getattr(self, '__signature__', inspect.Signature())}>"
        )


def _describe(runnable: Runnable) -> str:
    """Write a docstring from the model's schema."""
    assert runnable.schema is not None
    inputs = (
        f"    {name}: {each.get('description', '').strip()}"
        for name, each in runnable.schema.properties.items()
    )
    return "\n".join((f"Run {runnable.reference}.", "", "Inputs:", *inputs))
