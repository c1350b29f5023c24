"""What the package itself contributes, through the hooks that every other plugin uses."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from replicate_kit._files.inputs import encode_value
from replicate_kit._files.outputs import FileOutput, decode_output
from replicate_kit._formats.references import Reference
from replicate_kit.hooks import hookimpl

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.resources._resource import Resource
    from replicate_kit.resources.predictions import Prediction
    from replicate_kit.storage import StoredFile, Target
    from replicate_kit.stores._locations import Location
    from replicate_kit.transport import Backend


class _Imported(Mapping[str, Any]):
    """Values by name, each imported when somebody asks for it: a client uses few of what there is."""

    def __init__(self, **origins: str) -> None:
        self._origins = origins

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = self._origins[name].partition(":")
        return getattr(import_module(f"replicate_kit.{module}"), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self._origins)

    def __len__(self) -> int:
        return len(self._origins)


@hookimpl
def replicate_resources() -> Mapping[str, type[Resource]]:
    """Add the API's own groups of operations."""
    return _Imported(
        accounts="resources.accounts:Accounts",
        collections="resources.collections:Collections",
        deployments="resources.deployments:Deployments",
        files="resources.files:Files",
        hardware="resources.hardware:HardwareKinds",
        models="resources.models:Models",
        predictions="resources.predictions:Predictions",
        search="resources.search:Search",
        trainings="resources.trainings:Trainings",
        webhooks="resources.webhooks:Webhooks",
    )


@hookimpl
def replicate_backends() -> Mapping[str, type[Backend]]:
    """Add Replicate over HTTP, by each library, and the simulator in process."""
    return _Imported(
        fast="backends.fast:FastBackend",
        http="backends.http:HTTPBackend",
        httpx2="backends.httpx2:HTTPX2Backend",
        mock="backends.mock:MockBackend",
    )


@hookimpl(trylast=True)
def replicate_parse_reference(ref: str) -> Reference:
    """Read references as the API writes them."""
    return Reference.parse(ref)


@hookimpl(trylast=True)
def replicate_encode_input(value: Any, session: Session) -> Any:
    """Encode what Python programs commonly hold, and the output of another model that comes chunk by chunk."""
    from replicate_kit.resources._running.outputs import OutputIterator

    return value.async_whole() if isinstance(value, OutputIterator) else encode_value(value, session)


@hookimpl(trylast=True)
def replicate_decode_output(value: Any, prediction: Prediction, session: Session) -> Any:
    """Make files of what is one: by the model's schema where that is at hand, else by what it looks like."""

    def file(url: str) -> FileOutput:
        return FileOutput(url, session, made_by=prediction.id or None)

    return decode_output(value, prediction.schema, session.is_output_file, file)


# Last, because every folder of this machine is taken: a plugin for certain folders is asked before.
@hookimpl(trylast=True)
def replicate_check_target(target: Target, session: Session) -> Coroutine[Any, Any, None] | None:
    """See that a local folder can be written to."""
    from replicate_kit.stores import _trial, is_local

    return _trial.check(target, session) if is_local(target.folder) else None


@hookimpl(trylast=True)
def replicate_store_output(
    file: FileOutput, target: Target, session: Session
) -> Coroutine[Any, Any, StoredFile] | None:
    """Stream the file into a local folder."""
    from replicate_kit.stores import is_local, local_folder, store

    if not is_local(target.folder):
        return None
    return store(file, target, session, local_folder(target.folder, target.options))


@hookimpl(trylast=True)
def replicate_record_files(
    files: Sequence[StoredFile], target: Target, session: Session
) -> Coroutine[Any, Any, None] | None:
    """Add the records to the manifest in a local folder."""
    from replicate_kit.stores import is_local, local_folder, manifest

    if not is_local(target.folder):
        return None
    return manifest.record(files, local_folder(target.folder, target.options), session)


@hookimpl(trylast=True)
def replicate_open_folder(folder: str, options: Mapping[str, Any]) -> Location | None:
    """Find a local folder."""
    from replicate_kit.stores import is_local, local_folder

    return local_folder(folder, options) if is_local(folder) else None
