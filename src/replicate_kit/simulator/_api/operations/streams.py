"""The events of a prediction. They are read without a token: the URL is the secret."""

from __future__ import annotations

from replicate_kit.simulator._api.exchange import Answer, Call
from replicate_kit.simulator._api.routing import Operations
from replicate_kit.simulator._api.streaming import EventBody, position_after
from replicate_kit.simulator._state.problems import not_found

__all__ = ["operations"]

operations = Operations()


# The official Python client sends its token to streams; those for JavaScript and Go do not.
@operations("streams.get", "GET", "/v1/streams/{stream}", site="streams", by_url=True)
async def get_text(call: Call) -> Answer:
    return _events(call, call.params["stream"])


@operations("streams.get", "GET", "/v1/files/{file_stream}", site="streams", by_url=True)
async def get_files(call: Call) -> Answer:
    return _events(call, call.params["file_stream"])


def _events(call: Call, token: str) -> Answer:
    service = call.service
    with service.lock:
        prediction = service.store.predictions.get(service.links.streamed(token) or "")
        if prediction is None:
            raise not_found()
        service.lifecycle.refresh(prediction)
    position = position_after(call.request.headers.get("last-event-id"))
    headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
    return Answer(200, headers=headers, stream=EventBody(service, prediction, call.runtime, position))
