"""The default client, made from the environment when it is first used, and the functions that are its
methods.
"""

from __future__ import annotations

from replicate_kit.client import Client

__all__ = [
    "accounts",
    "async_map",
    "async_plan",
    "async_run",
    "async_stream",
    "async_use",
    "collections",
    "default_client",
    "deployments",
    "files",
    "hardware",
    "map",
    "models",
    "plan",
    "predictions",
    "run",
    "search",
    "stream",
    "trainings",
    "use",
    "webhooks",
]

default_client = Client()

run = default_client.run
async_run = default_client.async_run
stream = default_client.stream
async_stream = default_client.async_stream
map = default_client.map
async_map = default_client.async_map
plan = default_client.plan
async_plan = default_client.async_plan
models = default_client.models
predictions = default_client.predictions
use = default_client.use
async_use = default_client.async_use
accounts = default_client.accounts
collections = default_client.collections
deployments = default_client.deployments
files = default_client.files
hardware = default_client.hardware
search = default_client.search
trainings = default_client.trainings
webhooks = default_client.webhooks
