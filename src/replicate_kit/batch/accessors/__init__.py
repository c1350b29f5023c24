"""What accessors of tables have in common, whichever library the tables are of: options, jobs, failures, retries.

An `Adapter` says how a library does what is done to its tables; an `Order` over one is a call of an accessor, and its
job runs the rows by `client.map`.

>>> from replicate_kit.batch.accessors import AccessorOptions, check_options
>>> check_options({"journal": "poems.sqlite", "concurrency": 8}, AccessorOptions.__optional_keys__, "run")
"""

from __future__ import annotations

from replicate_kit.batch.accessors._adapter import Adapter
from replicate_kit.batch.accessors._described import described, named
from replicate_kit.batch.accessors._earlier import SAME_ROWS, other_count
from replicate_kit.batch.accessors._failures import RowsFailed
from replicate_kit.batch.accessors._job import Order
from replicate_kit.batch.accessors._options import AccessorOptions, check_options, checked

__all__ = [
    "SAME_ROWS",
    "AccessorOptions",
    "Adapter",
    "Order",
    "RowsFailed",
    "check_options",
    "checked",
    "described",
    "named",
    "other_count",
]
