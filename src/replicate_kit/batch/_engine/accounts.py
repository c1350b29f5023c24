"""Whether what an earlier run left in flight can be seen by the account of this one.

The API shows an account its own predictions only. To another account, a create without an answer looks as if it had
never come to anything, and it would be paid for again. So a run writes down a digest of its token, and a prediction
that the API has shown to it. Where another token left rows open, this one must be shown such a prediction of that
token: then both are of one account, as after a token was replaced by a new one. Who created a prediction is not asked
of the rows, since those name the run that has written to them last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from replicate_kit import errors

if TYPE_CHECKING:
    import asyncio

    from replicate_kit._http.session import Session
    from replicate_kit.batch._engine.patience import Patience
    from replicate_kit.batch._engine.requests import Requests
    from replicate_kit.batch._engine.state import RunState
    from replicate_kit.batch._ledger.protocol import Ledger
    from replicate_kit.batch._plan.options import Options

__all__ = ["AnotherAccount", "check_account", "is_shown", "token_digest"]

_NOT_KNOWN = (
    "Nothing was created: another API token has left rows of this run in flight, and it is not known yet whether this "
    "token's account sees them. Run it again when the API answers."
)


class AnotherAccount(errors.JournalError):
    """Another token has left rows in flight, and the account of this one does not see them."""


def token_digest(token: str) -> str:
    """What tells a token from others, and nothing about it."""
    # `person` makes it a digest of this package alone: another program's digest of the same token is a different one.
    return hashlib.blake2b(token.encode(), digest_size=16, person=b"replicate-kit").hexdigest()


async def check_account(
    others: Mapping[str, int],
    session: Session,
    ledger: Ledger,
    requests: Requests,
    patience: Patience,
    state: RunState,
    options: Options,
) -> tuple[str | None, str | None]:
    """Refuse to take up what another account has in flight; give what the ledger is to know of this one.

    `others` counts the rows in flight by the digest of the token of the run that has them. Raises `JournalError`,
    before anything is spent. A service that fails is asked again, as long as rows would.
    """
    token = session.config.api_token
    if token is None:
        return None, None
    digest = token_digest(token)
    count = sum(number for account, number in others.items() if account != digest)
    seen: list[str] = []
    for account in others:
        if account != digest and not state.stopped:
            id = await _first_seen(await ledger.shown_to(account), requests, patience, state)
            if id is None and "unknown" not in options.retry:
                raise AnotherAccount(
                    f"The journal {ledger.url!r} has {count} of these rows in flight that were created with another "
                    "API token, and this token's account does not see them, so that they might be paid twice. Nothing "
                    "was created. Run it with a token of the account that began it. To run it with this account all "
                    "the same, pass retry=('unknown',): what it cannot find is paid again."
                )
            seen += [id] if id is not None else []
    # What it has seen of another token's tells its account as well, if it creates nothing itself.
    return digest, seen[0] if seen else None


async def _first_seen(
    ids: Sequence[str], requests: Requests, patience: Patience, state: RunState
) -> str | None:
    """The first of some predictions that this account sees; the API forgets none."""
    for id in ids:
        try:
            if await is_shown(id, requests, patience, state.stopping):
                return id
        except errors.ReplicateError as error:
            error.add_note(_NOT_KNOWN)
            raise
    return None


async def is_shown(
    id: str, requests: Requests, patience: Patience, stopping: asyncio.Event | None = None
) -> bool:
    """Whether this account sees a prediction."""
    try:
        await patience.repeat(partial(requests.get, id), stopping)
    except (errors.NotFound, errors.PermissionDenied):  # a server may call the predictions of others either
        return False
    return True
