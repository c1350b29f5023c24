"""What every store of output files has to do, wherever it keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from replicate_kit.client import Client
from replicate_kit.errors import FileError
from replicate_kit.hooks import hookimpl
from replicate_kit.simulator import Fault, Simulator
from replicate_kit.storage import SaveTo, StoredFile
from replicate_kit.stores import Location, Notes, manifest
from replicate_kit.stores._locations import name_below, write_whole
from replicate_kit.testing.suites._drivers import Drive, DriverSuite

__all__ = ["StoreSuite"]

_MODEL = "suite/files"
_LARGE = 300_000


def _content(text: str, size: int) -> bytes:
    """The content of a file: bytes that repeat a text."""
    return (text.encode() * (size // max(len(text.encode()), 1) + 1))[:size]


class _Watch:
    """Is told of each file that is saved."""

    def __init__(self) -> None:
        self.saved: list[StoredFile] = []

    @hookimpl
    def replicate_file_saved(self, file: StoredFile) -> None:
        self.saved.append(file)


class StoreSuite(DriverSuite):
    """Tests of a store that `save_to=` can name; the fixture `folder` gives a folder in it that is empty.

    The plugin is found where it is installed; the fixture `plugins` gives one that is not. `read` reads a file by the
    URL that the store gave for it. A store whose plugin has no `replicate_open_folder` overrides `read`, and the tests
    of its locations are skipped. `keeps_lists = False` says that it has no `replicate_record_files`, and
    `refused_folder` is one that looks like the store's own, and to which nothing can be saved.
    """

    keeps_lists: bool = True
    """Whether it keeps a manifest (`SaveTo(…, manifest=True)`)."""
    refused_folder: str | None = None
    """A folder that `replicate_check_target` has to refuse."""

    @pytest.fixture
    def folder(self) -> str:
        """An empty folder in the store, as `save_to=` takes it."""
        raise TypeError("Override the fixture `folder` with one that gives an empty folder in your store.")

    @pytest.fixture
    def storage_options(self) -> Mapping[str, Any]:
        """Options that the store needs (`storage_options=`)."""
        return {}

    @pytest.fixture
    def plugins(self) -> Sequence[object]:
        """Plugins that are not installed."""
        return ()

    @pytest.fixture
    def watch(self) -> _Watch:
        """What is told of the files that are saved."""
        return _Watch()

    @pytest.fixture
    def simulator(self) -> Iterator[Simulator]:
        """A service with a model that gives files of a given content."""
        with Simulator() as simulator:

            @simulator.model(_MODEL)
            def files(text: str, size: int, count: int = 1) -> list[bytes]:
                return [_content(text + str(number), size) for number in range(count)]

            yield simulator

    @pytest.fixture
    def client(self, simulator: Simulator, plugins: Sequence[object], watch: _Watch) -> Iterator[Client]:
        """A client of that service."""
        with Client(backend=simulator, plugins=[*plugins, watch], poll_interval=0.01, retries=0) as client:
            yield client

    def read(self, url: str, folder: str, client: Client, storage_options: Mapping[str, Any]) -> bytes:
        """Read a file of the store. Override it where the plugin has no `replicate_open_folder`."""
        location = _opened(client, folder, storage_options)
        name = name_below(location.url, url)
        assert name is not None, f"{url!r} is not below {location.url!r}"
        return b"".join(location.join(name).chunks())

    @pytest.fixture
    def contents(self, folder: str, client: Client, storage_options: Mapping[str, Any]) -> Any:
        """Reads a file of the store by its URL."""
        return lambda url: self.read(url, folder, client, storage_options)

    @pytest.fixture
    def location(self, folder: str, client: Client, storage_options: Mapping[str, Any]) -> Location:
        """The folder, as the plugin opens it."""
        return _opened(client, folder, storage_options)

    @pytest.fixture
    def save(self, folder: str, client: Client, storage_options: Mapping[str, Any], drive: Drive) -> Any:
        """Runs the model with `save_to=` and gives the URLs."""

        def saved(text: str, size: int = 10, count: int = 1, **changes: Any) -> list[str]:
            save_to = SaveTo(folder, options=storage_options, **changes)
            input = {"text": text, "size": size, "count": count}
            urls = drive(client.async_run(_MODEL, input, save_to=save_to, timeout=30))
            assert isinstance(urls, list)
            return urls

        return saved

    @pytest.fixture
    def save_row(self, folder: str, client: Client, storage_options: Mapping[str, Any]) -> Any:
        """Runs the model for one row, whose file is always named the same; gives its URL."""

        def saved(text: str, size: int = 10, **changes: Any) -> str:
            save_to = SaveTo(folder, name="same-{row}{ext}", options=storage_options, **changes)
            rows = [{"text": text, "size": size}]
            (result,) = client.map(_MODEL, rows, save_to=save_to, errors="collect")
            if result.error is not None:
                raise result.error
            return str(result.output[0])

        return saved

    # Files.

    @pytest.mark.parametrize("size", [0, 1, _LARGE])
    def test_a_file_arrives_whole(self, size: int, save: Any, contents: Any, watch: _Watch) -> None:
        (url,) = save("wombat", size)
        assert contents(url) == _content("wombat0", size)
        assert [(each.url, each.size) for each in watch.saved] == [(url, size)]

    def test_files_of_one_output_stay_in_their_order(self, save: Any, contents: Any) -> None:
        urls = save("wombat", 7, 3)
        assert [contents(url) for url in urls] == [_content(f"wombat{number}", 7) for number in range(3)]

    def test_files_of_other_predictions_are_other_files(self, save: Any, contents: Any) -> None:
        (first,), (second,) = save("first"), save("second")
        assert first != second
        assert (contents(first), contents(second)) == (_content("first0", 10), _content("second0", 10))

    def test_a_template_names_the_files(self, save: Any, contents: Any) -> None:
        (url,) = save("wombat", name="{model}/wombat-{index}{ext}")
        assert "wombat-0" in url, "the name that the target asks for is not in the URL"
        assert contents(url) == _content("wombat0", 10)

    def test_rows_of_a_batch_are_saved_side_by_side(
        self, folder: str, client: Client, storage_options: Mapping[str, Any], contents: Any
    ) -> None:
        texts = [f"row {number} of " for number in range(20)]
        rows = [{"text": text, "size": 30} for text in texts]
        results = list(
            client.map(_MODEL, rows, save_to=folder, storage_options=storage_options, concurrency=8)
        )
        assert [contents(each.output[0]) for each in results] == [_content(text + "0", 30) for text in texts]

    # Names that are taken.

    def test_a_file_of_the_same_name_is_replaced(self, save_row: Any, contents: Any) -> None:
        assert save_row("first") == save_row("second")
        assert contents(save_row("third")) == _content("third0", 10)

    def test_a_file_of_the_same_name_is_kept_where_that_is_asked_for(
        self, save_row: Any, contents: Any
    ) -> None:
        first = save_row("first")
        assert save_row("second", if_exists="skip") == first
        assert contents(first) == _content("first0", 10), "if_exists='skip' has replaced a file"

    def test_a_file_of_the_same_name_is_an_error_where_that_is_asked_for(
        self, save_row: Any, contents: Any
    ) -> None:
        url = save_row("first")
        with pytest.raises(FileError):
            save_row("second", if_exists="error")
        assert contents(url) == _content("first0", 10), "if_exists='error' has replaced a file"

    # What leaves nothing.

    def test_a_transfer_that_breaks_off_leaves_nothing(
        self, save_row: Any, contents: Any, simulator: Simulator
    ) -> None:
        simulator.faults.add(Fault(operation="outputs.get", calls={1}, truncate=_LARGE // 2))
        simulator.faults.add(Fault(operation="outputs.get", calls=range(2, 20), status=403))
        with pytest.raises(FileError):
            save_row("wombat", _LARGE)
        simulator.faults.clear()
        url = save_row("wombat", if_exists="error")  # which finds no file of that name
        assert contents(url) == _content("wombat0", 10)

    def test_a_plan_stores_nothing(
        self,
        save_row: Any,
        folder: str,
        client: Client,
        storage_options: Mapping[str, Any],
        simulator: Simulator,
    ) -> None:
        save_to = SaveTo(folder, name="same-{row}{ext}", options=storage_options)
        client.plan(_MODEL, [{"text": "wombat", "size": 10}], save_to=save_to)
        assert simulator.created == 0
        assert save_row("wombat", if_exists="error")

    def test_a_folder_that_cannot_be_is_refused_before_anything_is_paid_for(
        self, client: Client, storage_options: Mapping[str, Any], simulator: Simulator, drive: Drive
    ) -> None:
        if self.refused_folder is None:
            pytest.skip("The suite was told of no folder that is refused.")
        input = {"text": "wombat", "size": 1}
        with pytest.raises(Exception):  # noqa: B017, PT011 - a store's own error passes as it is
            drive(
                client.async_run(_MODEL, input, save_to=self.refused_folder, storage_options=storage_options)
            )
        assert simulator.created == 0, "a prediction was created whose files cannot be saved"

    def test_local_folders_are_left_to_the_package(self, client: Client, tmp_path: Path) -> None:
        (path,) = client.run(_MODEL, {"text": "wombat", "size": 10}, save_to=tmp_path / "here")
        assert Path(path).read_bytes() == _content("wombat0", 10)

    # The list of the files.

    def test_the_list_tells_of_each_file(
        self, save: Any, location: Location, storage_options: Mapping[str, Any]
    ) -> None:
        if not self.keeps_lists:
            pytest.skip("The store keeps no lists.")
        for text in ("first", "second"):
            save(text, 10, 2, manifest=True)
        verdicts = list(manifest.verify(location))
        assert len(verdicts) == 4
        assert {each.problem for each in verdicts} == {None}

    # Locations.

    def test_a_location_knows_the_size_of_what_is_there(self, location: Location) -> None:
        file = location.join("folder/poem.txt")
        assert file.size() is None
        with pytest.raises(FileNotFoundError):
            b"".join(file.chunks())
        write_whole(file, b"a poem", Notes())
        assert (file.size(), b"".join(file.chunks())) == (6, b"a poem")

    @pytest.mark.parametrize("name", ["../poem.txt", "a/../../poem.txt", "/poem.txt", "a//poem.txt", ""])
    def test_no_name_leads_out_of_a_folder(self, name: str, location: Location) -> None:
        with pytest.raises(FileError):
            location.join(name)

    def test_a_file_appears_when_it_is_whole(self, location: Location) -> None:
        file = location.join("poem.txt")
        writer = file.open_writer(Notes(), later=False)
        writer.write(b"half of ")
        assert file.size() is None, "a file is there before it is committed"
        writer.write(b"a poem")
        writer.commit(file)
        assert b"".join(file.chunks()) == b"half of a poem"

    def test_what_is_discarded_leaves_the_file_that_was_there(self, location: Location) -> None:
        file = location.join("poem.txt")
        write_whole(file, b"the first", Notes())
        writer = file.open_writer(Notes(), later=False)
        writer.write(b"the second")
        writer.discard()
        assert b"".join(file.chunks()) == b"the first"

    def test_a_trial_leaves_no_file(self, location: Location) -> None:
        file = location.join("poem.txt")
        writer = file.open_writer(Notes(), later=False)
        writer.try_out()
        writer.discard()
        assert file.size() is None, "try_out() has left a file"

    def test_a_name_may_change_before_the_file_appears(self, location: Location) -> None:
        writer = location.join("soon.txt").open_writer(Notes(), later=True)
        writer.write(b"a poem")
        writer.commit(location.join("named.txt"))
        assert location.join("named.txt").size() == 6
        assert location.join("soon.txt").size() is None

    def test_a_file_that_must_not_be_replaced_is_kept(self, location: Location) -> None:
        file = location.join("poem.txt")
        write_whole(file, b"the first", Notes())
        with pytest.raises(FileExistsError):
            write_whole(file, b"the second", Notes(replace=False))
        assert b"".join(file.chunks()) == b"the first"

    def test_what_can_be_appended_to_is_appended_to(self, location: Location) -> None:
        write_whole(location.join("poem.txt"), b"a poem", Notes())  # lists come after files
        file = location.join("list.jsonl")
        if not file.append(b"1\n"):
            assert file.size() is None, "append() says that it cannot, and has written"
            return
        assert file.append(b"2\n")
        assert b"".join(file.chunks()) == b"1\n2\n"

    def test_an_error_of_the_store_says_what_to_do(self, location: Location) -> None:
        error = location.failed(RuntimeError("the shelf is full"))
        assert isinstance(error, FileError)
        assert "the shelf is full" in str(error)


def _opened(client: Client, folder: str, options: Mapping[str, Any]) -> Location:
    """Ask the plugins for a folder; skip the test where none opens it."""
    try:
        return client.plugins.hooks.open_folder(folder, options)
    except FileError:
        pytest.skip("No plugin opens this folder (replicate_open_folder).")
