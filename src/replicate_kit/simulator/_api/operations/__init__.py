"""The API's operations, by the resource that they belong to."""

from __future__ import annotations

from replicate_kit.simulator._api.operations import (
    accounts,
    deployments,
    discovery,
    files,
    models,
    predictions,
    streams,
    trainings,
)
from replicate_kit.simulator._api.routing import Operation

__all__ = ["OPERATIONS"]

OPERATIONS: tuple[Operation, ...] = tuple(
    operation
    for room in (streams, predictions, trainings, models, deployments, files, discovery, accounts)
    for operation in room.operations.all
)
