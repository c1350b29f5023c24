"""The whole surface of `replicate` 1.x against the server in REPLICATE_BASE_URL; what came of it, as JSON."""

from __future__ import annotations

import asyncio
import io
import json
import os
from typing import Any

import replicate
from receiver import Receiver
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.helpers import FileOutput
from replicate.webhook import Webhooks

client = Client(api_token=os.environ["REPLICATE_API_TOKEN"])
SMALL = {"prompt": "sea", "width": 16, "height": 16}
found: dict[str, Any] = {}

# Run, in both modes; streams.
(picture,) = client.run("demo/painter", input=SMALL)
found["run"] = [
    type(picture).__name__,
    picture.read()[:4].decode("latin-1"),
    picture.url.startswith("https://"),
]
(again,) = client.run("demo/painter", input=SMALL, wait=False)
found["run by polling"] = isinstance(again, FileOutput)
found["run text"] = bool("".join(client.run("demo/poet", input={"prompt": "sea"})))
found["stream"] = [
    each.event.value for each in client.stream("demo/poet", input={"prompt": "sea", "lines": 1})
][-1]
found["stream files"] = [each.event.value for each in client.stream("demo/painter", input=SMALL)]
try:
    client.run("demo/flaky", input={"prompt": "x", "failure_rate": 1})
except ModelError as error:
    found["failure"] = str(error)


async def asynchronous() -> bool:
    (file,) = await client.async_run("demo/painter", input=SMALL)
    return (await file.aread())[:4] == b"\x89PNG"


found["async_run"] = asyncio.run(asynchronous())

# Predictions.
model = client.models.get("demo/slow")
slow = client.predictions.create(version=model.latest_version, input={"seconds": 600})
slow.cancel()
slow.reload()
found["cancel"] = slow.status
waited = client.predictions.create(version=model.latest_version, input={"seconds": 0})
waited.wait()
found["wait"] = [waited.status, waited.output, waited.progress.percentage if waited.progress else None]
pages = [len(page.results) for page in replicate.paginate(client.models.list)]
found["pages of models"] = [len(pages) > 1, sum(pages)]
found["predictions.list"] = len(client.predictions.list().results) > 5
found["predictions.get"] = client.predictions.get(waited.id).output

# Files.
file = client.files.create(io.BytesIO(b"hello"), filename="a.txt", metadata={"a": 1})
found["files"] = [file.name, file.size, file.metadata, client.files.get(file.id).etag == file.etag]
found["files.list"] = file.id in [each.id for each in client.files.list()]
client.files.delete(file.id)
try:
    client.files.get(file.id)
except ReplicateError as error:
    found["a deleted file"] = error.status
found["a file as input"] = client.run("acme/size", input={"file": io.BytesIO(b"12345")})

# Models, versions, collections, hardware.
found["hardware"] = {"cpu"} <= {each.sku for each in client.hardware.list()}
found["collections"] = [each.slug for each in client.collections.list()]
found["a collection"] = len(client.collections.get("demo").models)
found["search"] = "demo/poet" in [each.id for each in client.models.search("poet")]
mine = client.models.create("local", "tuned", visibility="private", hardware="cpu")
found["models.create"] = [mine.owner, mine.name, mine.latest_version]
painter = client.models.get("demo/painter")
found["versions"] = [each.id for each in painter.versions.list()] == [painter.latest_version.id]

# Trainings.
training = client.trainings.create(
    model="demo/painter",
    version=painter.latest_version.id,
    input={"prompt": "me", "steps": 2},
    destination="local/tuned",
)
while training.status not in ("succeeded", "failed", "canceled"):
    training.reload()
found["training"] = [training.status, training.output["version"].startswith("local/tuned:")]
found["trainings.list"] = next(each.id for each in client.trainings.list()) == training.id
other = client.trainings.create(
    model="demo/painter",
    version=painter.latest_version.id,
    input={"prompt": "me", "steps": 10_000},
    destination="local/tuned",
)
other.cancel()
found["trainings.cancel"] = client.trainings.get(other.id).status

# Deployments.
deployment = client.deployments.create(
    name="app", model="acme/size", version=client.models.get("acme/size").latest_version.id, hardware="cpu",
    min_instances=0, max_instances=1,
)  # fmt: skip
by_deployment = client.deployments.get("local/app").predictions.create(input={"file": "data:,abc"})
by_deployment.wait()
found["deployment"] = [deployment.current_release.number, by_deployment.output]
client.deployments.update("local", "app", max_instances=2)
found["deployments.update"] = client.deployments.get("local/app").current_release.number
found["deployments.list"] = [each.name for each in client.deployments.list()]

# Webhooks.
receiver = Receiver()
client.predictions.create(
    version=client.models.get("demo/poet").latest_version, input={"prompt": "sea"}, webhook=receiver.url,
    webhook_events_filter=["start", "completed"],
)  # fmt: skip
secret = client.webhooks.default.secret()
statuses = []
for headers, body in receiver.wait(2):
    Webhooks.validate(headers=headers, body=body, secret=secret)
    statuses.append(json.loads(body)["status"])
found["webhooks"] = statuses
found["received"] = {"secret": secret.key, "webhooks": receiver.received}

print(json.dumps(found))
