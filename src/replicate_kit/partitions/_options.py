"""The options of a job over partitions: those of accessors, but for what cannot mean the same in parts."""

from __future__ import annotations

import dataclasses
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from uuid import uuid4

from replicate_kit._formats.arguments import flag
from replicate_kit._formats.store_urls import local_path
from replicate_kit._runtime.foreign_code import described
from replicate_kit.batch._ledger.stores import is_url, journal_text, store_of
from replicate_kit.batch._money.pricing import Budget
from replicate_kit.batch._plan.options import Errors, MapOptions, OnInterrupt, check_label
from replicate_kit.batch.accessors import AccessorOptions, check_options
from replicate_kit.errors import ConfigError
from replicate_kit.storage import SaveTo

if TYPE_CHECKING:
    from replicate_kit.client import Client
    from replicate_kit.stores._saving import Destination
    from replicate_kit.tables._collecting import Files

__all__ = ["LocalOptions", "PartitionOptions", "checked"]

_LONGEST_LABEL = 80  # characters; a job adds its own to it


class _Shared(TypedDict, total=False):
    """The options of jobs in parts, wherever these run."""

    client: Client | None
    into: str | None
    files: Files
    journal_inputs: Literal["keep", "hash"]
    save_to: Destination | None
    storage_options: Mapping[str, Any] | None
    check_input: bool
    cancel_after: float | str | None
    price: float | Mapping[str, float] | None
    price_per_second: float | None
    most: Mapping[str, float] | None
    budget: Budget | None
    retries: int
    creates_per_minute: float
    label: str | None
    errors: Errors
    concurrency: int | None
    progress: bool | None
    on_interrupt: OnInterrupt
    patience: float


class PartitionOptions(_Shared, total=False):
    """The options of a job over partitions; see `Client.map`. Each partition is a run with them.

    `journal` has to be given: the URL of one that all workers reach. `creates_per_minute` and a `budget`, which has to
    be `per="journal"`, are of all partitions together, `concurrency` is of each that runs. `files` is "auto" (a row's
    only file as its URL, several as a JSON list), "list", "first" or "explode". `send_token=True` sends the driver's
    API token, and other credentials of its client, to the workers; without it each reads its own environment.
    `progress` is shown on the driver.
    """

    send_token: bool
    journal: str


class LocalOptions(_Shared, total=False):
    """The options of a job whose parts all run in this process; otherwise those of `PartitionOptions`.

    `journal` may be a file, too. Without it the job remembers what was paid for as long as it is there itself.
    """

    journal: str | os.PathLike[str] | None


_ON_DRIVER = (
    "It would be called by each worker, and not here. Leave it out; look at rows first with client.plan(…) over "
    "some of them."
)
_NUMBERED = "Rows are numbered within their partition only, so that several would have the same number."

_REFUSED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "dedupe": (
        (True, None),
        "Equal rows of two partitions would share a prediction all the same, as both have the same number in the "
        "journal. Leave it out, and tell rows apart by an input of the model, such as a seed in a column.",
    ),
    "limit": (
        (None,),
        "Each partition would have its own first rows. Use the engine's own, such as head(…) or limit(…).",
    ),
    "ordered": (
        (False, None),
        "The lines of a partition always stand in the order of its rows. Leave it out.",
    ),
    "on_plan": ((None,), _ON_DRIVER),
    "stems": (
        (None,),
        f"{_NUMBERED} Name files by a template, such as save_to='s3://bucket/{{prompt}}{{ext}}'.",
    ),
    "retry": (
        ((), [], None),
        "A partition that is run again would pay again. Call replicate_kit.batch.journals.retry(journal) once; the "
        "next run then pays for what had failed.",
    ),
    "refresh_version": (
        (False, None),
        "Partitions that run later could have another version. Name the version in the model: 'owner/name:version'.",
    ),
}
"""Options with the values that say nothing, and why others are refused."""

_JOURNAL = (
    "An engine runs the share of a worker again that died, and runs everything again when a result is asked for twice: "
    "without a journal that all workers reach, rows would be paid again. Pass a URL, such as "
    "journal='postgresql://user@host/database'; the package replicate-kit-postgres keeps journals there. Nothing was "
    "created."
)


def checked(given: Mapping[str, Any], method: str, *, local: bool = False) -> dict[str, Any]:
    """Copy the options of a job, those that a worker may not understand made plain; raises `ConfigError`.

    A `local` job has all its parts in this process. Nothing is opened, read or called.
    """
    known = {*AccessorOptions.__optional_keys__, *MapOptions.__optional_keys__, "files"}
    known |= set() if local else {"send_token"}
    with _speaking_of("part" if local else "partition"):
        _check_meaning(given)
    options = {name: value for name, value in given.items() if name not in _REFUSED}
    progress = options.get("progress")
    if progress is not None and not isinstance(flag(progress), bool):
        raise ConfigError(f"progress={progress!r:.80} must be True, False or None. Nothing was created.")
    check_label(options.get("label"), _LONGEST_LABEL)
    journal = options.get("journal")
    if local:
        options["journal"] = _local_journal(journal)
    elif is_url(journal):  # here, since others would advise files
        _check_journal(journal)
    check_options(options, known - set(_REFUSED), method)
    if options.get("send_token") not in (None, True, False):
        raise ConfigError("send_token= must be True or False. Nothing was created.")
    if not local:
        _check_journal(journal)
    if options.get("save_to") is None and options.get("storage_options"):
        raise ConfigError(
            "storage_options= is of save_to=, which is missing. Pass both. Nothing was created."
        )
    if options.get("save_to") is not None:
        saving = SaveTo.of(options.pop("save_to"), options.pop("storage_options", None))
        with _speaking_of("part" if local else "partition"):
            _check_names(saving)
        if not local:
            _check_sendable(saving)
        options["save_to"] = _absolute(saving)
    return options


@contextmanager
def _speaking_of(part: str) -> Iterator[None]:
    """Have what is refused speak of what the user knows."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(str(error).replace("partition", part)) from None


def _check_meaning(given: Mapping[str, Any]) -> None:
    """Refuse options that cannot mean the same in parts."""
    for name, (silent, reason) in _REFUSED.items():
        if name in given and not _is_one_of(given[name], silent):
            raise ConfigError(f"{name}= has no meaning over partitions. {reason} Nothing was created.")
    if callable(given.get("progress")):
        raise ConfigError(
            f"progress= as a function has no meaning over partitions. {_ON_DRIVER} True shows the progress of the "
            "whole job on the driver. Nothing was created."
        )
    if given.get("budget") is not None and getattr(given["budget"], "per", None) != "journal":
        raise ConfigError(
            "budget= would be that of each partition alone, which is a run. Pass one such as Budget(money=10, "
            "per='journal'): all partitions spend that together, and what the journal has spent before counts. Nothing "
            "was created."
        )


def _check_journal(journal: object) -> None:
    """Refuse whatever only one machine reaches; of what one process reaches, workers tell whether they are that."""
    if journal is None:
        raise ConfigError(f"journal= is missing. {_JOURNAL}")
    if not is_url(journal):
        raise ConfigError(f"journal={journal!r:.80} is a file of one machine. {_JOURNAL}")
    assert isinstance(journal, str)
    store_of(journal, files=False).ledger(journal)


def _local_journal(journal: Any) -> str:
    """Name the journal of a job in this process, by a whole path: parts may run when the folder is another one."""
    if journal is None:
        return f"memory://{uuid4().hex}"
    text = journal_text(journal)
    path = None if is_url(text) else local_path(text)
    return text if path is None else os.path.abspath(path)


def _check_names(saving: SaveTo) -> None:
    """Refuse names of files that several rows would have."""
    if saving.template is not None and "row" in saving.template.fields:
        raise ConfigError(
            f"save_to= names files by {{row}}. {_NUMBERED} Name them by an input, such as {{prompt}}. Nothing was "
            "created."
        )


def _check_sendable(saving: SaveTo) -> None:
    """Refuse options of a store that cannot be pickled."""
    try:
        pickle.dumps(saving)
    except Exception as error:
        raise ConfigError(
            f"save_to= and storage_options= cannot be sent to workers ({described(error)}). Pass texts and numbers. "
            "Nothing was created."
        ) from None


def _absolute(saving: SaveTo) -> SaveTo:
    """Have a folder mean the same wherever a part runs, and whenever."""
    folder = local_path(saving.folder)
    return saving if folder is None else dataclasses.replace(saving, folder=os.path.abspath(folder))


def _is_one_of(value: object, silent: tuple[Any, ...]) -> bool:
    """Whether a value says nothing; tables and arrays are not compared, which have ideas of their own of that."""
    return value is None or (isinstance(value, bool | tuple | list) and value in silent)
