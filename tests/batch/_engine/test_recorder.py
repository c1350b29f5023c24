"""Calls of a ledger are many rows at a time, and not too large."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from replicate_kit.batch._engine import recorder
from replicate_kit.batch._engine.recorder import Recorder
from replicate_kit.batch.ledgers import Created, Ended, Event, Intent, Key, Run
from replicate_kit.testing.memory_ledger import MemoryLedger, MemoryStore


@pytest.mark.parametrize(
    ("sizes", "calls"),
    [
        ([0] * 25, [10, 10, 5]),
        ([40, 40, 40], [2, 1]),
        ([300, 0, 0, 300], [1, 2, 1]),
        ([100, 1, 99, 100], [1, 2, 1]),
        ([300, 300], [1, 1]),
    ],
)
def test_large_outputs_are_recorded_in_parts(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], calls: list[int]
) -> None:
    monkeypatch.setattr(recorder, "_MOST", 10)
    monkeypatch.setattr(recorder, "_LARGEST", 100)
    made: list[int] = []
    record = MemoryLedger.record

    async def counted(self: MemoryLedger, events: Sequence[Event], /) -> Sequence[bool]:
        made.append(len(events))
        return await record(self, events)

    async def tell() -> None:
        ledger = MemoryStore().ledger("memory://large")
        await ledger.open("run")
        await ledger.begin(Run("run", "acme/poet"))
        keys = [Key(bytes([number])) for number in range(len(sizes))]
        await ledger.claim([Intent(key, "{}", b"", 0.0, 60.0) for key in keys])
        await ledger.record([Created(key, f"p{number}") for number, key in enumerate(keys)])
        monkeypatch.setattr(MemoryLedger, "record", counted)
        events = [
            Ended(key, f"p{number}", "finished", "succeeded", "x" * size, None, 1.0, None, 9.0)
            for number, (key, size) in enumerate(zip(keys, sizes, strict=True))
        ]
        records = Recorder(ledger, lambda error: None)
        assert await asyncio.gather(*map(records.record, events)) == [True] * len(events)
        found = await ledger.find(keys)
        assert [len(each.output or "") for each in found if each is not None] == sizes

    asyncio.run(tell())
    assert made == calls
