"""A model's OpenAPI schema: declare it from a Python function, check inputs against it, and ask what its outputs are.

Nothing here does I/O. The client, the batch engine and the simulator share it.

>>> from typing import Annotated
>>> from replicate_kit.schema import Field, ModelSchema, openapi
>>> def shout(text: str, times: Annotated[int, Field(ge=1, le=9)] = 1) -> str: ...
>>> model = ModelSchema(openapi(shout))
>>> [str(problem) for problem in model.check({"times": 10})]
['input: text is required', 'input.times: Must be less than or equal to 9']
"""

from __future__ import annotations

from replicate_kit.schema._checking import Problem, check
from replicate_kit.schema._declaring import (
    AsyncConcatenateIterator,
    ConcatenateIterator,
    Field,
    SchemaError,
    openapi,
)
from replicate_kit.schema._model import ModelSchema

__all__ = [
    "AsyncConcatenateIterator",
    "ConcatenateIterator",
    "Field",
    "ModelSchema",
    "Problem",
    "SchemaError",
    "check",
    "openapi",
]
