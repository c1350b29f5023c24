"""The API's groups of operations, one module each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from replicate_kit.resource import Resource
from replicate_kit.resources.models import Models
from replicate_kit.resources.predictions import Predictions

__all__ = ["BUILTIN"]

BUILTIN: Mapping[str, type[Resource]] = MappingProxyType({"models": Models, "predictions": Predictions})
"""What the package adds to every client, by name."""
