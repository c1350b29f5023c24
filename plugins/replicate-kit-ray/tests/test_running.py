"""A Dataset with our step: built without a call, executed by real workers, which may die or be stopped."""

from __future__ import annotations

from threading import Lock
from typing import Any

import pytest
import ray
import ray.data

from replicate_kit import col
from replicate_kit.batch import journals
from replicate_kit.errors import ConfigError, InputError
from replicate_kit_ray import run
from tests.waiting import interrupt_when, until

from .kills import kill
from .services import Service

pytestmark = [
    pytest.mark.timeout(900),  # a worker takes a second to start, and a minute on a machine that is busy
    pytest.mark.filterwarnings("ignore"),  # Ray's own, and those of what it imports
]


def titles(count: int) -> ray.data.Dataset:
    return ray.data.from_items([{"title": f"wombat {n:03}"} for n in range(count)])


def test_building_calls_nothing(service: Service, journal: str) -> None:
    source = titles(3)
    options: Any = {"journal": journal, "client": service.client}
    made = run(source, "acme/quiet", {"prompt": col("title")}, **options)
    again = run(made.rename_columns({"output": "first"}), "acme/quiet", {"prompt": col("first")}, **options)
    assert repr(made)
    assert repr(again)
    assert service.calls() == {}
    assert not source.context.custom_execution_callback_classes


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"journal": None}, "journal= is missing"),
        ({"journal": "poems.sqlite"}, "a file of one machine"),
        ({"into": "prompt"}, "col('the column')"),
        ({"workers": 0}, "workers"),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": 7}, "input={'seed': 7}"),
    ],
)
def test_what_cannot_be_meant_is_refused_on_the_driver(
    cluster: None, options: dict[str, Any], said: str
) -> None:
    options = {"journal": "postgresql://u@127.0.0.1:1/nowhere", **options}
    with pytest.raises(ConfigError) as raised:
        run(titles(1), "acme/quiet", {"prompt": col("title")}, **options)
    assert said in str(raised.value)


def test_an_input_that_cannot_be_sent_to_workers_is_refused_on_the_driver(cluster: None) -> None:
    with pytest.raises(InputError, match="cannot be sent to workers"):
        run(titles(1), "acme/quiet", {"prompt": col("title"), "seed": Lock()}, journal="postgresql://u@h/db")


def test_what_is_no_dataset_is_refused() -> None:
    table: Any = [{"title": "sea"}]
    with pytest.raises(ConfigError, match="from_pandas"):
        run(table, "acme/quiet", journal="postgresql://u@h/db")


def test_a_worker_is_killed_and_no_row_is_paid_twice_or_lost(cluster: None) -> None:
    assert kill(moments=1, rows=200) == (1, 0)


@pytest.fixture
def long(service: Service, journal: str) -> ray.data.Dataset:
    input = {"prompt": col("title"), "seconds": 600.0}
    options: Any = {
        "journal": journal,
        "client": service.client,
        "batch_size": 4,
        "workers": 1,
        "concurrency": 2,
    }
    return run(titles(8), "acme/quiet", input, **options)


def under_way(service: Service, journal: str) -> bool:
    """Whether two rows of a batch are in flight, as the journal has it; a worker that goes on creates others."""
    return service.created == 2 and journals.describe(journal).states == {"created": 2}


def test_ctrl_c_cancels_what_is_in_flight(
    service: Service, journal: str, long: ray.data.Dataset, interruptible: None
) -> None:
    thread = interrupt_when(lambda: under_way(service, journal))
    with pytest.raises(KeyboardInterrupt):
        long.take_all()
    thread.join()
    assert service.statuses() == ["canceled"] * 2


def test_a_job_that_ray_cancels_cancels_what_is_in_flight(
    service: Service, journal: str, long: ray.data.Dataset
) -> None:
    @ray.remote(num_cpus=0)
    def count() -> int:
        return len(long.take_all())

    task = count.remote()
    until(lambda: under_way(service, journal))
    # Ray interrupts whatever its worker does just then, and an interrupt that comes to some code of its own is lost.
    until(lambda: ray.cancel(task) or ray.wait([task], timeout=5)[0])
    with pytest.raises(ray.exceptions.RayError):
        ray.get(task)
    until(lambda: service.statuses() == ["canceled"] * 2)


def test_a_limit_takes_its_rows_before_they_are_paid(service: Service, journal: str) -> None:
    made = run(
        titles(20),
        "acme/quiet",
        {"prompt": col("title")},
        journal=journal,
        client=service.client,
        batch_size=3,
    )
    assert len(made.take(3)) == 3
    service.check_paid(3)


def test_an_error_of_a_row_fails_the_job_and_tells_what_to_do(service: Service, journal: str) -> None:
    made = run(titles(5), "acme/picky", {"prompt": col("title")}, journal=journal, client=service.client)
    with pytest.raises(ray.exceptions.RayTaskError, match="I do not like that"):
        made.take_all()
    service.check_paid(5)
