"""Whether what an earlier run left in flight can be seen by the account of this one.

The API shows an account its own predictions only. To another account, a create without an answer looks as if it had
never come to anything, and it would be paid for again. So a run writes down a digest of its token. Where another token
left rows open, a prediction of that token's must be seen by this one: then both are of one account, as after a
token was replaced by a new one.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from functools import partial
from typing import TYPE_CHECKING

from replicate_kit import errors

if TYPE_CHECKING:
    from replicate_kit.batch.setup import Setup

__all__ = ["check_account", "token_digest"]

_MOST = 3  # predictions that are asked for
_OPEN = (
    "SELECT COUNT(*), json_group_array(DISTINCT a.token) FROM run.items AS w JOIN main.items AS i USING (key, sample) "
    "JOIN accounts AS a ON a.run = i.run WHERE i.state IN ('intent', 'created') AND a.token != ?"
)
_KNOWN = (
    "SELECT i.prediction_id FROM main.items AS i JOIN accounts AS a ON a.run = i.run "
    "WHERE i.prediction_id IS NOT NULL AND a.token = ? ORDER BY i.rowid DESC LIMIT ?"
)


def token_digest(token: str) -> str:
    """What tells a token from others, and nothing about it."""
    return hashlib.blake2b(token.encode(), digest_size=16, person=b"replicate-kit").hexdigest()


async def check_account(setup: Setup) -> None:
    """Refuse to take up what another account has in flight, and write down which token this run uses.

    Raises `JournalError`, before anything is spent.
    """
    token = setup.job.session.config.api_token
    if token is None:
        return
    digest = token_digest(token)
    count, others = await setup.db.do(lambda db: db.execute(_OPEN, (digest,)).fetchone())
    if count and not await _sees(setup, json.loads(others)) and "unknown" not in setup.options.retry:
        raise errors.JournalError(
            f"The journal {str(setup.path)!r} has {count} of these rows in flight that were created with another API "
            "token, and this token's account does not see them, so that they might be paid twice. Nothing was created. "
            "Run it with a token of the account that began it. To run it with this account all the same, pass "
            "retry=('unknown',): what it cannot find is paid again."
        )
    run = (setup.journal.run, digest)
    await setup.db.do(lambda db: db.execute("INSERT INTO accounts VALUES (?, ?)", run))


async def _sees(setup: Setup, tokens: list[str]) -> bool:
    """Whether this account sees predictions of each of these tokens."""
    for token in tokens:
        ids = await setup.db.do(partial(_ids, token))
        if not await _sees_one(setup, ids):
            return False
    return True


def _ids(token: str, db: sqlite3.Connection) -> list[str]:
    """The latest predictions of a token."""
    return [row[0] for row in db.execute(_KNOWN, (token, _MOST))]


async def _sees_one(setup: Setup, ids: list[str]) -> bool:
    """Whether this account sees one of some predictions; the API forgets none."""
    for id in ids:
        try:
            await setup.calls.get(id)
        except errors.NotFound:
            continue
        return True
    return False
