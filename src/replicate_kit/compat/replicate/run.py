"""Run a model and take its output."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any

from replicate_kit._runtime import blocking
from replicate_kit._runtime.tracebacks import entrance
from replicate_kit.compat.replicate import identifier
from replicate_kit.compat.replicate.exceptions import ModelError
from replicate_kit.compat.replicate.helpers import transform_output
from replicate_kit.compat.replicate.model import Model
from replicate_kit.compat.replicate.schema import make_schema_backwards_compatible
from replicate_kit.compat.replicate.version import Version, Versions

if TYPE_CHECKING:
    from replicate_kit.compat.replicate.client import Client
    from replicate_kit.compat.replicate.prediction import Prediction

__all__ = ["Model", "ModelError", "async_run", "identifier", "run"]


async def async_run(
    client: Client, ref: Any, input: Any = None, *, use_file_output: bool | None = True, **params: Any
) -> Any:
    """Run a model and give its output; an asynchronous generator where the model gives it chunk by chunk."""
    params.setdefault("wait", True)
    version, owner, name, id = identifier.runnable(ref)
    if id is not None:
        prediction = await client.predictions.async_create(version or id, input or {}, **params)
    else:
        prediction = await client.models.predictions.async_create((owner, name), input or {}, **params)
    if version is None and id is not None and owner and name:
        version = await _known(Versions(client, (owner, name)), id)

    finished = params["wait"] is not False and _is_finished(prediction)
    if not finished and _is_iterator(version):
        return _chunks(prediction.async_output_iterator(), client, use_file_output)
    if not finished:
        await prediction.async_wait()
    prediction.raise_for_status()
    if _is_iterator(version) and prediction.output is not None:
        return _chunks(_each(prediction.output), client, use_file_output)
    return transform_output(prediction.output, client) if use_file_output else prediction.output


@entrance
def run(
    client: Client, ref: Any, input: Any = None, *, use_file_output: bool | None = True, **params: Any
) -> Any:
    """Run a model and give its output; a generator where the model gives it chunk by chunk."""
    output = blocking.run(async_run(client, ref, input, use_file_output=use_file_output, **params))
    return blocking.iterate(output) if isinstance(output, AsyncGenerator) else output


async def _known(versions: Versions, id: str) -> Version | None:
    """Look at the version; that it cannot be seen or read is no reason to lose a prediction that runs."""
    try:
        return await versions.async_get(id)
    except Exception:  # a refusal, a broken connection, an answer that is no version
        return None


def _is_finished(prediction: Prediction) -> bool:
    """Whether an answer that the API held has the whole output.

    The API may say "processing" and send the output all the same. One that was held too long (202), or has no output
    yet, is not finished.
    """
    return prediction.ended or (
        prediction.status != "starting" and prediction.output is not None and not prediction._waited_too_long
    )


def _is_iterator(version: Version | None) -> bool:
    """Whether a version gives its output chunk by chunk: not if what it says of itself cannot be read."""
    if version is None:
        return False
    try:
        schema = make_schema_backwards_compatible(version.openapi_schema or {}, str(version.cog_version))
        output = schema.get("components", {}).get("schemas", {}).get("Output", {})
        return bool(output.get("type") == "array" and output.get("x-cog-array-type") == "iterator")
    except AttributeError:  # something else where an object should be
        return False


async def _chunks(
    chunks: AsyncIterator[Any], client: Client, use_file_output: bool | None
) -> AsyncGenerator[Any]:
    """Give chunks of an output, files as such."""
    async for chunk in chunks:
        yield transform_output(chunk, client) if use_file_output else chunk


async def _each(chunks: Any) -> AsyncIterator[Any]:
    """Give the chunks that are here already."""
    for chunk in chunks:
        yield chunk
