"""What `save_to=` means, whichever plugin stores the files."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from replicate_kit import Client, FileOutput, SaveTo, hookimpl
from replicate_kit._formats.store_urls import mark_files
from replicate_kit.errors import ConfigError, FileError, InputError, ReplicateError
from replicate_kit.schema import ConcatenateIterator
from replicate_kit.simulator import Simulator
from replicate_kit.storage import FileURL, StoredFile, Target
from replicate_kit.stores._saving import check_target, hosts_in, record_files, store_outputs


class Shelf:
    """Stores files of "shelf:" in a dict, and gives a URL or a whole record."""

    def __init__(self, *, records: bool = False) -> None:
        self.files: dict[str, bytes] = {}
        self.targets: list[Target] = []
        self.noted: list[StoredFile] = []
        self.records = records

    @hookimpl
    def replicate_store_output(
        self, file: FileOutput, target: Target
    ) -> Coroutine[Any, Any, str | StoredFile] | None:
        return self._put(file, target) if target.folder.startswith("shelf:") else None

    @hookimpl
    def replicate_record_files(self, files: list[StoredFile], target: Target) -> Coroutine[Any, Any, None]:
        return self._note(files)

    async def _put(self, file: FileOutput, target: Target) -> str | StoredFile:
        self.targets.append(target)
        self.files[target.stem] = await file.async_read()
        url = target.folder + target.stem
        return StoredFile(url=url, source=file.url, index=target.index, size=1) if self.records else url

    async def _note(self, files: list[StoredFile]) -> None:
        self.noted += files


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator()

    @simulator.model("acme/draw")
    def draw(prompt: str) -> list[bytes]:
        return [prompt.encode(), b"second"]

    return simulator


@pytest.fixture
def client(simulator: Simulator, shelf: Shelf) -> Any:
    with Client(backend=simulator, plugins=[shelf], poll_interval=0.01) as client:
        yield client


def test_run_gives_the_new_urls(client: Client, shelf: Shelf, drive: Any) -> None:
    urls = drive(client.async_run("acme/draw", {"prompt": "a hill"}, save_to="shelf:"))
    (first, second) = shelf.targets
    assert urls == [f"shelf:{first.prediction_id}-0", f"shelf:{first.prediction_id}-1"]
    assert list(shelf.files.values()) == [b"a hill", b"second"]
    assert (first.model, second.index) == ("acme/draw", 1)


@pytest.mark.parametrize(
    ("location", "kept"),
    [
        ("shelf://me:pictures@host/pictures/", "shelf://me@host/pictures/"),
        ("shelf://ftp:ftp@host/ftp/pub/", "shelf://ftp@host/ftp/pub/"),
    ],
)
def test_names_that_are_a_password_too_stay(client: Client, shelf: Shelf, location: str, kept: str) -> None:
    urls = client.run("acme/draw", {"prompt": "a hill"}, save_to=location)
    assert urls == [kept + target.stem for target in shelf.targets]


def test_template_takes_the_inputs(client: Client, shelf: Shelf) -> None:
    urls = client.run("acme/draw", {"prompt": "a hill"}, save_to="shelf:x/{prompt}/{prediction_id}{ext}")
    id = shelf.targets[0].prediction_id
    assert urls == [f"shelf:x/a-hill/{id}-0", f"shelf:x/a-hill/{id}-1"]


def test_manifest_is_kept_where_it_is_asked_for(client: Client, shelf: Shelf) -> None:
    client.run("acme/draw", {"prompt": "a hill"}, save_to="shelf:")
    assert shelf.noted == []
    client.run("acme/draw", {"prompt": "a hill"}, save_to=SaveTo("shelf:", manifest=True))
    assert [each.index for each in shelf.noted] == [0, 1]


@pytest.mark.parametrize("save_to", ["shelf:x/{promt}", "shelf:x/{row}", "shelf:x/{prompt}/..", "nope://x"])
def test_target_that_cannot_work_costs_nothing(client: Client, save_to: str) -> None:
    with pytest.raises(ConfigError):
        client.run("acme/draw", {"prompt": "a hill"}, save_to=save_to)
    assert list(client.predictions.list_all()) == []


def test_place_that_a_plugin_would_store_at_needs_no_check(
    client: Client, drive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    drive(check_target("shelf:", client.session))
    assert list(tmp_path.iterdir()) == []  # nor does another plugin make a folder of that name


def test_failure_carries_the_paid_prediction(client: Client, shelf: Shelf, drive: Any) -> None:
    async def fail(*_: Any) -> str:
        raise OSError("the shelf broke")

    shelf._put = fail  # type: ignore[method-assign]
    with pytest.raises(
        FileError, match=r"File 0 of the prediction \w+ could not be stored in 'shelf:'"
    ) as caught:
        drive(client.async_run("acme/draw", {"prompt": "a hill"}, save_to="shelf:"))
    assert caught.value.prediction is not None
    assert caught.value.prediction.status == "succeeded"


@pytest.mark.parametrize("records", [True, False])
def test_plugin_may_give_a_url_or_a_record(
    client: Client, shelf: Shelf, drive: Callable[..., Any], records: bool
) -> None:
    shelf.records, found = records, list[StoredFile]()
    output = {"picture": FileOutput("data:,a", client.session), "text": "a hill"}
    value = drive(
        store_outputs(
            output,
            folder=Path("shelf:"),
            prediction_id="p1",
            model=None,
            session=client.session,
            stem="A hill!",
            row=3,
            input_key="k",
            on_stored=found.append,
        )
    )
    assert value == {"picture": "shelf:A-hill", "text": "a hill"}
    assert [(each.url, each.row, each.input_key, each.size) for each in found] == [
        ("shelf:A-hill", 3, "k", 1 if records else None)
    ]


def test_nothing_to_record_is_not_recorded(client: Client, shelf: Shelf, drive: Any) -> None:
    drive(record_files([], SaveTo("shelf:", manifest=True), client.session))
    assert shelf.noted == []


def test_batch_keeps_records_in_its_journal_and_one_manifest(
    client: Client, shelf: Shelf, tmp_path: Path
) -> None:
    rows = [{"prompt": f"hill {number}"} for number in range(3)]
    options: Any = {
        "save_to": SaveTo("shelf:", name="{row}", manifest=True),
        "journal": tmp_path / "j.sqlite",
    }
    with client.map("acme/draw", rows, **options) as batch:
        outputs = [each.output for each in batch]
    assert outputs == [[f"shelf:{row}-0", f"shelf:{row}-1"] for row in range(3)]
    assert sorted(each.url for each in shelf.noted) == sorted(url for urls in outputs for url in urls)
    assert {each.row for each in shelf.noted} == {0, 1, 2}
    assert all(len(each.input_key or "") == 32 for each in shelf.noted)
    shelf.targets.clear()
    shelf.noted.clear()
    with client.map("acme/draw", rows, **options) as batch:
        assert [each.output for each in batch] == outputs
    assert (shelf.targets, shelf.noted) == ([], [])


def test_batch_checks_its_template_before_anything_is_created(client: Client) -> None:
    with (
        pytest.raises(ReplicateError, match="names promt"),
        client.map("acme/draw", [{"prompt": "a"}], save_to="shelf:x/{promt}") as batch,
    ):
        list(batch)
    assert list(client.predictions.list_all()) == []


def test_stems_that_two_rows_share_are_told_apart(client: Client, shelf: Shelf) -> None:
    rows = [{"prompt": "a hill"}, {"prompt": "a sea"}, {"prompt": "a sea"}]
    with client.map(
        "acme/draw", rows, save_to="shelf:", stems=lambda row, input: "same", dedupe=False
    ) as batch:
        urls = [url for each in batch for url in each.output]
    assert len({*urls}) == len(urls) == 6
    assert all(url.startswith("shelf:same") for url in urls)


def test_save_to_is_read_from_texts_and_paths(tmp_path: Path) -> None:
    assert SaveTo.of(tmp_path) == SaveTo(str(tmp_path))
    assert SaveTo(tmp_path) == SaveTo(str(tmp_path))  # type: ignore[arg-type]
    assert SaveTo.of("s3://b/x/{row}/{sha256}{ext}") == SaveTo("s3://b/x/", name="{row}/{sha256}{ext}")
    assert SaveTo.of("{row}") == SaveTo(".", name="{row}")
    assert str(SaveTo.of("s3://b/x/{row}")) == "s3://b/x/{row}"
    assert SaveTo.of(SaveTo("s3://b", options={"a": 1}), {"b": 2}).options == {"a": 1, "b": 2}
    assert "secret" not in repr(SaveTo("s3://b", options={"key": "secret"}))


def test_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="if_exists='replace' is not one of 'overwrite', 'skip', 'error'"):
        SaveTo("s3://b", if_exists="replace")  # type: ignore[arg-type]


def test_record_survives_json_and_what_is_new_in_it() -> None:
    record = StoredFile(url="a", source="b", saved_at=datetime(2026, 1, 2, tzinfo=UTC), row=1)
    assert StoredFile.from_json({**record.to_json(), "later": True}) == record
    assert StoredFile.from_json(StoredFile(url="a", source="b").to_json()).saved_at is None


def test_only_urls_of_stores_in_file_inputs_are_marked() -> None:
    kept = {"image": "https://x.test/a", "photo": "data:,a", "note": "s3://b/a", "size": 3, "name": "a: b"}
    assert all(type(each) is not FileURL for each in mark_files(kept, {*kept} - {"note"}).values())
    marked = mark_files(
        {"images": ["s3://b/a", "https://x.test/a"], "one": "simplecache::s3://b/a"}, {"images", "one"}
    )
    assert [type(each) for each in marked["images"]] == [FileURL, str]
    assert type(marked["one"]) is FileURL


@pytest.mark.parametrize(
    "path", ["webhooks/default/secret", "files/../account", "files/%2e%2e/account", "files"]
)
def test_what_a_model_names_of_the_api_is_neither_asked_nor_stored(
    path: str, serve: Any, drive: Any, tmp_path: Path
) -> None:
    def answer(request: Any) -> Any:
        if not request.path.startswith("/v1/predictions"):
            return 200, {}, b'{"key": "whsec_secret"}'
        made = {"id": "p1", "status": "succeeded", "input": {}, "output": f"{api.url}/v1/{path}", "urls": {}}
        return 201, {"Content-Type": "application/json"}, json.dumps(made).encode()

    api = serve(answer)
    made_by = Client("r8_secret", base_url=api.url, retries=0)
    with made_by as client, pytest.raises(FileError, match="an operation of the API") as caught:
        drive(client.async_run("f" * 64, {}, save_to=tmp_path / "out", check_input=False))
    assert caught.value.prediction is not None
    assert caught.value.prediction.id == "p1"
    assert not any("webhooks" in each.path or "account" in each.path for each in api.received)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


@pytest.mark.parametrize("output", ["a text", 7, None, {"a": ["https://elsewhere.test/a.png"]}, []])
def test_an_output_without_a_file_is_told_once(
    output: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    simulator = Simulator()

    @simulator.model("acme/texts")
    def texts(text: str) -> Any:
        return output

    client = Client(backend=simulator)
    assert client.run("acme/texts", {"text": "a"}, save_to=tmp_path) == output
    (said,) = [each for each in caplog.messages if "no file" in each]
    assert f"save_to={str(tmp_path)!r} stored nothing" in said
    caplog.clear()
    results = list(client.map("acme/texts", [{"text": str(each)} for each in range(3)], save_to=tmp_path))
    assert [each.output for each in results] == [output] * 3
    (said,) = [each for each in caplog.messages if "no file" in each]
    assert said.startswith("3 of the 3 outputs of this run had no file")
    assert list(tmp_path.iterdir()) == []


def test_an_output_with_a_file_is_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Client(backend="mock").run("demo/painter", {"prompt": "a"}, save_to=tmp_path)
    assert not [each for each in caplog.messages if "no file" in each]


PLAIN: list[Any] = [str, int, float, bool, list[str], Literal["a", "b"], ConcatenateIterator[str]]
OPEN: list[Any] = [Any, dict, list, Path, list[Path], str | Path]


def makes(simulator: Simulator, kind: Any) -> None:
    """Give a simulator a model whose output is of a kind."""

    def model(text: str) -> Any:
        return None if kind is not ConcatenateIterator[str] else iter(["a"])

    model.__annotations__["return"] = kind
    simulator.model("acme/model")(model)


@pytest.mark.parametrize("kind", PLAIN)
def test_an_output_without_files_is_told_before_it_is_paid(
    kind: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    simulator = Simulator()
    makes(simulator, kind)
    with Client(backend=simulator, poll_interval=0) as client:
        plan = client.plan("acme/model", [{"text": "a"}], save_to=tmp_path)
        assert plan.no_files
        assert "By its schema, the output of acme/model" in str(plan)
        assert caplog.messages == []
        told: list[str] = []
        with pytest.raises(InputError, match="stop"):
            list(
                client.map(
                    "acme/model", [{"text": "a"}], save_to=tmp_path, on_plan=lambda plan: stop(told, caplog)
                )
            )
        assert simulator.created == 0
        assert len(told) == 1
        caplog.clear()
        client.run("acme/model", {"text": "a"}, save_to=tmp_path)
        (said,) = [each for each in caplog.messages if "file" in each]
        assert said.startswith("By its schema, the output of acme/model")
        assert f"save_to={str(tmp_path)!r} will have nothing to store" in said


def stop(told: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """Keep what was said by now, and end a run before anything is created."""
    told += [each for each in caplog.messages if "nothing to store" in each]
    raise InputError("stop")


@pytest.mark.parametrize("kind", OPEN)
def test_nothing_is_told_where_files_may_come(kind: Any, tmp_path: Path) -> None:
    simulator = Simulator()
    makes(simulator, kind)
    with Client(backend=simulator) as client:
        assert client.plan("acme/model", [{"text": "a"}], save_to=tmp_path).no_files is None
        assert client.plan("acme/model", [{"text": "a"}]).no_files is None


@pytest.mark.parametrize("text", ["http://{} x", "https://{}@{} x", "http://{}\n", "http://{}/{} x"])
def test_long_texts_that_begin_as_a_url_are_read_once(text: str) -> None:
    assert hosts_in(text.replace("{}", "a" * 1_000_000)) == set()  # in time that grows with the square: hours
