"""Whether what an earlier run left in flight can be seen by the account of this one.

The API shows an account its own predictions only. To another account, a create without an answer looks as if it had
never come to anything, and it would be paid for again. So a run writes down a digest of its token, and a prediction
that the API has shown to it. Where another token left rows open, this one must be shown such a prediction of that
token: then both are of one account, as after a token was replaced by a new one. Who created a prediction is not asked
of the rows, since those name the run that has written to them last.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from functools import partial
from typing import TYPE_CHECKING

from replicate_kit import errors
from replicate_kit.batch._engine.calls import patiently

if TYPE_CHECKING:
    from replicate_kit.batch._engine.setup import Setup

__all__ = ["check_account", "token_digest"]

_MOST = 3  # predictions that are asked for
_OPEN = (
    "SELECT COUNT(*), json_group_array(DISTINCT a.token) FROM run.items AS w JOIN main.items AS i USING (key, sample) "
    "JOIN accounts AS a ON a.run = i.run WHERE i.state IN ('intent', 'created') AND a.token != ?"
)
_SEEN = "SELECT prediction_id FROM accounts WHERE token = ? AND prediction_id IS NOT NULL ORDER BY rowid DESC LIMIT ?"
_NOT_KNOWN = (
    "Nothing was created: another API token has left rows of this run in flight, and it is not known yet whether this "
    "token's account sees them. Run it again when the API answers."
)


def token_digest(token: str) -> str:
    """What tells a token from others, and nothing about it."""
    # `person` makes it a digest of this package alone: another program's digest of the same token is a different one.
    return hashlib.blake2b(token.encode(), digest_size=16, person=b"replicate-kit").hexdigest()


async def check_account(setup: Setup) -> None:
    """Refuse to take up what another account has in flight, and write down which token this run uses.

    Raises `JournalError`, before anything is spent. A service that fails is asked again, as long as rows would.
    """
    token = setup.job.session.config.api_token
    if token is None:
        return
    digest = token_digest(token)
    count, others = await setup.db.do(lambda db: db.execute(_OPEN, (digest,)).fetchone())
    seen = await _seen_of_all(setup, json.loads(others)) if count else []
    if setup.flow.stopped:
        return
    if seen is None and "unknown" not in setup.options.retry:
        raise errors.JournalError(
            f"The journal {str(setup.path)!r} has {count} of these rows in flight that were created with another API "
            "token, and this token's account does not see them, so that they might be paid twice. Nothing was created. "
            "Run it with a token of the account that began it. To run it with this account all the same, pass "
            "retry=('unknown',): what it cannot find is paid again."
        )
    # What it has seen of another token's tells its account as well, if it creates nothing itself.
    run = (setup.journal.run, digest, seen[0] if seen else None)
    await setup.db.do(lambda db: db.execute("INSERT INTO accounts VALUES (?, ?, ?)", run))


async def _seen_of_all(setup: Setup, tokens: list[str]) -> list[str] | None:
    """A prediction of each of these tokens that this account sees; None if it sees none of one of them."""
    seen: list[str] = []
    for token in tokens:
        id = await _first_seen(setup, await setup.db.do(partial(_ids, token)))
        if id is None:
            return None
        seen.append(id)
    return seen


def _ids(token: str, db: sqlite3.Connection) -> list[str]:
    """The latest predictions that were shown to a token."""
    return [row[0] for row in db.execute(_SEEN, (token, _MOST))]


async def _first_seen(setup: Setup, ids: list[str]) -> str | None:
    """The first of some predictions that this account sees; the API forgets none."""
    for id in ids:
        try:
            await patiently(setup.calls.get, id, setup.trouble, setup.flow.stopping)
        # A server may call the predictions of others either.
        except (
            errors.NotFound,
            errors.PermissionDenied,
        ):
            continue
        except errors.ReplicateError as error:
            error.add_note(_NOT_KNOWN)
            raise
        return id
    return None
