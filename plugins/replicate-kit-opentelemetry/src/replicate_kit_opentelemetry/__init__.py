"""OpenTelemetry spans for what replicate-kit asks of the API."""

from __future__ import annotations

from replicate_kit_opentelemetry.spans import OpenTelemetry

__all__ = ["OpenTelemetry"]
