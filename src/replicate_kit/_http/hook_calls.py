"""Hooks, called with types: what a session asks the plugins of its client."""

from __future__ import annotations

import functools
import logging
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from replicate_kit._files.outputs import FileOutput
from replicate_kit._formats.redacting import redacted
from replicate_kit._formats.references import Reference
from replicate_kit._formats.store_urls import EXTRAS
from replicate_kit._http.hiding import hidden_in_errors
from replicate_kit._runtime.foreign_code import WATCHING
from replicate_kit.errors import ConfigError, FileError, MissingExtraError, PluginError, ReplicateError

if TYPE_CHECKING:
    import pluggy

    from replicate_kit._http.session import Session
    from replicate_kit.storage import StoredFile, Target
    from replicate_kit.stores import Location

__all__ = ["BUILTIN", "HookCalls", "each_plugin"]

log = logging.getLogger("replicate_kit")

BUILTIN = "builtin"
"""The name of the package's own plugin."""


def each_plugin(manager: pluggy.PluginManager, hook: str) -> Iterator[tuple[str, pluggy.HookCaller]]:
    """Take a hook plugin by plugin, to know who gives what."""
    caller = getattr(manager.hook, hook)
    plugins = {id(impl.plugin): (impl.plugin_name, impl.plugin) for impl in caller.get_hookimpls()}
    for name, plugin in plugins.values():
        others = [other for _, other in plugins.values() if other is not plugin]
        yield name, manager.subset_hook_caller(hook, remove_plugins=others)


class HookCalls:
    """Calls the hooks of the plugins that are registered; `replicate_kit.hooks` says what each hook is for."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager, self._ask = manager, manager.hook

    def parse_reference(self, ref: str, /) -> Reference:
        """Read a reference."""
        found = self._ask.replicate_parse_reference(ref=ref)
        if not isinstance(found, Reference):
            raise PluginError(
                f"A plugin read {ref!r} as a {type(found).__name__}, and not as a replicate_kit.Reference."
            )
        return found

    def encode_input(self, value: Any, session: Session, /) -> Any:
        """Encode a value of an input; None where nobody can."""
        return self._ask.replicate_encode_input(value=value, session=session)

    @property
    def decodes(self) -> bool:
        """Whether plugins decode outputs, and not only the package itself."""
        implementations = self._ask.replicate_decode_output.get_hookimpls()
        return len(implementations) != 1 or implementations[0].plugin_name != BUILTIN

    def decode_output(self, value: Any, prediction: Any, session: Session, /) -> Any:
        """Decode a model's output. An error of a plugin's carries the prediction: it is paid for."""
        if value is None:
            return None
        try:
            return self._ask.replicate_decode_output(value=value, prediction=prediction, session=session)
        except ReplicateError as error:
            error.prediction = error.prediction or prediction
            raise

    async def check_target(self, target: Target, session: Session, /) -> None:
        """Find out whether files can be stored at a target; raises what stands against it."""
        others = self._overruled(target, session)
        check = self._manager.subset_hook_caller("replicate_check_target", remove_plugins=others)
        checking = check(target=target, session=session)
        if checking is not None:
            await checking
        else:
            # No plugin has a check of its own. Whether one would store there is told by asking for it; nothing is
            # stored, since the coroutine is closed before it begins.
            self.store_output(FileOutput("data:,"), target, session).close()

    def _overruled(self, target: Target, session: Session) -> list[Any]:
        """The plugins that could store at a target if another one did not: they have nothing to check there."""
        answered, overruled = False, []
        for name, caller in reversed(
            list(each_plugin(self._manager, "replicate_store_output"))
        ):  # as they are asked
            if answered:
                overruled.append(self._manager.get_plugin(name))
                continue
            storing = caller(file=FileOutput("data:,"), target=target, session=session)
            if storing is not None:
                storing.close()
                answered = True
        return overruled

    def store_output(
        self, file: FileOutput, target: Target, session: Session, /
    ) -> Coroutine[Any, Any, str | StoredFile]:
        """Store a file; raises `MissingExtraError` where no plugin knows how to store anything there."""
        storing = self._ask.replicate_store_output(file=file, target=target, session=session)
        if storing is None:
            raise self._nowhere(target.folder)
        return storing  # type: ignore[no-any-return]

    async def record_files(self, files: Sequence[StoredFile], target: Target, session: Session, /) -> None:
        """Keep the records of files beside them; raises as `store_output` does where nobody can."""
        recording = self._ask.replicate_record_files(files=files, target=target, session=session)
        if recording is None:
            raise self._nowhere(target.folder)
        await recording

    def open_folder(self, folder: str, options: Mapping[str, Any], /) -> Location:
        """Find a folder in which files were stored; raises as `store_output` does where nobody can."""
        with hidden_in_errors(folder, options):
            found = self._ask.replicate_open_folder(folder=folder, options=options)
        if found is None:
            raise self._nowhere(folder, "{!r}")
        return found  # type: ignore[no-any-return]

    def _nowhere(self, folder: str, typed: str = "save_to={!r}") -> ReplicateError:
        return _nowhere(folder, self._manager.has_plugin("fsspec"), typed)

    def prediction_created(self, prediction: Any, /) -> None:
        """Tell every plugin that a prediction was created."""
        self._tell("replicate_prediction_created", prediction.id, prediction=prediction)

    def prediction_changed(self, prediction: Any, previous: Any, /) -> None:
        """Tell every plugin of a change."""
        self._tell("replicate_prediction_changed", prediction.id, prediction=prediction, previous=previous)

    def prediction_charged(
        self, prediction_id: str | None, model: str | None, cost: float, label: str | None, /
    ) -> None:
        """Tell every plugin what a prediction has cost."""
        told = {"prediction_id": prediction_id, "model": model, "cost": cost, "label": label}
        self._tell("replicate_prediction_charged", prediction_id, **told)

    def file_saved(self, file: StoredFile, model: str | None, label: str | None, /) -> None:
        """Tell every plugin that a file was saved."""
        self._tell("replicate_file_saved", file.prediction_id, file=file, model=model, label=label)

    def _tell(self, hook: str, prediction_id: str | None, /, **told: Any) -> None:
        """Tell every plugin something of a prediction. What one raises is logged: it must not cost the caller a paid
        prediction, nor the other plugins the news.
        """
        for listener in self._listeners[hook]:
            try:
                listener(**told)
            except Exception as error:
                log.warning(
                    "%s\nIt only watches: the prediction %s is not affected.",
                    "\n".join([str(error), *getattr(error, "__notes__", ())]),
                    prediction_id,
                    exc_info=error,
                    extra={"event": "plugin", "prediction": prediction_id},
                )

    @functools.cached_property
    def _listeners(self) -> dict[str, list[pluggy.HookCaller]]:
        """The plugins that are told by each hook, each by itself, in the order in which they are told."""
        return {
            hook: [caller for _, caller in each_plugin(self._manager, hook)][::-1]
            for hook in sorted(WATCHING)
        }


_READ_ONLY = frozenset({"http", "https", "data"})


def _nowhere(folder: str, has_fsspec: bool, typed: str) -> ReplicateError:
    """Say what is missing where a file could not be stored; `typed` is how the caller named the folder."""
    folder = redacted(folder)
    if has_fsspec:
        return FileError(
            f"No plugin stores files at {folder!r}. Pass save_to a folder or an fsspec URL such as "
            "'s3://bucket/folder'."
        )
    protocols = [part.partition(":")[0] for part in folder.split("::")]
    if refused := [each for each in protocols if each.lower() in _READ_ONLY]:
        return ConfigError(
            f"{folder!r}: files cannot be saved to {refused[0]}. Pass a folder, or a URL of a store that takes "
            "files, such as 's3://bucket/folder'."
        )
    if protocols[0] != protocols[0].lower() in ("file", "local"):
        return ConfigError(f"{folder!r}: write {protocols[0].lower() + folder[len(protocols[0]) :]!r}.")
    extra = next((EXTRAS[each.lower()] for each in protocols if each.lower() in EXTRAS), "fsspec")
    return MissingExtraError(typed.format(folder), extra)
