"""Metrics of what the client does: exact numbers, for single runs and batches alike."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View

from replicate_kit import Client
from replicate_kit.errors import RateLimited, ReplicateError
from replicate_kit.partitions import Job
from replicate_kit.simulator import Fault, Simulator
from replicate_kit.simulator.defaults import install
from replicate_kit_opentelemetry import OpenTelemetry, plugin
from replicate_kit_opentelemetry.metrics import Metrics

POET, FLAKY, PAINTER = "demo/poet", "demo/flaky", "demo/painter"
WORKS, FAILS = {"prompt": "sea", "failure_rate": 0}, {"prompt": "sea", "failure_rate": 1}
UNITS = {
    "replicate.predictions.created": "{prediction}",
    "replicate.predictions.in_flight": "{prediction}",
    "replicate.predictions.refused": "{request}",
    "replicate.predictions.ended": "{prediction}",
    "replicate.prediction.duration": "s",
    "replicate.predictions.cost": "{price}",
    "replicate.files.saved": "By",
}


def of_a_job(label: str | None) -> str:
    """The label in the journal of a job over partitions, which no other job has."""
    options = {"client": Client(backend="mock"), "journal": "memory://poems", "label": label}
    return Job.of(POET, None, options, "run").label


class Metered:
    """A client of a simulator, and what it counts."""

    def __init__(self, **options: Any) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])
        self.simulator = Simulator()
        install(self.simulator)
        self.client = self.another(**options)

    def another(self, **options: Any) -> Client:
        """Make another client that counts in the same place."""
        options = {"backend": self.simulator, "poll_interval": 0.01} | options
        return Client("r8_secret", plugins=[OpenTelemetry(meter_provider=self.provider)], **options)

    def units(self) -> dict[str, str | None]:
        return {each.name: each.unit for each in self._all()}

    def points(self, name: str) -> dict[tuple[Any, ...], Any]:
        """The numbers of an instrument, by the values of their attributes without the key of these."""
        data = next((each.data for each in self._all() if each.name == f"replicate.{name}"), None)
        return {
            tuple(value for _, value in sorted(point.attributes.items())): getattr(point, "value", None)
            if hasattr(point, "value")
            else point.count
            for point in (data.data_points if data else ())
        }

    def everything(self) -> str:
        data = self.reader.get_metrics_data()
        return data.to_json() if data else ""

    def _all(self) -> list[Any]:
        data = self.reader.get_metrics_data()
        scopes = [scope for each in (data.resource_metrics if data else ()) for scope in each.scope_metrics]
        assert {each.scope.name for each in scopes} <= {"replicate_kit"}
        return [each for scope in scopes for each in scope.metrics]


@pytest.fixture
def metered() -> Metered:
    return Metered()


def run(client: Client) -> None:
    client.run(FLAKY, WORKS)


def run_in_a_loop(client: Client) -> None:
    asyncio.run(client.async_run(FLAKY, WORKS))


def run_without_holding(client: Client) -> None:
    client.run(FLAKY, WORKS, wait=False)


def stream(client: Client) -> None:
    assert list(client.stream(FLAKY, WORKS))


def create(client: Client) -> None:
    client.predictions.create(FLAKY, WORKS).wait()


def create_and_fetch(client: Client) -> None:
    created = client.predictions.create(FLAKY, WORKS)
    fetched = client.predictions.get(created.id)
    for each in (fetched, created, client.predictions.get(created.id)):
        each.wait()
    created.reload()
    assert created.id in {each.id for each in client.predictions.list()}


def map_rows(client: Client) -> None:
    list(client.map(FLAKY, [WORKS, WORKS], progress=False))  # equal rows share one prediction


def resumed(client: Client) -> None:
    for _ in range(2):
        list(client.map(FLAKY, [WORKS], journal="j.sqlite", progress=False))


@pytest.mark.parametrize("label", [None, "nightly", "a/b"])
def test_jobs_over_partitions_of_a_label_share_a_series(metered: Metered, label: str | None) -> None:
    for each in (label, of_a_job(label), of_a_job(label)):
        list(metered.client.map(POET, [{"prompt": "sea"}], label=each, price=1, progress=False))
    key = (POET,) if label is None else (POET, label)
    assert metered.points("predictions.created") == {key: 3}
    assert metered.points("predictions.cost") == {key: 3}


def test_a_view_leaves_labels_out() -> None:
    reader = InMemoryMetricReader()
    view = View(instrument_name="replicate.*", attribute_keys={"replicate.prediction.model"})
    plugin = OpenTelemetry(meter_provider=MeterProvider([reader], views=[view]))
    client = Client(backend="mock", plugins=[plugin])
    list(client.map(POET, [{"prompt": "sea"}], label="2026-11-30", progress=False))
    data = reader.get_metrics_data()
    assert data
    assert POET in data.to_json()
    assert "2026-11-30" not in data.to_json()


WAYS = [run, run_in_a_loop, run_without_holding, stream, create, create_and_fetch, map_rows, resumed]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_counts_its_prediction_once(
    metered: Metered, way: Callable[[Client], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    way(metered.client)
    assert metered.simulator.created == 1
    assert metered.points("predictions.created") == {(FLAKY,): 1}
    assert metered.points("predictions.ended") == {(FLAKY, "succeeded"): 1}
    assert metered.points("prediction.duration") == {(FLAKY, "succeeded"): 1}
    assert metered.points("predictions.in_flight") == {}


def test_a_batch_counts_outcomes_refusals_costs_and_bytes(metered: Metered, tmp_path: Path) -> None:
    metered.simulator.faults.add(
        Fault(operation="*predictions.create", calls={2, 4}, status=429, retry_after=0)
    )
    options: Any = {"label": "nightly", "price": 0.25, "progress": False}
    rows = [{**WORKS, "prompt": f"wave {number}"} for number in range(6)] + [FAILS, {**FAILS, "prompt": "b"}]
    results = list(metered.client.map(FLAKY, rows, **options))
    assert sum(each.error is not None for each in results) == 2
    small = {"width": 16, "height": 16}
    pictures = [{"prompt": name, **small} for name in ("a hill", "a fen", "a moor")]
    list(metered.client.map(PAINTER, pictures, save_to=str(tmp_path), **options))
    metered.client.run(PAINTER, {"prompt": "alone", **small}, save_to=str(tmp_path / "single"))
    assert metered.points("predictions.created") == {
        (FLAKY, "nightly"): 12,  # what the service interrupts is repeated twice, and paid
        (PAINTER, "nightly"): 3,
        (PAINTER,): 1,
    }
    assert metered.points("predictions.ended") == {
        (FLAKY, "succeeded", "nightly"): 6,
        (FLAKY, "failed", "nightly"): 6,
        (PAINTER, "succeeded", "nightly"): 3,
        (PAINTER, "succeeded"): 1,
    }
    assert metered.points("prediction.duration") == metered.points("predictions.ended")
    assert metered.points("predictions.refused") == {(429, FLAKY): 2}
    assert metered.points("predictions.cost") == {(FLAKY, "nightly"): 3.0, (PAINTER, "nightly"): 0.75}
    sizes = [
        sum(file.stat().st_size for file in folder.glob("*.*")) for folder in (tmp_path, tmp_path / "single")
    ]
    assert metered.points("files.saved") == {(PAINTER, "nightly"): sizes[0], (PAINTER,): sizes[1]}
    assert metered.points("predictions.in_flight") == {}


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ({"status": 402}, {(402, FLAKY): 1}),
        ({"status": 422}, {(422, FLAKY): 1}),
        ({"status": 429, "retry_after": 0, "times": 2}, {(429, FLAKY): 2}),
        ({"status": 503, "retry_after": 0, "times": 1}, {(503, FLAKY): 1}),
        ({"status": 500}, {}),  # nobody knows whether that was one
        ({"status": 409}, {}),
    ],
)
def test_refusals_are_counted_by_status(metered: Metered, answer: dict[str, Any], refused: Any) -> None:
    metered.simulator.faults.add(Fault(operation="*predictions.create", **answer))
    try:
        metered.client.run(FLAKY, WORKS)
    except ReplicateError:
        assert metered.points("predictions.created") == {}
    else:
        assert metered.points("predictions.created") == {(FLAKY,): 1}
    assert metered.points("predictions.refused") == refused


def test_other_requests_are_not_refused_creates(metered: Metered) -> None:
    metered.simulator.faults.add(Fault(operation="predictions.get", status=429))
    with pytest.raises(RateLimited):
        metered.another(retries=0).predictions.get("nowhere")
    assert metered.points("predictions.refused") == {}


def test_in_flight_is_what_somebody_holds_and_has_not_seen_end(metered: Metered) -> None:
    slow: Any = {"prompt": "sea", "seconds": 60}
    others = metered.another()
    first, second = (
        metered.client.predictions.create("demo/slow", slow),
        others.predictions.create(POET, {"prompt": "a"}),
    )
    kept = metered.client.predictions.create("demo/slow", slow)
    assert metered.points("predictions.in_flight") == {("demo/slow",): 2, (POET,): 1}
    second.wait()
    kept.cancel()
    assert metered.points("predictions.in_flight") == {("demo/slow",): 1}
    assert metered.points("predictions.ended") == {("demo/slow", "canceled"): 1, (POET, "succeeded"): 1}
    del first
    gc.collect()
    assert metered.points("predictions.in_flight") == {}


def test_a_create_whose_answer_was_lost_is_counted_when_it_is_found(metered: Metered) -> None:
    metered.simulator.faults.add(Fault(operation="*predictions.create", calls={1}, cut=True, acted=True))
    list(metered.client.map(FLAKY, [WORKS], progress=False))
    assert metered.simulator.created == 1
    assert metered.points("predictions.created") == {(FLAKY,): 1}
    assert metered.points("predictions.ended") == {(FLAKY, "succeeded"): 1}


def test_names_and_units_are_those_that_the_readme_lists(metered: Metered, tmp_path: Path) -> None:
    metered.simulator.faults.add(Fault(operation="*predictions.create", calls={1}, status=429, retry_after=0))
    row = {"prompt": "a hill", "width": 16, "height": 16}
    list(metered.client.map(PAINTER, [row], price=1, save_to=str(tmp_path), progress=False))
    kept = metered.client.predictions.create("demo/slow", {"prompt": "sea", "seconds": 60})
    assert metered.units() == UNITS
    readme = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    assert not kept.ended
    for name, unit in UNITS.items():
        assert f"| `{name}` | " in readme
        assert f"| `{unit}` |" in next(line for line in readme.splitlines() if f"| `{name}` | " in line)


def test_neither_token_nor_inputs_nor_outputs_nor_versions_are_in_metrics(
    metered: Metered, tmp_path: Path
) -> None:
    version = metered.client.models.get(PAINTER).latest_version
    assert version is not None
    row = {"prompt": "a quiet wombat", "width": 16, "height": 16}
    list(metered.client.map(f"{PAINTER}:{version.id}", [row], price=1, save_to=str(tmp_path), progress=False))
    told = metered.everything()
    assert PAINTER in told
    for secret in ("r8_secret", "wombat", "http", version.id, str(tmp_path)):
        assert secret not in told


def test_nothing_is_kept_where_nobody_has_set_up_metrics() -> None:
    counting = OpenTelemetry()
    client = Client(backend="mock", plugins=[counting])
    client.run(FLAKY, WORKS)
    assert counting._metrics._instruments is None


def test_a_provider_that_is_set_up_later_counts_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_KIT_DISABLE_PLUGINS", "opentelemetry")  # which would count as well
    metered = Metered()
    client = Client(backend=metered.simulator, plugins=[OpenTelemetry()])
    client.run(FLAKY, WORKS)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: metered.provider)
    client.run(FLAKY, WORKS)
    assert metered.points("predictions.created") == {(FLAKY,): 1}


def test_the_installed_plugin_counts_by_the_global_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    metered = Metered()
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: metered.provider)
    monkeypatch.setattr(plugin._plugin(), "_metrics", Metrics(None))
    client = Client(backend=metered.simulator)  # with what is installed
    list(client.map(FLAKY, [WORKS, FAILS], label="nightly", retries=0, progress=False))
    assert metered.points("predictions.created") == {(FLAKY, "nightly"): 2}
