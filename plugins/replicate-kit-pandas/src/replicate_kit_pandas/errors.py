"""What the accessors raise beside the errors of replicate_kit."""

from __future__ import annotations

from typing import Any

import pandas as pd

from replicate_kit.batch import accessors

__all__ = ["RowsFailed"]


class RowsFailed(accessors.RowsFailed):
    """Some rows failed, after all the others were done.

    `partial` is what would have been returned, with nulls where rows failed; `errors` is a Series of the
    exceptions, with the labels of their rows as its index. Errors of models carry their prediction. `statuses` is a
    Series of the status of each row of the data, such as "succeeded" and "failed", with the labels of the data.

    `retry=` of the accessors takes this error: then its failed rows run again, and the others stay as they are.

    >>> import pandas as pd
    >>> from replicate_kit import Client
    >>> client, prompts = Client(backend="mock"), pd.Series(["sea", "hills"], name="prompt")
    >>> try:
    ...     poems = prompts.replicate.run("demo/flaky", {"failure_rate": 1}, client=client)
    ... except RowsFailed as error:
    ...     poems = prompts.replicate.run("demo/poet", client=client, retry=error)
    >>> poems.isna().tolist()
    [False, False]
    """

    partial: pd.Series[Any] | pd.DataFrame
    errors: pd.Series[Any]
    statuses: pd.Series[Any]
