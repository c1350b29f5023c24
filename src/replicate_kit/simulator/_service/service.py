"""The simulated service's parts, put together, and what several operations need of them."""

from __future__ import annotations

import base64
import pathlib
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from replicate_kit._files.data_urls import DataURL
from replicate_kit._formats.file_names import UNKNOWN_TYPE, avoid_device, media_type
from replicate_kit.simulator._faults.rules import Faults
from replicate_kit.simulator._models.artifacts import named_by
from replicate_kit.simulator._service.accounts import Accounts
from replicate_kit.simulator._service.lifecycle import Lifecycle
from replicate_kit.simulator._service.limits import Credit, Limiter, RateLimits
from replicate_kit.simulator._service.runner import run
from replicate_kit.simulator._service.scheduler import Scheduler
from replicate_kit.simulator._service.webhooks import Sender, Webhooks
from replicate_kit.simulator._service.wire import Wire
from replicate_kit.simulator._state.blobs import Blobs
from replicate_kit.simulator._state.clock import Clock
from replicate_kit.simulator._state.entities import File, Model, Prediction, Version
from replicate_kit.simulator._state.ids import Ids
from replicate_kit.simulator._state.journal import Journal
from replicate_kit.simulator._state.links import Links
from replicate_kit.simulator._state.store import Store
from replicate_kit.simulator._state.workers import Workers

__all__ = ["Service", "Settings"]


class Settings(NamedTuple):
    """How the simulated service behaves. Times are in seconds of its clock."""

    base_url: str = "https://api.replicate.test/v1"
    files_url: str = "https://files.replicate.test"
    streams_url: str = "https://stream.replicate.test"
    account: str = "local"
    tokens: Mapping[str, str] | Iterable[str] | None = None
    require_token: bool = False
    wait_style: str = "recorded"
    rate_limits: RateLimits | None = None
    credit: float | None = None
    # The API's own: half an hour to run (replicate.com/docs), an hour for data (OpenAPI: predictions.get), and a day
    # for uploads in recorded traffic, where the description's example has an hour (OpenAPI: files.get).
    run_limit: float = 30 * 60
    retention: float = 60 * 60
    upload_lifetime: float = 24 * 60 * 60
    keep: int = 100_000
    workers: int = 8
    stream_idle: float = 30.0
    fetch_inputs: bool = False
    state: str | pathlib.Path | None = None
    seed: int | None = None


class Service:
    """Everything that an operation may use."""

    def __init__(self, settings: Settings, clock: Clock, faults: Faults, sender: Sender | None) -> None:
        self.settings, self.clock = settings, clock
        # Reentrant: operations call the lifecycle with it locked, which locks it again.
        self.lock = threading.RLock()
        self.ids = Ids(settings.seed)
        self.journal = Journal(settings.state) if settings.state is not None else None
        self.secrets = self.journal.secrets(self.ids) if self.journal else [self.ids.key(), self.ids.key()]
        self.links = Links(
            settings.base_url.rstrip("/"),
            settings.files_url.rstrip("/"),
            settings.streams_url.rstrip("/"),
            secret=self.secrets[1],
        )
        self.wire = Wire(self.links)
        self.store = Store(Blobs(self.journal.files if self.journal else None), keep=settings.keep)
        self.accounts = Accounts(settings.account, settings.tokens, require_token=settings.require_token)
        self.credit = Credit(settings.credit)
        self.limiter = Limiter(clock, settings.rate_limits, self.credit)
        self.lifecycle = Lifecycle(
            self.lock, clock, run_limit=settings.run_limit, retention=settings.retention
        )
        self.scheduler = Scheduler(clock)
        self.ended: deque[Prediction] = deque()
        self.created = 0
        self.orphaned = False
        self.lifecycle.listeners.append(self._watch)
        self.faults = faults
        # The journal is told first: no webhook may tell of an end that a restart would not know.
        if self.journal:
            self.lifecycle.listeners.append(self.journal.record)
        self.lifecycle.listeners.append(Webhooks(self, sender))

    @property
    def webhook_secret(self) -> str:
        """What webhooks are signed with."""
        return "whsec_" + base64.b64encode(self.secrets[0]).decode()

    @property
    def files_secret(self) -> str:
        """What links to downloads are signed with."""
        return self.secrets[1].hex()

    def new_model(self, owner: str, name: str) -> Model:
        """Add a model without versions. Call it with the lock held."""
        workers = Workers(f"{owner}/{name}", self.settings.workers, self.clock)
        model = Model(owner, name, self.clock.stamp(), workers)
        self.store.models[model.full_name] = model
        return model

    def admit(self, prediction: Prediction) -> None:
        """Take in a new prediction, and let go of what is too old. Call it with the lock held."""
        self.created += prediction.kind == "prediction"
        self.store.add(prediction)
        self.lifecycle.created(prediction)
        self._sweep()

    def launch(self, prediction: Prediction, version: Version) -> None:
        """Put a prediction into its model's queue, and see to its deadline."""
        function = version.trainer if prediction.kind == "training" and version.trainer else version.function
        version.model.workers.submit(partial(run, self, prediction, function))
        if prediction.deadline is not None:
            # A microsecond late: the clock's floats may round down, and a task that is early would find nothing to do.
            due = prediction.deadline / 1e6 + 1e-6
            task = self.scheduler.at(due, partial(self.lifecycle.refresh, prediction))
            self.lifecycle.ended(prediction).add_done_callback(lambda _: self.scheduler.drop(task))

    def locks(self) -> list[Any]:
        """Every lock that a fork must not find taken, ours first: whoever holds another one takes no third."""
        locks = [self.lock, self.clock.lock, self.store.blobs.lock, self.limiter.lock, self.faults.lock]
        return [*locks, self.journal.lock] if self.journal else locks

    def relaunch(self) -> None:
        """In a forked process, whose threads are gone: run what is not finished. Both processes have it from now on."""
        self.orphaned = False
        self.scheduler.reset()
        for model in self.store.models.values():
            model.workers.reset()
        for prediction in list(self.store.predictions.values()):
            if not (prediction.done or prediction.is_loaded) and prediction.version is not None:
                prediction.status, prediction.started, prediction.output = "starting", None, None
                # What it has said so far will be said again.
                prediction.logs, prediction.events, prediction.metrics = [], [], {}
                self.launch(prediction, prediction.version)

    def keep_output(self, prediction: Prediction, content: bytes, name: str) -> str:
        """Keep a file that a model made, and give its URL."""
        token = self.ids.token()
        # On replicate.delivery, too, a path is a folder, about 44 characters that nobody can guess, and a name.
        key = f"xezq/{token}/{name}"
        blob = self.store.blobs.put(content, f"{token}-{_safe(name)}")
        now = self.clock.stamp()
        file = File(
            key, name, media_type(name) or UNKNOWN_TYPE, blob, now, now, prediction.account, prediction.id
        )
        with self.lock:
            self.store.outputs[key] = file
            prediction.files.append(key)
            if self.journal:
                self.journal.record_file(file)
        return self.links.output(key)

    def read_input(self, url: str) -> tuple[bytes, str]:
        """Give the content of a file that an input names, and a name for it."""
        if url.startswith("data:"):
            data = DataURL.parse(url)
            return data.content, f"input{named_by(data.content, data.media_type)}"
        file = self._own_file(url)
        if file is not None:
            return file.blob.read(), _safe(file.name)
        if not self.settings.fetch_inputs:
            raise ValueError(
                f"Input file {_short(url)} is elsewhere; the simulator reads it with fetch_inputs=True only."
            )
        return _fetch(url), _safe(unquote(urlsplit(url).path.rpartition("/")[2])) or "input"

    def _own_file(self, url: str) -> File | None:
        """Find an upload or an output by its URL."""
        with self.lock:
            for root, table in (
                (f"{self.links.api}/files/", self.store.uploads),
                (f"{self.links.files}/", self.store.outputs),
            ):
                if url.startswith(root) and (key := unquote(urlsplit(url[len(root) :]).path)) in table:
                    return table[key]
        return None

    def _watch(self, prediction: Prediction, event: str) -> None:
        if event == "completed":
            self.ended.append(prediction)
        elif event == "removed":
            self.store.drop_files(prediction)

    def _sweep(self) -> None:
        """Remove the data of what ended long ago, though nobody asks for it."""
        before = int((self.clock.now() - self.settings.retention) * 1e6)
        # Each was appended when it ended, so the first one that is too young ends the search.
        while self.ended and (self.ended[0].completed or 0) < before:
            self.lifecycle.refresh(self.ended.popleft())
        self.store.drop_surplus()
        while self.ended and self.ended[0].id not in self.store.predictions:
            self.ended.popleft()


def _safe(name: str) -> str:
    """A name that is good for a file on any system."""
    kept = "".join(each if each.isalnum() or each in "-_." else "_" for each in name)
    return avoid_device(kept.lstrip(".")[-80:].rstrip(".") or "file")


def _short(url: str) -> str:
    return url if len(url) <= 80 else f"{url[:77]}..."


def _fetch(url: str) -> bytes:
    import httpx

    response = httpx.get(url, follow_redirects=True)
    return response.raise_for_status().content
