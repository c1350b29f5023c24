"""OpenTelemetry spans and metrics of what replicate-kit asks of the API."""

from __future__ import annotations

from replicate_kit_opentelemetry.watching import OpenTelemetry

__tracebackhide__ = True  # replicate_kit leaves our frames out of the tracebacks of mistakes

__all__ = ["OpenTelemetry"]
