"""From a reference to what is run: which version, and what its inputs and outputs are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from replicate_kit._formats.references import Reference, escape, is_version_id
from replicate_kit._runtime.single_flight import again
from replicate_kit.errors import NotFound
from replicate_kit.resources._running.running import Runnable
from replicate_kit.schema import ModelSchema

if TYPE_CHECKING:
    from replicate_kit._http.session import Session

__all__ = ["Resolver"]

_NOT_FOUND = "The requested resource could not be found."  # all that the API says
_ADVICE = "Check the spelling, or look for it at https://replicate.com/explore"

_REMEMBERED_FOR = 300.0  # seconds; a new version of a model is noticed after this time at the latest

_PATIENCE = (
    10.0  # seconds; threads may wait for a task whose loop waits for them, and to ask again costs little
)


class Resolver:
    """Finds out how to run what a reference names, and remembers it, so that no row of a table asks again."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def __call__(self, ref: Reference) -> Runnable:
        """Resolve a reference. Raises `NotFound` if there is no such model or deployment.

        However many ask at the same time, the API is asked once. That there is no such thing is told to those
        who wait for the answer and then forgotten: it may be published a moment later.
        """
        found = await self._session.single_flight(
            ("runnable", ref), partial(self._answer, ref), self._session, patience=_PATIENCE
        )
        if isinstance(found, NotFound):
            raise again(found)
        return cast("Runnable", found)

    async def _answer(self, ref: Reference) -> tuple[Runnable | NotFound, float]:
        """Ask the API; give what it says, and for how many seconds that holds."""
        try:
            return await self._resolve(ref), _REMEMBERED_FOR
        except NotFound as error:
            kind = "deployment" if ref.deployment else "model"
            usual, _, told = (error.detail or "").partition(_NOT_FOUND)
            # What a server says beyond the API's own words is about it: what is on Replicate is no matter there.
            advice = told.strip() if told.strip() and not usual else _ADVICE
            seen = f"There is no {kind} {str(ref)!r}, or the token's account may not see it"
            error.args = (f"{seen}; nothing was created. {advice}",)
            return error, 0.0

    async def _resolve(self, ref: Reference) -> Runnable:
        """Ask the API, with as few requests as will do."""
        if ref.deployment:
            return Runnable(ref, schema=await self._schema_of_deployment(ref))
        if ref.owner is None:
            return Runnable(ref)
        if ref.version is not None:
            return Runnable(ref, schema=await self._schema_of_version(ref.path, ref.version))
        return _of_model(ref, await self._object(ref.path))

    async def _schema_of_deployment(self, ref: Reference) -> ModelSchema | None:
        """Fetch the schema of the version that a deployment runs."""
        release = (await self._object(ref.path)).get("current_release")
        if not isinstance(release, dict) or not release.get("version") or not release.get("model"):
            return None
        return await self._schema_of_version(Reference.parse(release["model"]).path, release["version"])

    async def _schema_of_version(self, model: str, version: str) -> ModelSchema | None:
        """Fetch the schema of a version; some versions run although the API does not show them."""
        try:
            return _schema(await self._object(f"{model}/versions/{escape(version)}"))
        except NotFound:
            return None

    async def _object(self, path: str) -> dict[str, Any]:
        """Fetch a JSON object; anything else is as good as an empty one here."""
        json = await self._session.fetch("GET", path)
        return json if isinstance(json, dict) else {}


def _of_model(ref: Reference, model: dict[str, Any]) -> Runnable:
    """See how a model is run: official ones by their name, others by their latest version."""
    latest = model.get("latest_version")
    if not isinstance(latest, dict):
        return Runnable(ref, official=bool(model.get("is_official")))
    version = str(latest.get("id"))
    # Official models answer with "hidden", or with an id of another form, where others have their version's.
    if model.get("is_official") or not is_version_id(version):
        return Runnable(ref, official=True, schema=_schema(latest))
    return Runnable(Reference(ref.owner, ref.name, version), schema=_schema(latest))


def _schema(version: dict[str, Any]) -> ModelSchema | None:
    """Read the schema of a version that shows one."""
    document = version.get("openapi_schema")
    return ModelSchema(document) if isinstance(document, dict) and document else None
