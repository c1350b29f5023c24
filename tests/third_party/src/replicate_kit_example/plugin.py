"""The hooks of this plugin. What they need is imported when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from replicate_kit import hookimpl

if TYPE_CHECKING:
    import click

    from replicate_kit import Prediction, Resource
    from replicate_kit.config import Config
    from replicate_kit.session import Session
    from replicate_kit.transport import Backend, Layer
    from replicate_kit_example import Pin


@hookimpl
def replicate_resources() -> Mapping[str, type[Resource]]:
    """Add `client.pinboards`."""
    from replicate_kit_example.pinboards import Pinboards

    return {"pinboards": Pinboards}


@hookimpl
def replicate_backends() -> Mapping[str, type[Backend]]:
    """Add `Client(backend="workshop")`."""
    from replicate_kit_example.workshop import NAME, Workshop

    return {NAME: Workshop}


@hookimpl
def replicate_transport_layer(config: Config) -> Layer | None:
    """Stamp the requests that go to the workshop, and no others."""
    from replicate_kit_example.workshop import NAME, Stamp

    return Stamp if config.backend == NAME else None


@hookimpl
def replicate_decode_output(value: Any, prediction: Prediction, session: Session) -> Pin | None:
    """Make a `Pin` of what is one."""
    from replicate_kit_example.pinboards import Pin

    return Pin(value["pin"]) if isinstance(value, dict) and value.keys() == {"pin"} else None


@hookimpl
def replicate_commands(cli: click.Group) -> None:
    """Add `replicate-kit pinboards`."""
    import click

    @cli.command()
    def pinboards() -> None:
        """List the boards of the workshop."""
        from replicate_kit import Client
        from replicate_kit_example.pinboards import Pinboards

        with Client(backend="workshop") as client:
            for board in client.resource(Pinboards).list():
                click.echo(f"{board.name}: {', '.join(board.notes)}")
