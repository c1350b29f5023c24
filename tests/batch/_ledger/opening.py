"""Ledgers that tests open, and rows for them."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from replicate_kit.batch._ledger.entries import Clock, Created, Ended, Intent, Key, Run
from replicate_kit.batch._ledger.sqlite import SqliteLedger

MODEL = "acme/double"
AT = 1_700_000_000.0
ERROR = json.dumps({"kind": "ModelError", "message": "no 'a wombat' here"}, separators=(",", ":"))
INPUT = '{"prompt":"a wombat"}'


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def key(number: int, sample: int = 0) -> Key:
    return Key(number.to_bytes(16, "big"), sample)


def intent(number: int, sample: int = 0, sent_at: float = AT, clock: Clock = "server") -> Intent:
    return Intent(key(number, sample), INPUT, b"print", sent_at, sent_at + 60, clock)


def ended(number: int, id: str | None, state: Any = "finished", **values: Any) -> Ended:
    """What became of a prediction."""
    status = {"finished": "succeeded"}.get(state, state)
    failed = state not in ("finished",)
    event = Ended(
        key(number),
        id,
        state,
        status,
        None if failed else '"out"',
        ERROR if failed else None,
        2.0,
        0.5,
        AT + 5,
    )
    return event._replace(**values)


@asynccontextmanager
async def opened(path: Path, *, begin: bool = True, **options: Any) -> AsyncIterator[SqliteLedger]:
    """A ledger that a run uses."""
    ledger = SqliteLedger(path)
    id = options.pop("id", None) or uuid.uuid4().hex
    await ledger.open(id)
    try:
        if begin:
            await ledger.begin(Run(id, MODEL, **options))
        yield ledger
    finally:
        await ledger.close()


async def finish(ledger: SqliteLedger, *numbers: int, id: str = "p{}") -> None:
    """Bring rows to their outcome."""
    assert not any(await ledger.claim([intent(each) for each in numbers]))
    assert all(await ledger.record([Created(key(each), id.format(each)) for each in numbers]))
    assert all(await ledger.record([ended(each, id.format(each)) for each in numbers]))


Use = Callable[[SqliteLedger], Awaitable[object]]
