"""The whole surface of `replicate` 2.0 beta against the server in REPLICATE_BASE_URL; what came of it, as JSON."""

from __future__ import annotations

import asyncio
import io
import json
import os
from typing import Any

import httpx
from receiver import Receiver
from replicate import AsyncReplicate, NotFoundError, Replicate

BASE, TOKEN = os.environ["REPLICATE_BASE_URL"] + "/v1", os.environ["REPLICATE_API_TOKEN"]
client = Replicate(bearer_token=TOKEN, base_url=BASE)
SMALL = {"prompt": "sea", "width": 16, "height": 16}
found: dict[str, Any] = {}

# Run, in both modes.
output = client.run("demo/painter", input=SMALL)
picture = output[0] if isinstance(output, list) else output
found["run"] = [
    type(picture).__name__,
    picture.read()[:4].decode("latin-1"),
    picture.url.startswith("https://"),
]
again = client.run("demo/painter", input=SMALL, wait=False)
found["run by polling"] = [type(each).__name__ for each in again]
found["run text"] = bool("".join(client.run("demo/poet", input={"prompt": "sea"})))
try:
    client.run("demo/flaky", input={"prompt": "x", "failure_rate": 1})
except Exception as error:
    found["failure"] = str(error)


async def asynchronous() -> bool:
    async with AsyncReplicate(bearer_token=TOKEN, base_url=BASE) as other:
        file = (await other.run("demo/painter", input=SMALL))[0]
        return (await file.read())[:4] == b"\x89PNG"


found["async run"] = asyncio.run(asynchronous())

# Predictions.
version = client.models.get(model_owner="demo", model_name="slow").latest_version.id
slow = client.predictions.create(version=version, input={"seconds": 600})
found["cancel"] = client.predictions.cancel(prediction_id=slow.id).status
waited = client.predictions.wait(client.predictions.create(version=version, input={"seconds": 0}).id)
found["wait"] = [waited.status, waited.output]
held = client.models.predictions.create(
    model_owner="demo", model_name="slow", input={"seconds": 0}, prefer="wait=5"
)
found["hold"] = held.output
found["predictions.list"] = len(list(client.predictions.list())) > 5
found["predictions.get"] = client.predictions.get(prediction_id=waited.id).output
created = client.predictions.create(version="demo/poet", input={"prompt": "sea", "lines": 1})
events = (
    httpx.get(created.urls.stream, verify=os.environ["SSL_CERT_FILE"]).text if created.urls.stream else ""
)
found["stream"] = [line for line in events.splitlines() if line.startswith("event:")][-1:]

# Files.
file = client.files.create(content=("a.txt", io.BytesIO(b"hello")), filename="a.txt")
found["files"] = [file.size, client.files.get(file_id=file.id).checksums.sha256 == file.checksums.sha256]
found["files.list"] = file.id in [each.id for each in client.files.list()]
client.files.delete(file_id=file.id)
try:
    client.files.get(file_id=file.id)
except NotFoundError as error:
    found["a deleted file"] = error.status_code
found["a file as input"] = client.run("acme/size", input={"file": io.BytesIO(b"12345")})

# Models, versions, collections, hardware, search.
found["account"] = client.account.get().username
found["hardware"] = {"cpu"} <= {each.sku for each in client.hardware.list()}
found["collections"] = [each.slug for each in client.collections.list()]
found["a collection"] = len(client.collections.get(collection_slug="demo").models)
found["models"] = len(list(client.models.list())) > 25
found["search"] = any(each.model.name == "poet" for each in client.search(query="poet").models)
found["models.search"] = any(each.name == "poet" for each in client.models.search(body="poet"))
client.models.create(owner="local", name="tuned", visibility="private", hardware="cpu")
client.models.update(model_owner="local", model_name="tuned", description="mine")
found["models.update"] = client.models.get(model_owner="local", model_name="tuned").description
painter = client.models.get(model_owner="demo", model_name="painter").latest_version.id
found["versions"] = (
    client.models.versions.get(model_owner="demo", model_name="painter", version_id=painter).id == painter
)
found["readme"] = client.models.readme.get(model_owner="demo", model_name="painter")[:9]

# Trainings.
training = client.trainings.create(
    model_owner="demo", model_name="painter", version_id=painter, destination="local/tuned",
    input={"prompt": "me", "steps": 2},
)  # fmt: skip
while (now := client.trainings.get(training_id=training.id)).status not in (
    "succeeded",
    "failed",
    "canceled",
):
    pass
found["training"] = [now.status, now.output.version.startswith("local/tuned:")]
other = client.trainings.create(
    model_owner="demo", model_name="painter", version_id=painter, destination="local/tuned",
    input={"prompt": "me", "steps": 10_000},
)  # fmt: skip
found["trainings.cancel"] = client.trainings.cancel(training_id=other.id).status
found["trainings.list"] = len(list(client.trainings.list()))

# Deployments.
size = client.models.get(model_owner="acme", model_name="size").latest_version.id
client.deployments.create(
    name="app", model="acme/size", version=size, hardware="cpu", min_instances=0, max_instances=1
)
made = client.deployments.predictions.create(
    deployment_owner="local", deployment_name="app", input={"file": "data:,abc"}, prefer="wait"
)
found["deployment"] = made.output
client.deployments.update(deployment_owner="local", deployment_name="app", max_instances=2)
found["deployments.update"] = client.deployments.get(
    deployment_owner="local", deployment_name="app"
).current_release.number
found["deployments.list"] = [each.name for each in client.deployments.list()]

# Webhooks.
receiver = Receiver()
client.predictions.create(
    version="demo/poet",
    input={"prompt": "sea"},
    webhook=receiver.url,
    webhook_events_filter=["start", "completed"],
)
found["webhooks"] = [json.loads(body)["status"] for _, body in receiver.wait(2)]
found["received"] = {"secret": client.webhooks.default.secret.get().key, "webhooks": receiver.received}

print(json.dumps(found))
