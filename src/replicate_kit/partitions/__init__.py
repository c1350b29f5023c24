"""A model over the rows of a table in parts, which an engine gives to workers: for whoever brings Dask, Ray or Spark.

An engine calls nothing while it builds a graph, runs a partition again when a worker dies, and runs all of them again
when a result is asked for twice. So a `Job` has a journal that all workers reach, which pays once whoever asks.

```
 driver   Job.of(model, input, options, "run")     checks what can be checked without a call; knows the result's types
    │                pickled: settings and no connections
 worker   job(table, stopped=…)                    the rows of one partition → `Lines`
    │
 driver   job.watching() · job.cancel()            what the journal knows of the job; what is in flight, canceled
```

No engine and no dataframe library is imported here.

>>> from replicate_kit import Client
>>> from replicate_kit.partitions import Job
>>> from replicate_kit.tables import Cells, OneColumn
>>> job = Job.of("demo/poet", None, {"client": Client(backend="mock"), "journal": "memory://poems"}, "run")
>>> lines = job(OneColumn("prompt", Cells.of(["sea", None])))
>>> [type(each).__name__ for each in lines.columns["output"]]
['str', 'NoneType']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicate_kit.partitions._clients import ClientSettings
    from replicate_kit.partitions._following import Follower
    from replicate_kit.partitions._job import Job
    from replicate_kit.partitions._labels import user_label
    from replicate_kit.partitions._options import LocalOptions, PartitionOptions

__all__ = ["ClientSettings", "Follower", "Job", "LocalOptions", "PartitionOptions", "user_label"]

if not TYPE_CHECKING:
    from replicate_kit._lazy import loader

    __getattr__, __dir__ = loader(
        __name__,
        {
            "ClientSettings": "_clients",
            "Follower": "_following",
            "Job": "_job",
            "LocalOptions": "_options",
            "PartitionOptions": "_options",
            "user_label": "_labels",
        },
    )
