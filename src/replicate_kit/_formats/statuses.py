"""The statuses of predictions and trainings."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["STATUSES", "TERMINAL", "Status"]

# The values of a prediction's `status` in the API's OpenAPI description. Its prose leaves out `aborted`.
Status = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]

STATUSES: tuple[Status, ...] = get_args(Status)
"""All of them, in the order in which a prediction may have them."""

TERMINAL = frozenset(STATUSES) - {"starting", "processing"}
"""Those after which nothing more happens."""
