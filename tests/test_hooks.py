"""Each hook, with a plugin in it, under each driver where it may do I/O."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

from replicate_kit import (
    Client,
    FileOutput,
    Prediction,
    Reference,
    Resource,
    blocking,
    hookimpl,
    hooks,
)
from replicate_kit._http.session import Session
from replicate_kit._plugins.registry import Plugins
from replicate_kit.backends.mock import MockBackend
from replicate_kit.simulator import Simulator
from replicate_kit.storage import SaveTo, StoredFile, Target
from replicate_kit.stores._local import LocalLocation
from replicate_kit.testing.suites import Drive
from replicate_kit.transport import Layer, Transport

DOCS = Path(__file__).parent.parent / "docs" / "hooks.md"
HOOKS = {name: hook for name, hook in vars(hooks).items() if name.startswith("replicate_")}
SMALL = {"prompt": "sea", "width": 16, "height": 16}


@pytest.fixture
def client_with(simulator: Simulator) -> Callable[..., Client]:
    """Makes a client of `simulator` with these plugins."""
    return lambda *plugins, **options: Client(
        backend=simulator, poll_interval=0.01, plugins=plugins, **options
    )


# None is missing, and each is documented as it is.


def test_every_hook_has_a_test_with_a_plugin_in_it() -> None:
    missing = [name for name in HOOKS if f"test_hook_{name}" not in globals()]
    assert missing == []


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented_with_its_signature(name: str) -> None:
    signature = re.sub(r"'([^']*)'", r"\1", str(inspect.signature(HOOKS[name])))
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", DOCS.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert section, f"docs/hooks.md has no section on {name}"
    assert f"{name}{signature}" in section[1]
    assert "```python\n" in section[1]


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_docstring_with_an_example(name: str) -> None:
    assert ">>> " in (HOOKS[name].__doc__ or "")
    assert "hookimpl" in (HOOKS[name].__doc__ or "")


# One plugin in each.


class Boards(Resource):
    """A resource of a plugin."""

    async def async_count(self) -> int:
        """Ask the API for something."""
        return len((await self.session.fetch("GET", "models"))["results"])

    count = blocking(async_count)


def test_hook_replicate_resources(client_with: Callable[..., Client], drive: Drive) -> None:
    class Plugin:
        @hookimpl
        def replicate_resources(self) -> Mapping[str, type[Resource]]:
            return {"boards": Boards}

    client = client_with(Plugin())
    assert drive(client.resource(Boards).async_count()) == client.boards.count() > 0


def test_hook_replicate_backends(simulator: Simulator, drive: Drive) -> None:
    class Rehearsal(MockBackend):
        def __init__(self) -> None:
            super().__init__(simulator)

    class Plugin:
        @hookimpl
        def replicate_backends(self) -> Mapping[str, Any]:
            return {"rehearsal": Rehearsal}

    client = Client(backend="rehearsal", plugins=[Plugin()], poll_interval=0.01)
    assert drive(client.async_run("demo/painter", SMALL))[0].name.endswith(".png")
    assert simulator.created == 1


class Watch:
    """A layer that notes what passes, and stamps it."""

    def __init__(self, inner: Transport, name: str, seen: list[str]) -> None:
        self.inner, self.name, self.seen = inner, name, seen

    async def send(self, request: httpx.Request, /, *, stream: bool = False) -> httpx.Response:
        self.seen.append(self.name)
        response = await self.inner.send(request, stream=stream)
        response.headers["x-seen"] = response.headers.get("x-seen", "") + self.name
        return response

    async def aclose(self) -> None:
        self.seen.append(f"{self.name} closed")
        await self.inner.aclose()


def test_hook_replicate_transport_layer(client_with: Callable[..., Client], drive: Drive) -> None:
    seen: list[str] = []

    class Plugin:
        def __init__(self, name: str) -> None:
            self.name = name

        @hookimpl
        def replicate_transport_layer(self, config: Any) -> Layer | None:
            return (lambda inner: Watch(inner, self.name, seen)) if config.timeout == 7 else None

    client = client_with(Plugin("a"), Plugin("b"), timeout=7)

    async def use() -> str:
        async with client:
            return str((await client.session.request("GET", "models")).headers["x-seen"])

    assert sorted(drive(use())) == ["a", "b"]
    assert sorted(seen) == ["a", "a closed", "b", "b closed"]
    client_with(Plugin("c")).models.list()
    assert "c" not in seen


def test_layers_see_each_attempt(connect: Any, clock: Any, drive: Drive) -> None:
    seen: list[str] = []

    class Plugin:
        @hookimpl
        def replicate_transport_layer(self) -> Layer:
            return lambda inner: Watch(inner, "a", seen)

    client, _ = connect(httpx.Response(503), {"results": []}, plugins=[Plugin()])
    drive(client.predictions.async_list())
    assert seen == ["a", "a"]


def test_hook_replicate_parse_reference(client_with: Callable[..., Client], drive: Drive) -> None:
    class Plugin:
        @hookimpl
        def replicate_parse_reference(self, ref: str) -> Reference | None:
            return Reference("demo", "painter") if ref == "my-painter" else None

    client = client_with(Plugin())
    assert drive(client.async_run("my-painter", SMALL))
    assert drive(client.models.async_get("demo/poet")).name == "poet"  # declined


def test_hook_replicate_encode_input(client_with: Callable[..., Client], drive: Drive) -> None:
    class Plugin:
        @hookimpl
        def replicate_encode_input(self, value: Any, session: Session) -> Any:
            return self.look(value, session) if isinstance(value, complex) else None

        async def look(self, value: complex, session: Session) -> str:
            await session.sleep(0)
            return f"{value.real} and {(await session.fetch('GET', 'account'))['username']}"

    created = drive(client_with(Plugin()).predictions.async_create("demo/poet", {"prompt": 1 + 2j}))
    assert created.input == {"prompt": "1.0 and local"}


def test_hook_replicate_decode_output(client_with: Callable[..., Client], drive: Drive) -> None:
    class Plugin:
        @hookimpl
        def replicate_decode_output(self, value: Any, prediction: Prediction, session: Session) -> Any:
            return {"pictures": len(value)} if prediction.model == "demo/painter" else None

    client = client_with(Plugin())
    assert drive(client.async_run("demo/painter", SMALL)) == {"pictures": 1}
    assert isinstance(client.run("demo/musician", {"prompt": "sea", "seconds": 0.1}), FileOutput)


class Shelf:
    """A plugin that stores files in memory."""

    def __init__(self, *, sound: bool = True) -> None:
        self.files: dict[str, bytes] = {}
        self.checked: list[str] = []
        self.sound, self.records = sound, list[StoredFile]()

    @hookimpl
    def replicate_check_target(self, target: Target, session: Session) -> Coroutine[Any, Any, None] | None:
        return self.check(target) if target.folder.startswith("shelf:") else None

    async def check(self, target: Target) -> None:
        self.checked.append(target.folder)
        if not self.sound:
            raise PermissionError("the shelf is full")

    @hookimpl
    def replicate_store_output(
        self, file: FileOutput, target: Target, session: Session
    ) -> Coroutine[Any, Any, str] | None:
        return self.put(file, target) if target.folder.startswith("shelf:") else None

    async def put(self, file: FileOutput, target: Target) -> str:
        self.files[target.stem] = await file.async_read()
        return target.folder + target.stem

    @hookimpl
    def replicate_record_files(
        self, files: Sequence[StoredFile], target: Target, session: Session
    ) -> Coroutine[Any, Any, None]:
        return self.record(files)

    async def record(self, files: Sequence[StoredFile]) -> None:
        self.records.extend(files)


def test_hook_replicate_store_output(client_with: Callable[..., Client], drive: Drive) -> None:
    shelf = Shelf()
    (url,) = drive(client_with(shelf).async_run("demo/painter", SMALL, save_to="shelf:"))
    ((stem, content),) = shelf.files.items()
    assert url == f"shelf:{stem}"
    assert content.startswith(b"\x89PNG")


def test_hook_replicate_check_target(
    client_with: Callable[..., Client], simulator: Simulator, drive: Drive
) -> None:
    shelf = Shelf(sound=False)
    with pytest.raises(PermissionError, match="the shelf is full"):
        drive(client_with(shelf).async_run("demo/painter", SMALL, save_to="shelf:"))
    assert shelf.checked == ["shelf:"]
    assert simulator.created == 0  # before anything is paid for


def test_hook_replicate_record_files(client_with: Callable[..., Client], drive: Drive) -> None:
    shelf = Shelf()
    drive(client_with(shelf).async_run("demo/painter", SMALL, save_to=SaveTo("shelf:", manifest=True)))
    (record,) = shelf.records
    assert record.url.startswith("shelf:")
    assert record.source.endswith(".png")


def test_hook_replicate_open_folder(client_with: Callable[..., Client], tmp_path: Path) -> None:
    class Plugin:
        @hookimpl
        def replicate_open_folder(self, folder: str, options: Mapping[str, Any]) -> LocalLocation | None:
            return LocalLocation(str(tmp_path / options["room"]), folder) if folder == "shelf:" else None

    plugins: Plugins = client_with(Plugin()).plugins
    assert plugins.hooks.open_folder("shelf:", {"room": "a"}) == LocalLocation(str(tmp_path / "a"), "shelf:")
    assert plugins.hooks.open_folder(str(tmp_path), {}) == LocalLocation(
        str(tmp_path), str(tmp_path)
    )  # declined


class Watching:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.created: list[tuple[str | None, str | None]] = []
        self.charged: list[tuple[str | None, float, str | None]] = []
        self.saved: list[tuple[int | None, str | None, str | None]] = []

    @hookimpl
    def replicate_prediction_created(self, prediction: Prediction) -> None:
        self.created.append((prediction.model, prediction.label))

    @hookimpl
    def replicate_prediction_charged(
        self, prediction_id: str | None, model: str | None, cost: float, label: str | None
    ) -> None:
        assert prediction_id
        self.charged.append((model, cost, label))

    @hookimpl
    def replicate_file_saved(self, file: StoredFile, model: str | None, label: str | None) -> None:
        self.saved.append((file.size, model, label))


def test_hook_replicate_prediction_created(client_with: Callable[..., Client], drive: Drive) -> None:
    watching = Watching()
    client = client_with(watching)
    prediction = drive(client.predictions.async_create("demo/painter", SMALL))
    drive(prediction.async_wait())
    drive(client.predictions.async_get(prediction.id))  # fetched, and not created
    drive(client.async_run("demo/painter", SMALL))
    list(client.map("demo/painter", [SMALL, SMALL | {"seed": 1}, SMALL], label="nightly"))
    assert watching.created == [("demo/painter", None)] * 2 + [("demo/painter", "nightly")] * 2


def test_hook_replicate_prediction_charged(client_with: Callable[..., Client], tmp_path: Path) -> None:
    watching = Watching()
    client = client_with(watching)
    options: Any = {"journal": str(tmp_path / "costs.sqlite"), "price": 0.25, "label": "nightly"}
    for _ in range(2):  # the second run finds all in the journal
        list(client.map("demo/painter", [SMALL, SMALL | {"seed": 1}], **options))
    list(client.map("demo/painter", [SMALL]))
    assert watching.charged == [("demo/painter", 0.25, "nightly")] * 2


def test_hook_replicate_file_saved(client_with: Callable[..., Client], drive: Drive, tmp_path: Path) -> None:
    watching = Watching()
    client = client_with(watching)
    options: Any = {"save_to": str(tmp_path), "journal": str(tmp_path / "j.sqlite"), "label": "nightly"}
    for _ in range(2):  # the second run finds all where it was saved
        list(client.map("demo/painter", [SMALL], **options))
    drive(client.async_run("demo/painter", SMALL, save_to=str(tmp_path)))
    sizes = {each.stat().st_size for each in tmp_path.glob("*.png")}
    assert [each[1:] for each in watching.saved] == [("demo/painter", "nightly"), ("demo/painter", None)]
    assert {each[0] for each in watching.saved} == sizes


def painter_version(client: Client) -> str:
    version = client.models.get("demo/painter").latest_version
    assert version
    return version.id


@pytest.mark.parametrize("way", ["model", "model:version", "version", "deployment"])
def test_every_hook_is_told_the_same_model(
    client_with: Callable[..., Client], tmp_path: Path, way: str
) -> None:
    watching = Watching()
    client = client_with(watching)
    version = painter_version(client)
    client.deployments.create(
        "mine", model="demo/painter", version=version, hardware="cpu", min_instances=0, max_instances=1
    )
    runs = {
        "model": "demo/painter",
        "model:version": f"demo/painter:{version}",
        "version": version,
        "deployment": "deployments/local/mine",
    }
    list(client.map(runs[way], [SMALL], price=0.25, save_to=str(tmp_path)))
    told = [watching.created[0][0], watching.charged[0][0], watching.saved[0][1]]
    assert told == ["demo/painter"] * 3


def test_no_model_is_told_that_the_journal_does_not_know(
    client_with: Callable[..., Client], tmp_path: Path
) -> None:
    watching = Watching()
    client = client_with(watching)
    version = painter_version(client)
    for folder in ("a", "b"):
        options: Any = {"journal": str(tmp_path / "j.sqlite"), "save_to": str(tmp_path / folder)}
        list(client.map(version, [SMALL], **options))
    assert [model for _, model, _ in watching.saved] == ["demo/painter", None]


def test_hook_replicate_prediction_changed(client_with: Callable[..., Client], drive: Drive) -> None:
    seen: list[tuple[str | None, str]] = []

    class Plugin:
        @hookimpl
        def replicate_prediction_changed(self, prediction: Prediction, previous: Prediction | None) -> None:
            seen.append((previous and previous.status, prediction.status))

    prediction = drive(
        client_with(Plugin()).predictions.async_create("demo/slow", {"prompt": "done", "seconds": 0.05})
    )
    drive(prediction.async_wait())
    drive(prediction.async_reload())
    assert seen[0] == (None, "starting")
    assert seen[-1][1] == "succeeded"
    assert all(before is not None for before, _ in seen[1:])


def test_hook_replicate_commands(client_with: Callable[..., Client]) -> None:
    class Plugin:
        @hookimpl
        def replicate_commands(self, cli: click.Group) -> None:
            @cli.command()
            def hello() -> None:
                """Say hello."""

    group = click.Group()
    plugins: Plugins = client_with(Plugin()).plugins
    plugins.add_commands(group)
    assert "hello" in group.commands
