"""The suite of ledgers, held against the one in memory, and against some that are wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from replicate_kit.batch.ledgers import Entry, Event, Intent, Key, Ledger, LedgerStore, Run
from replicate_kit.errors import ConfigError, JournalError
from replicate_kit.testing.memory_ledger import MemoryLedger, MemoryStore, store
from replicate_kit.testing.suites import LedgerSuite, SharedLedgerSuite, ledger_machine

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]


@contextmanager
def new_store() -> Iterator[tuple[LedgerStore, str]]:
    yield MemoryStore(), "memory://poems"


async def kill(ledger: Ledger) -> None:
    assert isinstance(ledger, MemoryLedger)
    ledger.kill()


class TestMemoryLedger(LedgerSuite, SharedLedgerSuite):
    @pytest.fixture
    def store(self) -> LedgerStore:
        return MemoryStore()

    @pytest.fixture
    def url(self) -> str:
        return "memory://poems"

    async def kill(self, ledger: Ledger) -> None:
        await kill(ledger)


TestMemoryMachine = ledger_machine(new_store, kill).TestCase


def test_the_scheme_has_a_store_of_its_own() -> None:
    (entry,) = entry_points(group="replicate_kit.ledgers", name="memory")
    assert entry.load() is store
    assert isinstance(store, LedgerStore)


def test_it_is_made_for_a_name() -> None:
    with pytest.raises(ConfigError, match=r"'memory://' is no ledger in memory. Pass a URL with a name"):
        MemoryStore().ledger("memory://")
    with pytest.raises(JournalError, match=r"There is no ledger memory://poems in this process"):
        MemoryStore().administrator("memory://poems")


def test_runs_of_several_threads_share_a_book() -> None:
    books, rows, together = MemoryStore(), range(500), Barrier(4)

    async def claim(run: str) -> list[bool]:
        ledger = books.ledger("memory://poems")
        await ledger.open(run)
        await ledger.begin(Run(run, "acme/poet"))
        together.wait()
        sent = [Intent(Key(bytes([n % 256, n // 256])), "{}", run.encode(), 0.0, 60.0) for n in rows]
        return [(await ledger.claim([each]))[0] is None for each in sent]

    with ThreadPoolExecutor(4) as threads:
        claimed = list(threads.map(lambda run: asyncio.run(claim(run)), "abcd"))
    assert [sum(each) for each in zip(*claimed, strict=True)] == [1] * len(rows)


def test_a_run_that_has_ended_writes_nothing() -> None:
    async def main() -> None:
        ledger = MemoryStore().ledger("memory://poems")
        for end in (ledger.close, None):
            with pytest.raises(JournalError, match="The ledger memory://poems is not open"):
                await ledger.find([])
            await ledger.open("run")
            await ledger.find([])
            if end is not None:
                await end()
        ledger.kill()
        with pytest.raises(JournalError):
            await ledger.claim([])

    asyncio.run(main())


class Greedy(MemoryLedger):
    """Takes what another run has under way."""

    async def claim(self, intents: Sequence[Intent], /) -> Sequence[Entry | None]:
        with self._using() as book:
            for each in intents:
                if each.key in book.rows and book.rows[each.key].entry.state == "intent":
                    del book.rows[each.key]
        return await super().claim(intents)


class Forgetful(MemoryLedger):
    """Forgets predictions as soon as a row has another one."""

    async def record(self, events: Sequence[Event], /) -> Sequence[bool]:
        answers = await super().record(events)
        with self._using() as book:
            present = {row.entry.prediction_id for row in book.rows.values()}
            book.owners = {id: key for id, key in book.owners.items() if id in present}
        return answers


class Once(MemoryLedger):
    """Refuses what it has heard already, though the answer may have been lost."""

    async def record(self, events: Sequence[Event], /) -> Sequence[bool]:
        heard = vars(self).setdefault("heard", set())
        fresh = [repr(each) not in heard for each in events]
        heard.update(map(repr, events))
        return [answer and new for answer, new in zip(await super().record(events), fresh, strict=True)]


class Talkative(MemoryLedger):
    """Keeps inputs of runs that want none to be kept."""

    async def begin(self, run: Run, /) -> None:
        await super().begin(run._replace(keeps_inputs=True))


class Robber(MemoryLedger):
    """Takes over what living runs have."""

    async def take_over(self, keys: Sequence[Key], /) -> Sequence[Entry | None]:
        with self._using() as book:
            for row in filter(None, map(book.rows.get, keys)):
                row.run = self._run.id
        return await super().take_over(keys)


class WrongStore(MemoryStore):
    """Gives ledgers of one kind."""

    def __init__(self, kind: type[MemoryLedger]) -> None:
        super().__init__()
        self.kind = kind

    def ledger(self, url: str, /) -> MemoryLedger:
        return self.kind(self._books, url.removeprefix("memory://"))


@pytest.mark.slow
class TestASuiteFindsWhatIsWrong:
    """A suite that anything passes would prove nothing."""

    @pytest.mark.parametrize(
        ("kind", "test", "said"),
        [
            (Greedy, "test_of_two_runs_one_gets_a_row", "two runs have claimed the same row"),
            (Greedy, "test_of_runs_that_claim_at_once_one_gets_each_row", "4 of 4 runs were given row 0"),
            (
                Forgetful,
                "test_an_earlier_prediction_still_belongs_to_its_row",
                "an earlier prediction was given away",
            ),
            (
                Once,
                "test_a_group_that_is_sent_again_gives_the_same_answers",
                "whose answer was lost has other answers",
            ),
            (
                Talkative,
                "test_without_inputs_there_are_hashes",
                "a run without inputs has left some",
            ),
            (Robber, "test_what_a_living_run_has_is_not_taken_over", "a row was taken from a run that lives"),
        ],
    )
    def test_a_ledger_that_is_wrong_fails_with_words(
        self, pytester: pytest.Pytester, kind: type[MemoryLedger], test: str, said: str
    ) -> None:
        pytester.makepyfile(f"""
            import pytest
            from replicate_kit.testing.suites import LedgerSuite
            from tests.testing.test_ledger_suite import {kind.__name__}, WrongStore, kill

            class TestWrong(LedgerSuite):
                @pytest.fixture
                def store(self):
                    return WrongStore({kind.__name__})

                @pytest.fixture
                def url(self):
                    return "memory://poems"

                async def kill(self, ledger):
                    await kill(ledger)
        """)
        pytester.makeini(f"[pytest]\npythonpath = {ROOT}")
        done = pytester.runpytest_subprocess("-q", "-k", test)
        found = done.stdout.str()
        assert test in found
        assert said in found
        assert done.ret == pytest.ExitCode.TESTS_FAILED

    @pytest.mark.parametrize("kind", [Greedy, Forgetful, Once, Robber])
    def test_the_machine_finds_a_ledger_that_is_wrong(self, kind: type[MemoryLedger]) -> None:
        @contextmanager
        def wrong() -> Iterator[tuple[LedgerStore, str]]:
            yield WrongStore(kind), "memory://poems"

        machine = ledger_machine(wrong, kill)
        searching = settings(
            machine.TestCase.settings,
            max_examples=1000,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            print_blob=False,
        )
        with pytest.raises(AssertionError):
            run_state_machine_as_test(machine, settings=searching)
