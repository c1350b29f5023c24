"""Stores the files of predictions that have ended, side by side, and keeps the manifest that a later run goes by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from replicate_kit import errors
from replicate_kit._runtime.foreign_code import said_of
from replicate_kit.storage import SavedOutput, SaveOutcome, SaveTo, StoredFile
from replicate_kit.stores import manifest
from replicate_kit.stores._saving import check_target, files_in, planned_files, record_files, store_outputs

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.resources.predictions import Prediction
    from replicate_kit.stores import Location
    from replicate_kit.stores._saving import Destination

__all__ = ["NAMES", "Saving", "Told", "target_of"]

NAMES = "{date}/{model}/{prediction_id}-{index}{ext}"
"""How files are named where nobody says otherwise."""

_FIELDS = ("date", "status")
_AT_ONCE = 8  # predictions; no more files are on their way at a time in a process

Told: TypeAlias = Callable[[SavedOutput, int, int], object]
"""Is told what became of a prediction, how many are done, and how many there are."""


async def target_of(to: Destination, options: Mapping[str, Any] | None, session: Session) -> SaveTo:
    """See where files are to go, and find out whether they can. Raises as `check_target` does."""
    given = SaveTo.of(to, options)
    # A later run knows by the manifest what is there.
    target = dataclasses.replace(given, name=given.name or NAMES, manifest=True)
    await check_target(target, session, fields=_FIELDS, rows=False)
    return target


class Saving:
    """Stores the files of some predictions in one folder."""

    def __init__(self, session: Session, target: SaveTo, *, dry: bool, told: Told | None) -> None:
        self._session, self._target, self._dry, self._told = session, target, dry, told
        self._results: dict[str, SavedOutput] = {}
        self._to_record: list[StoredFile] = []
        self._records = False

    async def run(self, predictions: Sequence[Prediction]) -> list[SavedOutput]:
        """Store what there is; give what became of each prediction."""
        self._folder, self._known = await self._session.in_thread(self._read)
        left = iter(predictions)

        async def work() -> None:
            for each in left:
                await self._take(each, len(predictions))

        await self._session.side_by_side(*[work] * min(_AT_ONCE, len(predictions)))
        return [self._results[each.id] for each in predictions]

    def _read(self) -> tuple[Location, dict[str, dict[int, StoredFile]]]:
        """Open the folder, and read what earlier runs have stored there."""
        folder = self._session.hooks.open_folder(self._target.folder, self._target.options)
        return folder, manifest.saved_of(folder)

    async def _take(self, prediction: Prediction, total: int) -> None:
        """Save one, and tell what became of it."""
        outcome: SaveOutcome
        files: list[StoredFile] = []
        failure: Exception | None = None
        try:
            outcome = await self._saved(prediction, files)
        except errors.FileExpired as error:
            outcome, failure = "expired", error
        # Whatever a store or a plugin raises is this prediction's matter only.
        except Exception as error:
            outcome, failure = "failed", error
        if outcome == "saved":
            # All at once: what is listed of a prediction is all that it has, also when the API shows it no more.
            self._to_record += files
            await self._session.shield(self._write_down())
        result = SavedOutput(
            id=prediction.id,
            outcome=outcome,
            model=prediction.model,
            created_at=prediction.created_at,
            files=files,
            error=failure,
        )
        self._results[prediction.id] = result
        if self._told is not None:
            with said_of("progress="):
                self._told(result, len(self._results), total)

    async def _saved(self, prediction: Prediction, files: list[StoredFile]) -> SaveOutcome:
        """Store the files of one that has some; `files` takes their records as soon as each is there."""
        known = self._known.get(prediction.id, {})
        if not prediction.ended:
            return "running"
        if not prediction.data_removed and dict(prediction).get("output") is None:
            try:
                await prediction.async_reload()  # a list may show less than there is
            except errors.NotFound:
                pass  # it is gone, or was never to be seen: the same is said of both
            else:
                if not prediction.data_removed and dict(prediction).get("output") is None:
                    return await self._kept(known, files) if known else "empty"
        if dict(prediction).get("output") is None:
            return await self._kept(known, files)
        output = prediction.output
        if not files_in(output):
            return "empty"
        if self._dry:
            return await self._planned(output, prediction, known, files)
        await self._store(output, prediction, known, files)
        return "kept" if files == [known.get(each.index) for each in files] else "saved"

    async def _kept(self, known: Mapping[int, StoredFile], files: list[StoredFile]) -> SaveOutcome:
        """See whether what the API has removed was stored before."""
        before = list(known.values())
        if not before or not await self._session.in_thread(lambda: manifest.are_there(self._folder, before)):
            return "expired"
        files += before
        return "kept"

    async def _store(
        self,
        output: Any,
        prediction: Prediction,
        known: Mapping[int, StoredFile],
        files: list[StoredFile],
    ) -> None:
        """Store the files of an output, but for those that are there."""

        def stored(record: StoredFile) -> None:
            before = known.get(record.index)
            if before is not None and before.saved_at == record.saved_at:  # it was not transferred again
                files.append(before)
            else:
                files.append(
                    dataclasses.replace(record, model=prediction.model, created_at=prediction.created_at)
                )

        values = _values(prediction)
        await store_outputs(
            output,
            folder=self._target,
            prediction_id=prediction.id,
            model=values["model"],
            told_model=prediction.model,
            version=prediction.version,
            fields=values,
            session=self._session,
            stored=known.values(),
            on_stored=stored,
        )

    async def _planned(
        self,
        output: Any,
        prediction: Prediction,
        known: Mapping[int, StoredFile],
        files: list[StoredFile],
    ) -> SaveOutcome:
        """Say what would be stored."""
        if len(known) == len(files_in(output)) and await self._kept(known, files) == "kept":
            return "kept"
        files += await planned_files(output, self._target, _values(prediction))
        return "planned"

    async def _write_down(self) -> None:
        """Add to the manifest what was stored; what comes meanwhile goes along with the next."""
        if self._records:
            return
        self._records = True
        try:
            while self._to_record:
                records, self._to_record = self._to_record, []
                await record_files(records, self._target, self._session)
        finally:
            self._records = False


def _values(prediction: Prediction) -> dict[str, Any]:
    """What a template of names may have of a prediction."""
    created = prediction.created_at
    return {
        "date": "undated" if created is None else f"{created:%Y-%m-%d}",
        "status": prediction.status,
        "model": prediction.model or prediction.deployment or "unknown",
        "version": prediction.version,
        "prediction_id": prediction.id,
        "stem": prediction.id,
    }
