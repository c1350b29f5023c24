"""Journals go from files to PostgreSQL and back, and commands take their URLs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from replicate_kit import Client
from replicate_kit.batch import journals
from replicate_kit.batch._ledger.sqlite import SqliteStore
from replicate_kit.batch.ledgers import Ledger
from replicate_kit.cli import cli
from replicate_kit.errors import JournalError
from replicate_kit.simulator import Simulator, install
from replicate_kit.simulator.defaults import replaced
from replicate_kit.testing.suites._ledgers import Runs
from replicate_kit_postgres.ledger import PostgresLedger
from replicate_kit_postgres.store import store
from replicate_kit_postgres.testing import Bouncer, Postgres

from .test_conformance import kill as kill_postgres


async def kill(ledger: Ledger) -> None:
    """Let a run die."""
    await (kill_postgres(ledger) if isinstance(ledger, PostgresLedger) else ledger.close())


def runs(journal: str) -> Runs:
    return Runs(store if "://" in journal else SqliteStore(), journal, kill)


@pytest.fixture
def urls(server: Postgres) -> list[str]:
    return [f"{server.url()}?prefix={server.new()}" for _ in range(2)]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with install(Simulator()) as simulator, replaced(simulator):
        yield simulator


@pytest.mark.parametrize("begins", ["file", "postgres"])
def test_all_copies_say_the_same(urls: list[str], tmp_path: Path, begins: str) -> None:
    files = [str(tmp_path / "a"), str(tmp_path / "b")]
    chain = [files[0], *urls, files[1]] if begins == "file" else [urls[0], *files, urls[1]]
    asyncio.run(runs(chain[0]).fill())
    before = asyncio.run(runs(chain[0]).look())
    for source, target in pairwise(chain):
        assert journals.copy(source, target) == len(before[1])
    for each in chain:
        assert asyncio.run(runs(each).look()) == before
        assert list(journals.entries(each)) == list(journals.entries(chain[0]))
        assert journals.costs(each) == journals.costs(chain[0])


def test_it_is_copied_through_pgbouncer(server: Postgres, bouncer: Bouncer, tmp_path: Path) -> None:
    url = f"{server.url(port=bouncer)}?prefix={server.new()}"
    asyncio.run(runs(str(tmp_path / "a")).fill())
    assert journals.copy(tmp_path / "a", url) == journals.copy(url, tmp_path / "b")
    assert list(journals.entries(tmp_path / "a")) == list(journals.entries(tmp_path / "b"))


def test_a_run_with_a_copy_pays_for_nothing(simulator: Simulator, urls: list[str], tmp_path: Path) -> None:
    client, rows = Client(backend=simulator), [{"prompt": f"{n} wombats"} for n in range(1200)]
    before = list(client.map("demo/poet", rows, journal=tmp_path / "a", progress=False))
    journals.copy(tmp_path / "a", urls[0])
    journals.copy(urls[0], tmp_path / "b")
    for journal in (urls[0], tmp_path / "b"):
        again = list(client.map("demo/poet", rows, journal=journal, progress=False))
        assert [each.output for each in again] == [each.output for each in before]
    assert simulator.created == 1200


def test_a_copy_is_refused_where_it_is_to_be(urls: list[str], tmp_path: Path) -> None:
    old, new = urls
    asyncio.run(runs(old).fill())
    for target in (old, old.replace("postgresql:", "postgres:")):
        with pytest.raises(JournalError, match=r"not empty.*Pass another prefix="):
            journals.copy(old, target)

    async def story() -> None:
        run = runs(old)
        async with run.whole():
            await run.plan()
            for source, target in ((old, new), (new, old)):
                with pytest.raises(JournalError):
                    journals.copy(source, target)

    asyncio.run(story())
    with pytest.raises(JournalError, match="There is no journal"):
        journals.describe(new)
    journals.copy(old, new)


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> Any:
    monkeypatch.setenv("REPLICATE_KIT_BACKEND", "mock")

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(cli, [str(each) for each in arguments], input="", catch_exceptions=False)

    return invoke


def test_commands_take_a_url_and_never_show_its_password(
    invoke: Any, urls: list[str], tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("prompt,failure_rate\na,0\nb,1\n")
    secret = urls[0].replace("//u@", "//u:hunter2@")
    said: list[str] = []

    def done(*arguments: object, code: int = 0) -> str:
        result = invoke(*arguments)
        assert result.exit_code == code, result.output
        said.append(result.output)
        return str(result.stdout)

    mapped = ("map", "demo/flaky", tmp_path / "rows.csv", "--journal", secret, "--retries", 0)
    assert "2 created" in done(*mapped, code=3)
    assert "created" not in done(*mapped, code=3)
    (described,) = json.loads(done("journal", "list", secret, "--json"))
    assert (described["path"], described["states"]) == (urls[0], {"failed": 1, "finished": 1})
    done("journal", "list", secret)
    done("journal", "export", secret, tmp_path / "all.csv")
    assert json.loads(done("journal", "costs", secret, "--json"))["total"]["predictions"] == 2
    before = list(journals.entries(secret))
    done("journal", "reconcile", secret, "--price", 0.5, "--dry-run")
    assert list(journals.entries(secret)) == before
    done("journal", "reconcile", secret, "--price", 0.5)
    assert [each["cost"] for each in journals.entries(secret)] == [0.5, 0.5]
    done("journal", "copy", secret, urls[1])
    done("journal", "copy", urls[1], secret, code=1)
    done("journal", "remove", secret, code=1)
    done("journal", "retry", secret)
    done("journal", "settle", secret)
    done("journal", "hash-inputs", secret, "--yes")
    done("journal", "prune", secret, "--yes")
    done("journal", "remove", secret, "--yes")
    done("journal", "list", secret, code=1)
    assert "hunter2" not in "".join(said)
