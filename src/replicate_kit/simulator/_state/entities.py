"""What the simulated service knows: models, versions, predictions, files, deployments. Plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit._formats.statuses import TERMINAL

if TYPE_CHECKING:
    from replicate_kit.simulator._models.functions import ModelFunction
    from replicate_kit.simulator._state.blobs import Blob
    from replicate_kit.simulator._state.workers import Workers

__all__ = ["Deployment", "Event", "File", "Model", "Prediction", "Release", "Version"]

COG_VERSION = "0.16.9"


class Version:
    """Something that runs."""

    def __init__(self, id: str, model: Model, function: ModelFunction, created: int) -> None:
        self.id, self.model, self.function, self.created = id, model, function, created
        self.schema = function.schema
        self.trainer: ModelFunction | None = None
        self.cog_version = COG_VERSION


@dataclass(eq=False, repr=False)
class Model:
    """A name with versions, oldest first: the last one is the latest."""

    owner: str
    name: str
    created: int
    workers: Workers
    official: bool = False
    visibility: str = "public"
    description: str | None = None
    hardware: str = "cpu"
    readme: str | None = None
    links: dict[str, str | None] = field(default_factory=dict)
    examples: list[Prediction] = field(default_factory=list)
    run_count: int = 0
    price: float = 0.0
    known: list[Version] = field(default_factory=list)
    make_latest: Callable[[], None] | None = None
    """Adds the latest version to those that are known, where that waits until somebody asks for one."""

    @property
    def versions(self) -> list[Version]:
        """The versions that there are."""
        make = self.make_latest  # once: another thread may have made it meanwhile
        if make is not None:
            make()
        return self.known

    @versions.setter
    def versions(self, versions: list[Version]) -> None:
        self.known = versions

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    @property
    def latest(self) -> Version | None:
        """The newest version, if there is any."""
        return self.versions[-1] if self.versions else None


class Event(NamedTuple):
    """One event of a prediction's stream."""

    time: int
    name: str
    data: str


@dataclass(eq=False, repr=False, slots=True)
class Prediction:
    """A prediction, or a training, in its present state. Times are unix microseconds."""

    id: str
    model: str
    version: Version | None
    input: Mapping[str, Any]
    created: int
    account: str
    version_id: str = ""
    kind: str = "prediction"
    source: str = "api"
    status: str = "starting"
    output: Any = None
    # Joined only when read: adding a line to a long text would copy all of it.
    logs: list[str] = field(default_factory=list)
    error: str | None = None
    started: int | None = None
    completed: int | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    deadline: int | None = None
    deployment: str | None = None
    destination: str | None = None
    webhook: str | None = None
    events_filter: list[str] | None = None
    data_removed: bool = False
    events: list[Event] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    changed: Future[None] | None = None
    ended: Future[None] | None = None
    is_loaded: bool = False
    """Whether it never ran here: time changes nothing of what somebody wrote down."""

    @property
    def done(self) -> bool:
        """Whether it has come to its end."""
        return self.status in TERMINAL


class File(NamedTuple):
    """An uploaded file, or one that a model made."""

    id: str
    name: str
    content_type: str
    blob: Blob
    created: int
    expires: int
    account: str = ""
    prediction: str = ""
    metadata: Mapping[str, Any] = {}


class Release(NamedTuple):
    """How a deployment runs since some moment."""

    number: int
    model: str
    version: str
    created: int
    configuration: dict[str, Any]


class Deployment:
    """A name for a model that runs with settings of one's own."""

    def __init__(self, owner: str, name: str, created: int, *releases: Release) -> None:
        self.owner, self.name, self.created = owner, name, created
        self.releases = list(releases)
        self.last_used = 0

    @property
    def current(self) -> Release:
        """The release that runs now."""
        return self.releases[-1]
