"""Models over DataFrames of Apache Spark: `run(df, model, …)` gives the DataFrame with the columns of the result."""

from __future__ import annotations

from replicate_kit_spark.running import run

__tracebackhide__ = True  # replicate_kit leaves our frames out of the tracebacks of mistakes

__all__ = ["run"]
