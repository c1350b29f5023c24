"""`replicate-kit train`: `trainings create`, by the name that Replicate's own command line has for it."""

from __future__ import annotations

import click

from replicate_kit.cli._commands.api.trainings import create_training

__all__ = ["command"]

command = click.Command(
    "train",
    callback=create_training.callback,
    params=create_training.params,
    help=create_training.help,
    short_help="Start a training of a model.",
)
"""The command."""
