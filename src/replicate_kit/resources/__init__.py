"""The API's groups of operations, one module each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from replicate_kit.resources._resource import Resource
from replicate_kit.resources.accounts import Accounts
from replicate_kit.resources.collections import Collections
from replicate_kit.resources.deployments import Deployments
from replicate_kit.resources.files import Files
from replicate_kit.resources.hardware import HardwareKinds
from replicate_kit.resources.models import Models
from replicate_kit.resources.predictions import Predictions
from replicate_kit.resources.search import Search
from replicate_kit.resources.trainings import Trainings
from replicate_kit.resources.webhooks import Webhooks

__all__ = ["BUILTIN"]

BUILTIN: Mapping[str, type[Resource]] = MappingProxyType(
    {
        "accounts": Accounts,
        "collections": Collections,
        "deployments": Deployments,
        "files": Files,
        "hardware": HardwareKinds,
        "models": Models,
        "predictions": Predictions,
        "search": Search,
        "trainings": Trainings,
        "webhooks": Webhooks,
    }
)
"""What the package adds to every client, by name."""
