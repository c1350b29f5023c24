"""Saving the files of predictions that have run already, before they are gone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from replicate_kit import Client, Page, Prediction, SaveTo
from replicate_kit.errors import ConfigError, FileError, InputError, InvalidReference
from replicate_kit.resources._saving.choosing import Choice
from replicate_kit.resources.predictions import Predictions
from replicate_kit.serving import Server
from replicate_kit.simulator import Clock, Simulator
from replicate_kit.storage import SavedOutput
from replicate_kit.stores import manifest
from replicate_kit.testing.suites import Drive
from tests.waiting import until

HOUR = 3600
Make = Callable[..., str]
Outcomes = dict[str, str]


@pytest.fixture
def clock() -> Clock:
    """The simulator's clock, which moves when it is told to."""
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Iterator[Client]:
    """A client of models that make files, texts and failures."""
    with Simulator(clock=clock) as simulator:
        publish(simulator)
        with Client(backend=simulator, poll_interval=0.01) as client:
            yield client


def publish(simulator: Simulator) -> None:
    """Publish the models."""

    @simulator.model("acme/draw")
    def draw(text: str, count: int = 1) -> list[bytes]:
        return [f"{text} {number}".encode() for number in range(count)]

    @simulator.model("acme/write")
    def write(text: str) -> str:
        return text

    @simulator.model("acme/fail")
    def fail(text: str) -> Iterator[bytes]:
        yield text.encode()
        raise ValueError("no more")

    @simulator.model("acme/large")
    def large(seed: int) -> bytes:
        return bytes([seed]) * 2**22


@pytest.fixture
def make(client: Client) -> Make:
    """Runs a model to its end, and gives the prediction's id."""

    def run(model: str = "acme/draw", **input: Any) -> str:
        prediction = client.predictions.create(model=model, input={"text": "hill", **input})
        prediction.wait()
        return prediction.id

    return run


@pytest.fixture(params=["folder", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where files go."""
    return str(tmp_path / "saved") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/saved"


def outcomes(outputs: Sequence[SavedOutput]) -> Outcomes:
    """What became of each prediction."""
    return {each.id: each.outcome for each in outputs}


def contents(client: Client, folder: str) -> dict[str, bytes]:
    """What the manifest lists, as it is in the folder, each compared with its record."""
    location = client.session.hooks.open_folder(folder, {})
    verdicts = list(manifest.verify(location))
    assert [each.problem for each in verdicts] == [None] * len(verdicts)
    return {each.name: b"".join(location.join(each.name).chunks()) for each in verdicts}


def fetched(client: Client) -> int:
    """How many output files were fetched, none of them with the token."""
    seen = cast(Any, client.session.backend).simulator.requests
    files = [each for each in seen if each.operation == "outputs.get"]
    assert not any(each.authorized for each in files)
    return len(files)


def test_what_is_there_is_saved_once(client: Client, make: Make, folder: str, drive: Drive) -> None:
    one, two, text = make(), make(count=2), make("acme/write")
    saved = drive(client.predictions.async_save(folder))
    assert outcomes(saved) == {one: "saved", two: "saved", text: "empty"}
    day = f"{datetime.now(UTC):%Y-%m-%d}/acme-draw"
    names = {f"{day}/{one}-0": b"hill 0", f"{day}/{two}-0": b"hill 0", f"{day}/{two}-1": b"hill 1"}
    assert {name.partition(".")[0]: each for name, each in contents(client, folder).items()} == names
    assert fetched(client) == 3
    again = drive(client.predictions.async_save(folder))
    assert outcomes(again) == {one: "kept", two: "kept", text: "empty"}
    assert [each.files for each in again] == [each.files for each in saved]
    assert fetched(client) == 3


def test_the_manifest_says_of_which_prediction_a_file_is(client: Client, make: Make, tmp_path: Path) -> None:
    id = make()
    client.predictions.save(tmp_path)
    (line,) = map(json.loads, (tmp_path / "manifest.jsonl").read_text().splitlines())
    created = client.predictions.get(id).created_at
    assert created is not None
    assert (line["prediction_id"], line["model"], line["created_at"]) == (
        id,
        "acme/draw",
        created.isoformat(),
    )
    assert (tmp_path / line["name"]).stat().st_size == line["size"] == 6
    assert len(line["sha256"]) == 64


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, ["draw"]),
        ({"status": "failed"}, ["fail"]),
        ({"status": ["failed", "succeeded"]}, ["draw", "fail"]),
        ({"model": "acme/draw"}, ["draw"]),
        ({"model": "ACME/Draw"}, ["draw"]),
        ({"model": "acme/draw:" + "0" * 64}, ["draw"]),
        ({"model": "0" * 64}, []),
        ({"model": "deployments/acme/draw"}, []),
        ({"model": "acme/write"}, []),
        ({"since": timedelta(minutes=5)}, ["draw"]),
        ({"since": "1d2h", "until": "1h"}, []),
        ({"since": "2020-01-01", "until": "2020-01-02"}, []),
        ({"since": datetime(2020, 1, 1, tzinfo=UTC)}, ["draw"]),
        ({"since": "2020-01-01T00:00:00", "limit": 1, "status": ["failed", "succeeded"]}, ["fail"]),
    ],
    ids=str,
)
def test_only_what_was_asked_for_is_saved(
    client: Client, make: Make, tmp_path: Path, options: dict[str, Any], wanted: list[str]
) -> None:
    ids = {make(): "draw", make("acme/fail"): "fail"}
    saved = client.predictions.save(tmp_path, **options)
    assert [ids[each.id] for each in saved if each.outcome == "saved"] == wanted


def test_a_version_names_its_predictions(client: Client, tmp_path: Path) -> None:
    simulator = cast(Any, client.session.backend).simulator
    for name in ("acme/one", "acme/two"):
        simulator.model(name, official=False)(lambda: b"hill")
    one, _ = (client.models.get(name).latest_version for name in ("acme/one", "acme/two"))
    made = [client.predictions.create(model=name, input={}) for name in ("acme/one", "acme/two")]
    for each in made:
        each.wait()
    for model in (one.id, f"acme/one:{one.id}", one, client.models.get("acme/one")):
        assert outcomes(client.predictions.save(tmp_path, model=model)).keys() == {made[0].id}
    assert client.predictions.save(tmp_path, model=f"acme/two:{one.id}") == []


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        ({"since": "soon"}, InputError, "how long ago it was"),
        ({"since": None}, InputError, "since=None is no time"),
        ({"since": "90"}, InputError, "since='90' cannot be used"),
        ({"until": datetime(2026, 1, 1)}, InputError, "no time zone"),  # noqa: DTZ001 - which is the point
        ({"since": "1h", "until": "2h"}, InputError, "is not before until='2h'"),
        ({"since": "2999-01-01"}, InputError, "is not before now"),
        ({"status": "processing"}, InputError, "status with 'processing'"),
        ({"status": []}, InputError, "names no status"),
        ({"limit": 0}, InputError, "limit=0"),
        ({"model": "nonsense"}, InvalidReference, "does not name a model"),
        ({"progress": 5}, InputError, "is no function"),
        ({"to": "x/{prompt}{ext}"}, ConfigError, "date, ext, index, model"),
        ({"to": "x/{row}{ext}"}, ConfigError, "there are no rows here"),
        ({"to": "nowhere://x"}, ConfigError, "nowhere"),
        ({"to": __file__}, FileError, "cannot be made"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    client: Client, wrong: dict[str, Any], kind: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictions, "async_list", None)
    with pytest.raises(kind, match=said):
        client.predictions.save(**{"to": "unused", **wrong})


@pytest.mark.parametrize(
    ("harm", "now", "expired"),
    [
        (lambda file: None, "kept", "kept"),
        (lambda file: file.unlink(), "saved", "expired"),
        (lambda file: file.write_bytes(b"h"), "saved", "expired"),
    ],
    ids=["whole", "gone", "cut"],
)
def test_files_are_compared_with_the_manifest(
    client: Client,
    clock: Clock,
    make: Make,
    tmp_path: Path,
    harm: Callable[[Path], object],
    now: str,
    expired: str,
) -> None:
    id = make()
    ((saved,),) = [each.files for each in client.predictions.save(tmp_path)]
    harm(Path(saved.url))
    assert outcomes(client.predictions.save(tmp_path)) == {id: now}
    assert Path(saved.url).read_bytes() == b"hill 0"
    harm(Path(saved.url))
    clock.advance(HOUR + 1)
    assert outcomes(client.predictions.save(tmp_path)) == {id: expired}


def test_a_file_that_goes_while_others_are_saved_is_told(
    client: Client, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    id, listed = make(count=2), Predictions.async_list

    async def then_gone(self: Predictions, *args: Any, **options: Any) -> Page[Prediction]:
        page = await listed(self, *args, **options)
        clock.advance(HOUR + 1)
        return page

    monkeypatch.setattr(Predictions, "async_list", then_gone)
    (output,) = client.predictions.save(tmp_path)
    assert (output.id, output.outcome) == (id, "expired")
    assert "is gone" in str(output.error)


def test_a_prediction_that_runs_is_saved_by_a_later_run(client: Client, tmp_path: Path) -> None:
    go = threading.Event()

    @cast(Any, client.session.backend).simulator.model("acme/late")
    def late() -> bytes:
        go.wait()
        return b"late"

    prediction = client.predictions.create(model="acme/late", input={})
    try:
        assert outcomes(client.predictions.save(tmp_path)) == {prediction.id: "running"}
        assert outcomes(client.predictions.save(tmp_path, limit=1)) == {prediction.id: "running"}
    finally:
        go.set()
    prediction.wait()
    assert outcomes(client.predictions.save(tmp_path)) == {prediction.id: "saved"}


@pytest.mark.parametrize("name", ["{model}{ext}", "{date}/{status}.bin", "{sha256}{ext}", "{index}{ext}"])
@pytest.mark.parametrize("if_exists", ["overwrite", "skip"])
def test_names_that_clash_lose_nothing(
    client: Client, make: Make, tmp_path: Path, name: str, if_exists: Any
) -> None:
    texts = {make(text=text, count=2): text for text in ("a", "b", "c")}
    saved = client.predictions.save(SaveTo(str(tmp_path), name=name, if_exists=if_exists))
    assert {each.id: [Path(file.url).read_text() for file in each.files] for each in saved} == {
        id: [f"{text} 0", f"{text} 1"] for id, text in texts.items()
    }


def test_two_runs_at_once_save_the_same(client: Client, make: Make, folder: str) -> None:
    ids = {make(text=str(number)) for number in range(12)}
    found: list[Outcomes] = []
    threads = [
        threading.Thread(target=lambda: found.append(outcomes(client.predictions.save(folder))))
        for _ in range(2)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [each.keys() for each in found] == [ids, ids]
    assert sorted(contents(client, folder).values()) == sorted(f"{number} 0".encode() for number in range(12))


def test_what_a_store_refuses_is_one_predictions_matter(client: Client, make: Make, tmp_path: Path) -> None:
    one, two = make(), make()
    (tmp_path / one / "0.bin").mkdir(parents=True)
    saved = client.predictions.save(f"{tmp_path}/{{prediction_id}}/{{index}}.bin")
    assert outcomes(saved) == {one: "failed", two: "saved"}
    assert "could not be stored" in str(saved[0].error)
    (tmp_path / one / "0.bin").rmdir()
    assert outcomes(client.predictions.save(f"{tmp_path}/{{prediction_id}}/{{index}}.bin")) == {
        one: "saved",
        two: "kept",
    }


def test_a_dry_run_stores_nothing(client: Client, make: Make, folder: str, drive: Drive) -> None:
    known = make()
    client.predictions.save(folder)
    fresh, text = make(count=2), make("acme/write")
    before = contents(client, folder)
    planned = drive(client.predictions.async_save(folder, dry_run=True))
    assert outcomes(planned) == {known: "kept", fresh: "planned", text: "empty"}
    assert contents(client, folder) == before
    saved = client.predictions.save(folder)
    assert [(file.url, file.size) for each in planned for file in each.files] == [
        (file.url, file.size) for each in saved for file in each.files
    ]


def test_progress_counts(client: Client, make: Make, tmp_path: Path) -> None:
    ids, told = {make() for _ in range(5)}, []
    client.predictions.save(
        tmp_path, progress=lambda output, done, total: told.append((output.id, done, total))
    )
    assert {id for id, _, _ in told} == ids
    assert [numbers for _, *numbers in told] == [[done, 5] for done in range(1, 6)]


def test_a_progress_that_fails_says_whose_it_is(client: Client, make: Make, tmp_path: Path) -> None:
    make()
    with pytest.raises(ZeroDivisionError) as raised:
        client.predictions.save(tmp_path, progress=lambda *_: 1 / 0)
    assert any("progress=" in note for note in raised.value.__notes__)


def test_a_list_that_shows_less_than_there_is_hides_nothing(
    client: Client, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, listed = make(), Predictions.async_list

    async def less(self: Predictions, *args: Any, **options: Any) -> Page[Prediction]:
        page = await listed(self, *args, **options)
        return Page([Prediction({**dict(each), "output": None}, self.session) for each in page])

    monkeypatch.setattr(Predictions, "async_list", less)
    assert outcomes(client.predictions.save(tmp_path)) == {id: "saved"}


NOW = datetime.now(UTC)


def shown(age: float, **more: Any) -> dict[str, Any]:
    """A prediction of so many minutes ago."""
    created = (NOW - timedelta(minutes=age)).isoformat()
    return {"id": f"p{age:g}", "status": "succeeded", "created_at": created, "output": "x", **more}


class Listing:
    """A list whose pages are given beforehand."""

    def __init__(self, session: Any, *pages: list[dict[str, Any]], endless: bool = False) -> None:
        self.session, self.asked, self._pages, self._endless = session, 0, pages, endless

    async def async_list(self, cursor: str | None = None, **filters: Any) -> Page[Prediction]:
        """Give the next page."""
        number = int(cursor or 0)
        self.asked += 1
        more = number + 1 < len(self._pages) or self._endless
        results = [Prediction(each, self.session) for each in self._pages[min(number, len(self._pages) - 1)]]
        return Page(results, str(number + 1) if more else None)


@pytest.mark.parametrize(
    ("pages", "endless", "limit", "wanted", "asked"),
    [
        # New ones push those of the first page onto the second.
        ([[1, 2, 3], [2, 3, 4], [4, 5]], False, None, [5, 4, 3, 2, 1], 3),
        ([[2, 1, 3], [5, 4]], False, None, [5, 4, 3, 2, 1], 2),
        # A server that knows no `created_after` goes on into the past.
        ([[1, 2, 300], [400, 500], [600]], False, None, [2, 1], 2),
        ([[1, 2], [3, 4]], True, None, [4, 3, 2, 1], 3),
        ([[1, 2], [3, 4], [5, 6]], False, 3, [3, 2, 1], 2),
        ([[]], False, None, [], 1),
    ],
    ids=["shifted", "unordered", "unfiltered", "in circles", "limited", "empty"],
)
def test_a_list_that_changes_while_it_is_paged_gives_each_once(
    client: Client,
    drive: Drive,
    pages: list[list[float]],
    endless: bool,
    limit: int | None,
    wanted: list[float],
    asked: int,
) -> None:
    listing: Any = Listing(client.session, *[[shown(age) for age in page] for page in pages], endless=endless)
    choice = Choice.of(listing, "2h", None, None, "succeeded", limit)
    assert [each.id for each in drive(choice.listed(listing))] == [f"p{age}" for age in wanted]
    assert listing.asked == asked


SAVING = """
import sys
from replicate_kit import Client
with Client("token", backend="http", base_url=sys.argv[1]) as client:
    client.predictions.save(sys.argv[2])
"""


def test_a_run_that_was_killed_is_resumed(tmp_path: Path) -> None:
    folder, listed = tmp_path / "saved", tmp_path / "saved" / "manifest.jsonl"
    with (
        Server(publish, https=False) as server,
        Client("token", backend="http", base_url=server.url, poll_interval=0.01) as client,
    ):
        ids = {client.predictions.create(model="acme/large", input={"seed": seed}).id for seed in range(24)}
        for id in ids:
            client.predictions.get(id).wait()
        with subprocess.Popen([sys.executable, "-c", SAVING, server.url, str(folder)]) as process:
            until(lambda: process.poll() is not None or (listed.exists() and listed.stat().st_size))
            process.kill()
        assert process.returncode in (-signal.SIGKILL, 0)
        named = [each for each in folder.rglob("*.bin") if not each.name.startswith(".")]
        assert {each.stat().st_size for each in named} == {2**22}
        before = set(listed.read_text().splitlines())
        found = outcomes(client.predictions.save(folder))
        assert found.keys() == ids
        assert set(found.values()) <= {"saved", "kept"}
        kept = [id for id, outcome in found.items() if outcome == "kept"]
        assert len(kept) >= len([line for line in before if line.endswith("}")]) > 0
        assert len(contents(client, str(folder))) == len(ids)
