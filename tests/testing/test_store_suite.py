"""The suite of stores, held against local folders, and against some that are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from replicate_kit import hookimpl
from replicate_kit.stores import LocalLocation, Location, Notes, Writer, manifest, store, url_below
from replicate_kit.testing.suites import StoreSuite

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]


class TestLocalFolders(StoreSuite):
    refused_folder = f"{__file__}/below-a-file"

    @pytest.fixture
    def folder(self, tmp_path: Path) -> str:
        return str(tmp_path / "store")


class ShelfLocation(LocalLocation):
    """A location of the store `shelf://`, which is a folder of this machine by another name."""

    def join(self, name: str, /) -> LocalLocation:
        found = super().join(name)
        return type(self)(found.path, found.url)


class Shelf:
    """The plugin of that store."""

    def __init__(self, kind: type[ShelfLocation] = ShelfLocation) -> None:
        self.kind = kind

    def location(self, folder: str) -> Location | None:
        path = folder.removeprefix("shelf://")
        return self.kind(path, folder) if path != folder else None

    @hookimpl
    def replicate_store_output(self, file: Any, target: Any, session: Any) -> Any:
        location = self.location(target.folder)
        return location and store(file, target, session, location)

    @hookimpl
    def replicate_record_files(self, files: Sequence[Any], target: Any, session: Any) -> Any:
        location = self.location(target.folder)
        return location and manifest.record(files, location, session)

    @hookimpl
    def replicate_open_folder(self, folder: str, options: Mapping[str, Any]) -> Location | None:
        return self.location(folder)


class OfShelf(StoreSuite):
    """The suite, for a plugin of this file."""

    shelf = Shelf()

    @pytest.fixture
    def plugins(self) -> Sequence[object]:
        return [self.shelf]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> str:
        return f"shelf://{tmp_path}/store"


class TestShelf(OfShelf):
    """It passes, so that what fails below fails for its own fault."""


class Eager(ShelfLocation):
    """Writes under the final name at once."""

    def open_writer(self, notes: Notes, /, *, later: bool) -> Writer:
        writer: Any = super().open_writer(notes, later=later)
        Path(writer._partial).rename(self.path)
        Path(writer._partial).symlink_to(self.path)
        return writer  # type: ignore[no-any-return]


class Careless(ShelfLocation):
    """Replaces whatever is there."""

    def open_writer(self, notes: Notes, /, *, later: bool) -> Writer:
        return super().open_writer(Notes(), later=later)


class Open(ShelfLocation):
    """Lets names lead out of the folder."""

    def join(self, name: str, /) -> LocalLocation:
        return type(self)(f"{self.path}/{name}", url_below(self.url, name))


class Forgetful(ShelfLocation):
    """Loses the end of what it reads."""

    def chunks(self) -> Iterator[bytes]:
        return (chunk[:-1] for chunk in super().chunks())


class Blind(ShelfLocation):
    """Says of files that are not there that they are empty."""

    def size(self) -> int:
        return super().size() or 0


class Greedy(Shelf):
    """Takes local folders, too."""

    def location(self, folder: str) -> Location | None:
        return self.kind(f"{folder.removeprefix('shelf://')}-elsewhere", folder)


@pytest.mark.slow
class TestASuiteFindsWhatIsWrong:
    """A suite that anything passes would prove nothing."""

    @pytest.mark.parametrize(
        ("plugin", "test"),
        [
            ("Shelf(Eager)", "test_a_file_appears_when_it_is_whole"),
            ("Shelf(Careless)", "test_a_file_that_must_not_be_replaced_is_kept"),
            ("Shelf(Open)", "test_no_name_leads_out_of_a_folder"),
            ("Shelf(Forgetful)", "test_a_file_arrives_whole"),
            ("Shelf(Blind)", "test_a_location_knows_the_size_of_what_is_there"),
            ("Greedy()", "test_local_folders_are_left_to_the_package"),
        ],
    )
    def test_a_store_that_is_wrong_fails(self, pytester: pytest.Pytester, plugin: str, test: str) -> None:
        pytester.makepyfile(f"""
            from tests.testing.test_store_suite import *
            from tests.testing.test_store_suite import OfShelf

            del TestLocalFolders, TestShelf, TestASuiteFindsWhatIsWrong

            class TestWrong(OfShelf):
                shelf = {plugin}
        """)
        pytester.makeini(f"[pytest]\npythonpath = {ROOT}")
        done = pytester.runpytest_subprocess("-q", "-k", test)
        assert done.ret == pytest.ExitCode.TESTS_FAILED, done.stdout.str()
        assert f"FAILED test_a_store_that_is_wrong_fails.py::TestWrong::{test}" in done.stdout.str()
