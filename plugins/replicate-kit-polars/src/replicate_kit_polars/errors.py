"""What the accessors raise beside the errors of replicate_kit."""

from __future__ import annotations

from typing import Any

import polars as pl

from replicate_kit.batch import accessors
from replicate_kit.errors import ReplicateError

__all__ = ["RowsFailed", "remade"]


class RowsFailed(accessors.RowsFailed):
    """Some rows failed, after all the others were done.

    `partial` is what would have been returned, with nulls where rows failed; `errors` has the exceptions by the numbers
    of their rows, counted from 0. Errors of models carry their prediction. `statuses` is a Series of the status of each
    row of the data, such as "succeeded" and "failed".

    `retry=` of the accessors takes this error: then its failed rows run again, and the others stay as they are.

    >>> import polars as pl
    >>> from replicate_kit import Client
    >>> client, prompts = Client(backend="mock"), pl.Series("prompt", ["sea", "hills"])
    >>> try:
    ...     poems = prompts.replicate.run("demo/flaky", {"failure_rate": 1}, client=client)
    ... except RowsFailed as error:
    ...     poems = prompts.replicate.run("demo/poet", client=client, retry=error)
    >>> poems.null_count()
    0
    """

    partial: pl.Series | pl.DataFrame
    errors: dict[int, ReplicateError]
    statuses: pl.Series


def remade(error: ReplicateError) -> ReplicateError:
    """Give an error that stays itself where it is raised within an expression.

    polars makes the error anew, of its class and a text that says which expression it was, and knows nothing of what
    else it needs and carries.
    """
    kind = type(error)

    class Remade(kind):  # type: ignore[valid-type, misc]
        def __init__(self, message: str) -> None:
            Exception.__init__(self, message)
            self.__dict__.update(vars(error))

        def __reduce__(self) -> tuple[Any, ...]:
            revive, (_, *rest) = super().__reduce__()
            return revive, (kind, *rest)

    Remade.__name__, Remade.__qualname__, Remade.__module__ = (
        kind.__name__,
        kind.__qualname__,
        kind.__module__,
    )
    return Remade(str(error))
