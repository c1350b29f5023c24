"""The default client, made from the environment when it is first used, and the functions that are its methods."""

from __future__ import annotations

from replicate_kit.client import Client

__all__ = [
    "async_run",
    "async_stream",
    "default_client",
    "models",
    "predictions",
    "run",
    "stream",
]

default_client = Client()

run = default_client.run
async_run = default_client.async_run
stream = default_client.stream
async_stream = default_client.async_stream
models = default_client.models
predictions = default_client.predictions
