"""The plugin as it is when it is merely installed: spans without inputs, through the global tracer provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicate_kit import hookimpl

if TYPE_CHECKING:
    from replicate_kit.config import Config
    from replicate_kit.transport import Layer


@hookimpl
def replicate_transport_layer(config: Config) -> Layer:
    """Put spans around every attempt of every request."""
    # Imported when a client is made, so that installing the plugin costs nothing before.
    from replicate_kit_opentelemetry.spans import OpenTelemetry

    return OpenTelemetry().replicate_transport_layer(config)
