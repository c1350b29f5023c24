"""A journal is copied from any ledger to any other, and then both say the same."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from replicate_kit import Client
from replicate_kit.batch import journals
from replicate_kit.batch._ledger.stores import store_of
from replicate_kit.batch.ledgers import Ledger
from replicate_kit.errors import ConfigError, JournalError
from replicate_kit.simulator import Simulator, install
from replicate_kit.testing.suites._ledgers import Runs

Named = Callable[[str], str]
_KINDS = ("file", "memory")


@pytest.fixture
def named(tmp_path: Path) -> Named:
    """Name a journal of a kind that is not there."""

    def name(kind: str) -> str:
        each = uuid.uuid4().hex
        return str(tmp_path / each) if kind == "file" else f"memory://{each}"

    return name


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with install(Simulator()) as simulator:
        yield simulator


async def kill(ledger: Ledger) -> None:
    """Let a run die."""
    await ledger.close()


def runs(journal: str) -> Runs:
    return Runs(store_of(journal), journal, kill)


@pytest.mark.parametrize("target", _KINDS)
@pytest.mark.parametrize("source", _KINDS)
def test_a_copy_says_the_same(named: Named, source: str, target: str) -> None:
    old, new, last = named(source), named(target), named(source)
    asyncio.run(runs(old).fill())
    before = asyncio.run(runs(old).look())
    assert journals.copy(old, new) == journals.copy(new, last) == before_rows(before)
    assert asyncio.run(runs(old).look()) == before, "the journal that was copied was changed"
    for copied in (new, last):
        assert asyncio.run(runs(copied).look()) == before
        assert list(journals.entries(copied)) == list(journals.entries(old))
        for by in (("label", "model", "day"), ()):
            assert journals.costs(copied, by=by) == journals.costs(old, by=by)  # type: ignore[arg-type]
        described = journals.describe(copied)
        assert (described.labels, described.states) == (("nightly",), journals.describe(old).states)


def before_rows(found: list[object]) -> int:
    """The number of rows in what `Runs.look` gives."""
    return len(found[1])  # type: ignore[arg-type]


@pytest.mark.parametrize("keep", ["keep", "hash"])
@pytest.mark.parametrize("target", _KINDS)
@pytest.mark.parametrize("source", _KINDS)
def test_a_run_with_a_copy_pays_for_nothing_that_the_journal_has(
    simulator: Simulator, named: Named, tmp_path: Path, source: str, target: str, keep: str
) -> None:
    old, new = named(source), named(target)
    client = Client(backend=simulator)
    rows = [{"prompt": f"{n} wombats"} for n in range(30)]
    options = {"save_to": tmp_path / "saved", "journal_inputs": keep, "progress": False}
    first = list(client.map("demo/painter", rows, journal=old, **options))  # type: ignore[call-overload]
    files = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "saved").iterdir()}
    journals.copy(old, new)
    created = simulator.created
    again = list(client.map("demo/painter", rows, journal=new, **options))  # type: ignore[call-overload]
    assert simulator.created == created
    assert [each.output for each in again] == [each.output for each in first]
    assert all(each.cached for each in again)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "saved").iterdir()} == files


def test_a_journal_is_not_copied_while_a_run_uses_it(named: Named) -> None:
    for source in _KINDS:
        old, new = named(source), named("file")

        async def story(old: str = old, new: str = new) -> None:
            run = runs(old)
            async with run.whole():
                await run.begin()
                with pytest.raises(JournalError, match="run uses"):
                    journals.copy(old, new)

        asyncio.run(story())
        assert not Path(new).exists(), "a journal was made for nothing"
        journals.copy(old, new)


def test_a_run_that_uses_the_target_is_not_disturbed(named: Named) -> None:
    for target in _KINDS:
        old, new = named("file"), named(target)
        asyncio.run(runs(old).fill())

        async def story(old: str = old, new: str = new) -> None:
            run = runs(new)
            async with run.whole():
                await run.plan()
                with pytest.raises(JournalError, match="run uses"):
                    journals.copy(old, new)

        asyncio.run(story())
        assert journals.copy(old, new) == journals.copy(old, named("file"))


def test_a_journal_is_not_copied_to_itself(named: Named, tmp_path: Path) -> None:
    for kind in _KINDS:
        journal = named(kind)
        asyncio.run(runs(journal).fill())
        before = list(journals.entries(journal))
        with pytest.raises(JournalError, match=r"to itself|not empty"):
            journals.copy(journal, journal)
        assert list(journals.entries(journal)) == before
    link = tmp_path / "link"
    link.symlink_to(old := named("file"))
    asyncio.run(runs(old).fill())
    with pytest.raises(JournalError, match="to itself"):
        journals.copy(old, link)


def test_nothing_is_made_of_what_is_no_journal(named: Named, tmp_path: Path) -> None:
    new = named("file")
    (tmp_path / "text").write_text("no journal")
    for old in ("missing", str(tmp_path / "text"), "memory://missing"):
        with pytest.raises(JournalError):
            journals.copy(old, new)
    with pytest.raises(ConfigError, match="etcd"):
        journals.copy("etcd://a", new)
    assert not Path(new).exists()
    asyncio.run(runs(old := named("file")).fill())
    with pytest.raises(ConfigError, match="etcd"):
        journals.copy(old, "etcd://a")
    with pytest.raises(JournalError, match="is a folder"):
        journals.copy(old, tmp_path)
    with pytest.raises(JournalError, match="not a database"):
        journals.copy(old, tmp_path / "text")
