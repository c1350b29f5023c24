"""A program over Spark: `drive.py MASTER SERVICE JOURNAL MODEL COUNT PARTITIONS [SETTINGS as JSON]`.

It says "ready" and begins when it gets a line. It prints a line of JSON with the outputs, or ends with what was raised.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from sparks import session

from replicate_kit import Client
from replicate_kit_spark import run


def main(
    master: str, url: str, journal: str, model: str, count: str, partitions: str, settings: str = "{}"
) -> None:
    """Run them."""
    client = Client(backend="http", base_url=url, timeout=1.0, poll_interval=0.05)
    spark = session(master, json.loads(settings))
    rows = spark.range(int(count)).selectExpr("id", "format_string('wombat %04d', id) AS prompt")
    made = run(rows.repartition(int(partitions), "id"), model, client=client, journal=journal, concurrency=16)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(sorted(map(list, made.select("id", "output").collect()))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
