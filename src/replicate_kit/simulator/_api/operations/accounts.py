"""Who one is, what there is to run on, and the secret that webhooks are signed with."""

from __future__ import annotations

from replicate_kit.simulator._api.exchange import Answer, Call, answer
from replicate_kit.simulator._api.routing import Operations

__all__ = ["HARDWARE", "operations"]

operations = Operations()

# The first four were recorded. Replicate has changed its list since, so no client should rely on one.
HARDWARE = (
    {"sku": "cpu", "name": "CPU"},
    {"sku": "gpu-t4", "name": "Nvidia T4 GPU"},
    {"sku": "gpu-a40-small", "name": "Nvidia A40 GPU"},
    {"sku": "gpu-a40-large", "name": "Nvidia A40 (Large) GPU"},
    {"sku": "gpu-l40s", "name": "Nvidia L40S GPU"},
    {"sku": "gpu-a100-large", "name": "Nvidia A100 (80GB) GPU"},
    {"sku": "gpu-h100", "name": "Nvidia H100 GPU"},
)


@operations("account.get", "GET", "/account")
async def get_account(call: Call) -> Answer:
    return answer(200, call.service.accounts.describe(call.account))


@operations("hardware.list", "GET", "/hardware")
async def list_hardware(call: Call) -> Answer:
    # A bare array: this listing has no pages (OpenAPI: hardware.list).
    return answer(200, HARDWARE)


@operations("webhooks.default.secret.get", "GET", "/webhooks/default/secret")
async def get_secret(call: Call) -> Answer:
    return answer(200, {"key": call.service.webhook_secret})
