"""The receivers that docs/webhooks.md shows take what the API signed, and refuse what somebody else made up."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tests.pages.reading import ROOT, Block, read
from tests.pages.running import run_page

POSTS = """
import asyncio, json, time
import django, httpx
from django.conf import settings
from django.test import RequestFactory
from replicate_kit.signing import sign

settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="for the test", DEFAULT_CHARSET="utf-8")
django.setup()

secret = replicate.webhooks.default.secret()
body = json.dumps({"id": "ufawqhfynnddngldkgtslldrkq", "status": "succeeded", "output": "hello"}).encode()
received = {"received": "ufawqhfynnddngldkgtslldrkq"}


def signed(content, age=0):
    now = int(time.time()) - age
    signature = sign("msg_1", now, content, secret.key)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}


def post_to_fastapi(headers):
    async def post():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post("/replicate-events", content=body, headers=headers)

    answer = asyncio.run(post())
    return answer.status_code, answer.content


def post_to_flask(headers):
    answer = flask_app.test_client().post("/replicate-events", data=body, headers=headers)
    return answer.status_code, answer.data


def post_to_django(headers):
    request = RequestFactory().post("/", body, content_type="application/json", headers=headers)
    answer = receive_in_django(request)
    return answer.status_code, answer.content


for post in (post_to_fastapi, post_to_flask, post_to_django):
    status, content = post(signed(body))
    assert (status, json.loads(content)) == (200, received), (post, content)
    for headers in (signed(b"something else"), signed(body, age=3600), {}):
        status, content = post(headers)
        assert status == 400, (post, headers, content)
assert on_request(signed(body), body) == (200, "thank you")
assert on_request(signed(b"something else"), body)[0] == 400
print("all receivers")
"""


def test_all_receivers_take_what_is_signed_and_nothing_else(tmp_path: Path) -> None:
    page = read(ROOT / "docs" / "webhooks.md")
    asked = dataclasses.replace(page, blocks=(*page.blocks, Block("python", 10_000, POSTS)))
    results = run_page(asked, tmp_path)
    assert not [error for _, _, error in results if error]
    assert results[-1].printed.endswith("all receivers\n")
