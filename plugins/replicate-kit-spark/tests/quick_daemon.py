"""pyspark's own daemon of Python workers, which knows that the service of the tests acts and lists at once."""

from __future__ import annotations

from pyspark.daemon import manager

from replicate_kit.batch._engine import requests

if __name__ == "__main__":
    requests.SETTLING = 2.0
    manager()
