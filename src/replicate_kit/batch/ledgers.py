"""What a ledger of your own is made of: its door, what goes through it, and the hashes that stand for inputs.

A `Ledger` remembers for one run what was intended, created, finished and saved. A `LedgerStore` makes them for URLs;
a distribution announces it by an entry point named for the scheme:

```toml
[project.entry-points."replicate_kit.ledgers"]
redis = "my_package:store"
```

`replicate_kit.testing.memory_ledger` is the shortest example, and `replicate_kit.testing.suites.LedgerSuite` tests what
every ledger has to do. Where a run keeps no inputs (`Run.keeps_inputs`), a ledger holds `input_hash` of each; errors
come without what they quote of inputs. Whoever hashes inputs later takes that out by `redacted`.
"""

from __future__ import annotations

from replicate_kit._runtime.elapsed import elapsed
from replicate_kit.batch._ledger.contents import Content, EarlierTry, KeptRow, PastRun, Pin, Used
from replicate_kit.batch._ledger.entries import (
    Canceling,
    Clock,
    Confirmed,
    Created,
    Disowned,
    Ended,
    Entry,
    Event,
    Expired,
    Holder,
    Intent,
    Key,
    Name,
    Owner,
    Refused,
    Run,
    Saved,
    State,
    Unsaved,
    Withdrawn,
)
from replicate_kit.batch._ledger.hashing import input_hash, is_hash, redacted
from replicate_kit.batch._ledger.protocol import (
    Administrator,
    Ledger,
    LedgerStore,
    Payment,
    Record,
    Shared,
    SharedLedger,
    Spending,
    Summary,
)
from replicate_kit.batch._money.pricing import Price, Spent

__all__ = [
    "Administrator",
    "Canceling",
    "Clock",
    "Confirmed",
    "Content",
    "Created",
    "Disowned",
    "EarlierTry",
    "Ended",
    "Entry",
    "Event",
    "Expired",
    "Holder",
    "Intent",
    "KeptRow",
    "Key",
    "Ledger",
    "LedgerStore",
    "Name",
    "Owner",
    "PastRun",
    "Payment",
    "Pin",
    "Price",
    "Record",
    "Refused",
    "Run",
    "Saved",
    "Shared",
    "SharedLedger",
    "Spending",
    "Spent",
    "State",
    "Summary",
    "Unsaved",
    "Used",
    "Withdrawn",
    "elapsed",
    "input_hash",
    "is_hash",
    "redacted",
]
