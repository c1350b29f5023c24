"""Run AI models on Replicate: one prediction, a stream, or a table of inputs, and a simulator to try everything on.

The functions here (`run`, `stream`, `map`, …) are those of a `Client` that is made from the environment when it is
first used. Errors are in `replicate_kit.errors`.

>>> import os
>>> import replicate_kit as replicate
>>> os.environ["REPLICATE_KIT_BACKEND"] = "mock"  # no token, no network; leave it out for the real thing
>>> replicate.run("demo/painter", input={"prompt": "a wombat"})[0].name.endswith(".png")
True
"""

from __future__ import annotations

from replicate_kit import _accessors

__version__ = "0.1.0"

TYPE_CHECKING = False  # `typing` takes longer to import than all of this: checkers know the name
if TYPE_CHECKING:
    from replicate_kit._default import (
        accounts,
        async_map,
        async_plan,
        async_run,
        async_stream,
        async_use,
        collections,
        default_client,
        deployments,
        files,
        hardware,
        map,
        models,
        plan,
        predictions,
        run,
        search,
        stream,
        trainings,
        use,
        webhooks,
    )
    from replicate_kit._files.outputs import FileOutput
    from replicate_kit._formats.references import Reference
    from replicate_kit._formats.sse import ServerSentEvent
    from replicate_kit._runtime.blocking import blocking
    from replicate_kit.batch._money.pricing import Budget
    from replicate_kit.batch._plan.plan import Plan
    from replicate_kit.batch._results.progress import Progress
    from replicate_kit.batch._results.results import Result
    from replicate_kit.batch._runs.streams import AsyncBatch, Batch
    from replicate_kit.client import Client
    from replicate_kit.errors import BatchError, ModelError, ReplicateError
    from replicate_kit.hooks import hookimpl
    from replicate_kit.resources._resource import Page, Resource, async_paginate, paginate
    from replicate_kit.resources._running.outputs import OutputIterator
    from replicate_kit.resources.models import Model
    from replicate_kit.resources.predictions import Prediction
    from replicate_kit.resources.versions import Version
    from replicate_kit.storage import SaveTo
    from replicate_kit.tables._markers import col, template

__all__ = [
    "AsyncBatch",
    "Batch",
    "BatchError",
    "Budget",
    "Client",
    "FileOutput",
    "Model",
    "ModelError",
    "OutputIterator",
    "Page",
    "Plan",
    "Prediction",
    "Progress",
    "Reference",
    "ReplicateError",
    "Resource",
    "Result",
    "SaveTo",
    "ServerSentEvent",
    "Version",
    "accounts",
    "async_map",
    "async_paginate",
    "async_plan",
    "async_run",
    "async_stream",
    "async_use",
    "blocking",
    "col",
    "collections",
    "default_client",
    "deployments",
    "files",
    "hardware",
    "hookimpl",
    "map",
    "models",
    "paginate",
    "plan",
    "predictions",
    "run",
    "search",
    "stream",
    "template",
    "trainings",
    "use",
    "webhooks",
]

if not TYPE_CHECKING:
    from replicate_kit import _lazy

    def __getattr__(name):
        """Load a public name when it is first used (PEP 562)."""
        return _lazy.load(name, globals())

    def __dir__():
        return sorted({*globals(), *__all__})

    _lazy.answer_imports()

_accessors.install()
