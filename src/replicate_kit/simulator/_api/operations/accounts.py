"""Who one is, what there is to run on, and the secret that webhooks are signed with."""

from __future__ import annotations

from replicate_kit.simulator._api.exchange import Answer, Call, answer
from replicate_kit.simulator._api.routing import Operations

__all__ = ["operations"]

operations = Operations()


@operations("account.get", "GET", "/account")
async def get_account(call: Call) -> Answer:
    return answer(200, call.service.accounts.describe(call.account))


@operations("hardware.list", "GET", "/hardware")
async def list_hardware(call: Call) -> Answer:
    # A bare array: this listing has no pages (OpenAPI: hardware.list).
    with call.service.lock:
        return answer(200, [{"sku": sku, "name": name} for sku, name in call.service.store.hardware.items()])


@operations("webhooks.default.secret.get", "GET", "/webhooks/default/secret")
async def get_secret(call: Call) -> Answer:
    return answer(200, {"key": call.service.webhook_secret})
