"""Jobs of Spark's that are canceled: what they have in flight is canceled at the service."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from replicate_kit import Client
from replicate_kit.batch import journals
from replicate_kit.serving import Server
from replicate_kit.simulator import Simulator
from replicate_kit_spark import run

from .sparks import IGNORED, begun, until  # it skips where there is no Spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.timeout(900), IGNORED]

_ROWS = 12


def statuses(simulator: Simulator) -> set[str]:
    """The statuses of all predictions."""
    return {each["status"] for each in simulator.recent(100)}


@pytest.mark.parametrize("on_interrupt", ["cancel", "detach"])
def test_a_canceled_job_group(
    spark: SparkSession,
    client: Client,
    simulator: Simulator,
    journal: str,
    on_interrupt: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = spark.range(_ROWS).selectExpr("format_string('wombat %d', id) AS prompt").repartition(2)
    made = run(rows, "acme/endless", client=client, journal=journal, on_interrupt=on_interrupt)
    raised: list[Exception] = []

    def act() -> None:
        spark.sparkContext.setJobGroup("endless", "endless")
        try:
            made.collect()
        except Exception as error:
            raised.append(error)

    acting = threading.Thread(target=act)
    acting.start()
    until(lambda: in_flight(journal, simulator) == _ROWS)
    spark.sparkContext.cancelJobGroup("endless")
    acting.join()
    assert "SPARK_JOB_CANCELLED" in str(raised[0])
    if on_interrupt == "cancel":
        until(lambda: statuses(simulator) == {"canceled"})
    else:
        until(lambda: not [each for each in threading.enumerate() if each.name == "replicate-kit-cancel"])
        assert statuses(simulator) == {"processing"}
    assert simulator.created == _ROWS


def in_flight(journal: str, simulator: Simulator) -> int:
    """How many rows the journal has in flight, once the service has them."""
    return len(list(journals.entries(journal, "created"))) if simulator.created == _ROWS else 0


def test_a_program_that_ctrl_c_ends(
    server: Server, simulator: Simulator, journal: str, interruptible: None
) -> None:
    with begun("local[2,4]", server.url, journal, "acme/endless", _ROWS, partitions=2) as running:
        until(lambda: in_flight(journal, simulator) == _ROWS)
        running.send_signal(signal.SIGINT)
        running.wait(120)
        assert running.returncode != 0
    assert statuses(simulator) == {"canceled"}
    assert simulator.created == _ROWS
