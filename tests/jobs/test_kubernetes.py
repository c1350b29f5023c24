"""The manifest, as a kubelet runs it: its command in an empty folder, SIGTERM, 30 seconds, SIGKILL, and a new pod."""

from __future__ import annotations

import contextlib
import itertools
import os
import runpy
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pages.reading import ROOT
from tests.waiting import until

from .recipes import (
    CREATED,
    GRACE,
    ROWS,
    Recipe,
    Service,
    assert_paid_once,
    blocks,
    file_of,
    is_killed_and_runs_again,
    kill,
)

yaml = pytest.importorskip("yaml", reason="reads the manifest: tox -e jobs")
pytest.importorskip("moto.server", reason="keeps the pictures: tox -e jobs")
postgres = pytest.importorskip(
    "replicate_kit_postgres.testing", reason="keeps the journal: pip install replicate-kit-postgres"
).postgres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without telling it"),
]

STORES = ROOT / "plugins" / "replicate-kit-fsspec" / "tests" / "stores" / "servers.py"


def manifest() -> tuple[dict[str, Any], dict[str, Any]]:
    """The secret and the Job."""
    secret, job = yaml.safe_load_all(blocks("yaml")[0].code)
    assert (secret["kind"], job["kind"]) == ("Secret", "Job")
    return secret, job


def pod() -> dict[str, Any]:
    """What each pod of the Job is."""
    return dict(manifest()[1]["spec"]["template"]["spec"])


@pytest.fixture
def recipe(service: Service, tmp_path: Path) -> Iterator[Recipe]:
    """A pod of the Job: its image has `job.py`, and its disk is its own."""
    secret, _ = manifest()
    [container] = pod()["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]
    number = itertools.count()

    def disk() -> Path:
        folder = tmp_path / f"pod-{next(number)}"
        folder.mkdir()
        (folder / "job.py").write_text(file_of("job.py"), "utf-8")
        return folder

    with (
        postgres() as database,
        runpy.run_path(str(STORES))["moto"](tmp_path) as store,
    ):
        store.fs.mkdir("wombats")
        environment = {**secret["stringData"], **{each["name"]: each["value"] for each in container["env"]}}
        # What a cluster has elsewhere is here: the database, S3 and the API. A dead run's lease is shorter.
        name = environment["JOURNAL"].partition("?")[2]
        environment |= {
            "JOURNAL": f"{database.url()}?{name}&lease=45",
            "AWS_ENDPOINT_URL": store.options["endpoint_url"],
            "AWS_ACCESS_KEY_ID": store.options["key"],
            "AWS_SECRET_ACCESS_KEY": store.options["secret"],
            "AWS_DEFAULT_REGION": "eu-west-1",
            **{
                key: service.environment[key]
                for key in ("PATH", "REPLICATE_BASE_URL", "REPLICATE_POLL_INTERVAL")
            },
        }
        yield Recipe(
            container["command"],
            disk,
            environment,
            lambda: sum(each.startswith("pictures/") and each.endswith(".png") for each in store.names()),
        )


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["drained", "killed"],
)
def test_a_pod_ends_and_the_next_one_does_the_rest(
    recipe: Recipe, service: Service, number: signal.Signals, status: int
) -> None:
    assert pod()["terminationGracePeriodSeconds"] == GRACE
    assert is_killed_and_runs_again(recipe, service, number) == status
    assert ("leaving 8 predictions" in recipe.said()) is (number == signal.SIGTERM)


def test_pods_that_work_together_pay_once_and_take_over_from_one_that_is_killed(
    recipe: Recipe, service: Service
) -> None:
    several = yaml.safe_load(blocks("yaml")[1].code)["spec"]
    assert several["completions"] == several["parallelism"]
    with contextlib.ExitStack() as stack:
        first = recipe.start()
        stack.callback(kill, first)
        until(lambda: service.created == CREATED)
        others = [recipe.start() for _ in range(several["parallelism"] - 1)]
        for each in others:
            stack.callback(kill, each)
        until(lambda: service.created == ROWS)
        first.kill()
        first.wait()
        service.go()
        assert [each.wait() for each in others] == [0] * len(others), recipe.said()
    assert_paid_once(recipe, service)


def test_an_end_by_the_kubelet_counts_as_no_failure_and_failed_rows_are_not_tried_again() -> None:
    spec = manifest()[1]["spec"]
    fail, ignore = spec["podFailurePolicy"]["rules"]
    assert fail == {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}}
    assert ignore == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert pod()["restartPolicy"] == "Never"


def test_the_manifest_is_what_kubernetes_takes() -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason="knows the schemas of Kubernetes: tox -e jobs"
    )
    for each in manifest():
        validate.validate(each, "1.31", strict=True)
