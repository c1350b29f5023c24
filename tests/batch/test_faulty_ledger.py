"""The ledger that fails, for tests of what uses ledgers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from replicate_kit.batch.ledgers import Created, Intent, Key, Ledger, Run
from replicate_kit.errors import JournalError
from replicate_kit.testing.memory_ledger import MemoryStore

from .faulty_ledger import VERBS, Choice, FaultyLedger, LedgerFault, at_random, scripted

KEY = Key(b"row")
INTENT = Intent(KEY, "{}", b"", 0.0, 60.0)


def test_it_has_every_verb() -> None:
    verbs = {name for name, value in vars(Ledger).items() if callable(value) and not name.startswith("_")}
    assert set(VERBS) == verbs
    assert isinstance(FaultyLedger(MemoryStore().ledger("memory://a"), scripted({})), Ledger)


def claim(choose: Choice, then: Callable[[FaultyLedger], None] = lambda ledger: None) -> tuple[str, bool]:
    """Claim a row with a deadline; say what came of it, and whether the row was claimed."""

    async def main() -> tuple[str, bool]:
        below = MemoryStore().ledger("memory://a")
        ledger = FaultyLedger(below, choose)
        await ledger.open("run")
        await ledger.begin(Run("run", "acme/poet"))
        try:
            async with asyncio.timeout(0.2):
                outcome = repr(list(await ledger.claim([INTENT])))
        except (JournalError, TimeoutError) as error:
            outcome = type(error).__name__
        then(ledger)
        assert ledger.hanging == 0
        return outcome, (await below.find([KEY]))[0] is not None

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (None, ("[None]", True)),
        ("refused", ("JournalError", False)),
        ("answer lost", ("JournalError", True)),
        ("hangs", ("TimeoutError", False)),
        ("hangs after", ("TimeoutError", True)),
        ("late", ("[None]", True)),
    ],
)
def test_faults_come_before_and_after_it_acts(fault: LedgerFault | None, outcome: tuple[str, bool]) -> None:
    began = time.monotonic()
    assert claim(scripted({("claim", 1): fault} if fault else {})) == outcome
    assert (time.monotonic() - began >= 0.05) is (fault in ("hangs", "hangs after", "late"))


def test_a_script_names_calls() -> None:
    async def main() -> list[object]:
        ledger = FaultyLedger(MemoryStore().ledger("memory://a"), scripted({("record", 2): "answer lost"}))
        await ledger.open("run")
        await ledger.begin(Run("run", "acme/poet"))
        await ledger.claim([INTENT])
        answers: list[object] = []
        for _ in range(3):
            try:
                answers += await ledger.record([Created(KEY, "p1")])
            except JournalError as error:
                answers.append(type(error))
        assert ledger.happened[-2:] == [("record", "answer lost"), ("record", None)]
        return answers

    assert asyncio.run(main()) == [True, JournalError, True]


def test_a_seed_gives_the_same_faults() -> None:
    first, second, other = (
        [choose("claim", n) for n in range(100)] for choose in (at_random(1), at_random(1), at_random(2))
    )
    assert first == second != other
    assert 5 < 100 - first.count(None) < 50
    assert {at_random(1, probability=1.0)("close", n) for n in range(20)} == {None}


def test_it_heals() -> None:
    ledger = FaultyLedger(MemoryStore().ledger("memory://a"), at_random(1, 1.0, verbs=VERBS))
    ledger.heal()
    asyncio.run(ledger.open("run"))
    assert ledger.happened == [("open", None)]
