"""A model on Replicate over a Ray Dataset: each distinct row is paid for once, whatever happens to workers.

`run(dataset, "owner/model", {"prompt": col("title")}, journal="postgresql://me@host/db")` gives a Dataset with one
column more.
"""

from replicate_kit_ray.running import RunOptions, run

__tracebackhide__ = True  # replicate_kit leaves our frames out of the tracebacks of mistakes

__all__ = ["RunOptions", "run"]
