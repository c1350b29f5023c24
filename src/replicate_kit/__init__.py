"""The best way to run AI models from Python: Replicate's API, tables of inputs, and a simulator to try things
on.

>>> import replicate_kit as replicate
>>> replicate.run("demo/painter", input={"prompt": "a wombat"}).name.endswith(".png")
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicate_kit import _accessors

__version__ = "0.1.0"

if TYPE_CHECKING:
    from replicate_kit._blocking import blocking
    from replicate_kit._default import (
        async_run,
        async_stream,
        default_client,
        models,
        predictions,
        run,
        stream,
    )
    from replicate_kit.client import Client
    from replicate_kit.errors import ModelError, ReplicateError
    from replicate_kit.hookspecs import hookimpl
    from replicate_kit.outputs import FileOutput
    from replicate_kit.refs import Reference
    from replicate_kit.resource import Page, Resource
    from replicate_kit.resources.models import Model, Version
    from replicate_kit.resources.predictions import Prediction
    from replicate_kit.running import OutputIterator
    from replicate_kit.sse import ServerSentEvent

__all__ = [
    "Client",
    "FileOutput",
    "Model",
    "ModelError",
    "OutputIterator",
    "Page",
    "Prediction",
    "Reference",
    "ReplicateError",
    "Resource",
    "ServerSentEvent",
    "Version",
    "async_run",
    "async_stream",
    "blocking",
    "default_client",
    "hookimpl",
    "models",
    "predictions",
    "run",
    "stream",
]

if not TYPE_CHECKING:
    from replicate_kit import _lazy

    def __getattr__(name):
        """Load a public name when it is first used (PEP 562)."""
        return _lazy.load(name, globals())

    def __dir__():
        return sorted({*globals(), *__all__})


_accessors.install()
