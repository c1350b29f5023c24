"""How many requests it takes to see predictions end, on accounts that others use, too."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from replicate_kit import Client
from replicate_kit.batch._engine.patience import Patience
from replicate_kit.batch._engine.poller import Poller
from replicate_kit.batch._engine.requests import Requests
from replicate_kit.resources.predictions import Prediction

JSON = dict[str, Any]


class Account:
    """Lists and gives predictions that have ended, newest first, and counts what it is asked.

    A list may leave out what they came to.
    """

    def __init__(self, ids: list[str], *, lists_outputs: bool = True) -> None:
        self.ids, self.lists_outputs = ids, lists_outputs
        self.pages = self.gets = 0

    def _shown(self, id: str, output: str | None) -> JSON:
        return {"id": id, "status": "succeeded", "output": output}

    async def page(self, link: str | None = None) -> tuple[list[JSON], str | None]:
        self.pages += 1
        start = int(link or 0)
        rest = str(start + 100) if start + 100 < len(self.ids) else None
        shown = self.ids[start : start + 100]
        return [self._shown(id, id if self.lists_outputs else None) for id in shown], rest

    async def get(self, id: str) -> JSON:
        self.gets += 1
        return self._shown(id, id)


async def _see_all_end(account: Account, ids: list[str]) -> list[JSON]:
    poller = Poller(cast("Requests", account), 0.01, Patience(60.0))
    session = Client(backend="mock").session
    new = [Prediction({"id": id, "status": "starting"}, session) for id in ids]
    waiting = [asyncio.ensure_future(poller.ended(each)) for each in new]
    await asyncio.sleep(0)  # now all wait
    await asyncio.sleep(0.02)  # and now all are due: one round sees them
    watching = asyncio.ensure_future(poller.run())
    try:
        return await asyncio.gather(*waiting)
    finally:
        watching.cancel()


@pytest.mark.parametrize(
    ("ours", "newer", "pages", "gets"),
    [
        (200, 0, 2, 0),
        (200, 100, 3, 0),  # of other runs, or of ours whose answers are on their way
        (200, 300, 5, 0),
        (30, 250, 3, 0),
        (200, 5000, 20, 200),  # pages that show none of it come to an end
        (10, 300, 2, 10),
        (2, 0, 0, 2),
    ],
)
def test_predictions_of_others_do_not_make_a_get_for_each_of_ours(
    ours: int, newer: int, pages: int, gets: int
) -> None:
    ids = [f"ours{number}" for number in range(ours)]
    account = Account([f"other{number}" for number in range(newer)] + ids)
    ended = asyncio.run(_see_all_end(account, ids))
    assert [each["output"] for each in ended] == ids
    assert (account.pages, account.gets) == (pages, gets)


@pytest.mark.parametrize("older", [0, 1000])
def test_what_a_list_leaves_out_is_looked_for_on_no_other_page(older: int) -> None:
    ids = [f"ours{number}" for number in range(200)]
    account = Account(ids + [f"other{number}" for number in range(older)], lists_outputs=False)
    ended = asyncio.run(_see_all_end(account, ids))
    assert [each["output"] for each in ended] == ids
    assert (account.pages, account.gets) == (2, 200)
