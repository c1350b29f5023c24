"""What `import replicate` gives: the names of `replicate` 1.x, over the default client."""

from __future__ import annotations

from replicate_kit.compat.replicate.client import Client
from replicate_kit.compat.replicate.pagination import async_paginate, paginate

__all__ = [
    "Client",
    "async_paginate",
    "async_run",
    "async_stream",
    "collections",
    "default_client",
    "deployments",
    "files",
    "hardware",
    "models",
    "paginate",
    "predictions",
    "run",
    "stream",
    "trainings",
    "webhooks",
]

default_client = Client()

run = default_client.run
async_run = default_client.async_run

stream = default_client.stream
async_stream = default_client.async_stream

collections = default_client.collections
deployments = default_client.deployments
files = default_client.files
hardware = default_client.hardware
models = default_client.models
predictions = default_client.predictions
trainings = default_client.trainings
webhooks = default_client.webhooks
