"""The tables are made by whoever comes first, and what does not keep a promise is refused."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import errors

from replicate_kit.batch import journals
from replicate_kit.errors import ConfigError, JournalError
from replicate_kit_postgres.addresses import LEASE, address_of
from replicate_kit_postgres.connecting import Database
from replicate_kit_postgres.store import store
from replicate_kit_postgres.tables import VERSION
from replicate_kit_postgres.testing import Bouncer, Postgres

from .ledgers import KEYS, intent, opened


async def claimed(url: str, n: int = 0) -> Any:
    """Begin a run, and claim a row."""
    async with opened(url) as ledger:
        (found,) = await ledger.claim([intent(n)])
        return found


@pytest.mark.parametrize("is_pooled", [False, True], ids=["direct", "pgbouncer"])
def test_many_workers_begin_at_once(
    server: Postgres, request: pytest.FixtureRequest, is_pooled: bool
) -> None:
    port: Bouncer | None = request.getfixturevalue("bouncer") if is_pooled else None
    name = server.new()

    async def tell() -> None:
        urls = [f"{server.url(port=port)}?schema={name}&prefix=t{n % 2}" for n in range(16)]
        await asyncio.gather(*(claimed(url, n // 2) for n, url in enumerate(urls)))

    asyncio.run(tell())
    for prefix in ("t0", "t1"):
        assert server.execute(f"SELECT version FROM {name}.{prefix}_meta") == [(VERSION,)]
        assert server.execute(f"SELECT count(*) FROM {name}.{prefix}_items") == [(8,)]


def test_journals_with_other_names_are_others(server: Postgres) -> None:
    first, second = server.new(), server.new()
    for query in (f"prefix={first}", f"prefix={second}", f"schema={first}", f"schema={first}&prefix={first}"):
        assert asyncio.run(claimed(f"{server.url()}?{query}")) is None
    with closing(store.administrator(f"{server.url()}?prefix={first}")) as administrator:
        assert administrator.summary().states == {"intent": 1}


@pytest.mark.parametrize(
    ("version", "said"),
    [(VERSION + 1, "pip install -U replicate-kit-postgres"), (VERSION - 1, "pass another prefix=")],
)
def test_tables_of_another_version_are_refused(server: Postgres, version: int, said: str) -> None:
    name = server.new()
    url = f"{server.url()}?prefix={name}"
    asyncio.run(claimed(url))
    server.execute(f"UPDATE {name}_meta SET version = {version}")
    with pytest.raises(JournalError, match=said):
        asyncio.run(claimed(url, 1))
    with pytest.raises(JournalError, match=said):
        store.administrator(url)
    assert server.execute(f"SELECT count(*) FROM {name}_items") == [(1,)]


@pytest.mark.parametrize(
    "setting",
    [
        "default_transaction_isolation = 'serializable'",
        "default_transaction_isolation = 'repeatable read'",
        "synchronous_commit = off",
        "client_encoding = 'LATIN1'",
        "search_path = nowhere, public",
        "standard_conforming_strings = off",
        "bytea_output = 'escape'",
        "timezone = 'Asia/Tokyo'",
        "statement_timeout = '20s'",
        "lock_timeout = '20s'",
    ],
)
def test_settings_of_a_database_change_nothing(server: Postgres, setting: str) -> None:
    name = server.new()
    server.execute(f"CREATE DATABASE {name}")
    server.execute(f"ALTER DATABASE {name} SET {setting}")

    async def tell() -> None:
        async with opened(server.url(name)) as first, opened(server.url(name)) as second:
            answers = await asyncio.gather(
                *(each.claim([intent(n) for n in range(8)]) for each in (first, second))
            )
            assert sorted(each.count(None) for each in map(list, answers)) == [0, 8]
            assert first._writer is not None
            shown = b"SELECT current_setting('synchronous_commit')"
            assert await first._do(lambda db: db.execute(shown).fetchone(), first._writer.fence) == ("on",)
            limits = b"SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
            assert await first._do(lambda db: db.execute(limits).fetchone(), first._writer.fence) == (
                "0",
                "0",
            )
            assert [each and each.key for each in await first.find(KEYS)] == KEYS

    asyncio.run(tell())


@pytest.mark.parametrize("character", ["'", "%", "{", ";"])
def test_a_schema_with_a_name_that_statements_cannot_have_is_refused(
    server: Postgres, character: str
) -> None:
    name = server.new()
    server.execute(f"CREATE DATABASE {name}")
    server.execute(f'ALTER DATABASE {name} SET search_path = "zoo{character}s"')
    with psycopg.connect(server.url(name), autocommit=True) as db:
        db.execute(f'CREATE SCHEMA "zoo{character}s"'.encode())
    with pytest.raises(JournalError, match=r"cannot be in the schema.*\?schema="):
        asyncio.run(claimed(server.url(name)))


@pytest.mark.parametrize("error", [errors.QueryCanceled, errors.LockNotAvailable, errors.DeadlockDetected])
def test_what_others_were_in_the_way_of_is_done_again(server: Postgres, error: type[Exception]) -> None:
    failures = [error("canceling statement due to a timeout")]
    database = Database(address_of(server.url()))

    def steps(db: object) -> int:
        if failures:
            raise failures.pop()
        return 7

    with closing(database):
        assert database.transact(steps) == 7


def test_a_database_that_loses_characters_is_refused(server: Postgres) -> None:
    name = server.new()
    server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(JournalError, match=r"LATIN1.*ENCODING 'UTF8'"):
        asyncio.run(claimed(server.url(name)))


def test_a_user_without_rights_is_told_what_to_do(server: Postgres) -> None:
    name = server.new()
    server.execute(f"CREATE DATABASE {name}")
    server.execute(f"CREATE ROLE {name} LOGIN")
    url = server.url(name).replace("u@", f"{name}:secret-word@")
    with pytest.raises(JournalError, match="right to make tables") as caught:
        asyncio.run(claimed(f"{url}?schema=public"))
    assert "secret-word" not in str(caught.value)
    with pytest.raises(JournalError, match="See that the server runs"):
        asyncio.run(claimed(server.url("no_such_database")))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DROP TABLE {0}_items", "dropped or changed"),
        ("ALTER TABLE {0}_meta RENAME version TO other", "belong to something else"),
        ("REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {0}", "GRANT USAGE ON ALL SEQUENCES"),
    ],
)
def test_tables_that_are_not_as_they_were_made_are_told(server: Postgres, change: str, said: str) -> None:
    name = server.new()
    url = f"{server.url()}?prefix={name}"
    asyncio.run(claimed(url))
    server.execute(f"CREATE ROLE {name} LOGIN")
    for kind in ("TABLES", "SEQUENCES"):
        server.execute(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO {name}")
    server.execute(change.format(name))
    with pytest.raises(JournalError, match=said):
        asyncio.run(claimed(url.replace("u@", f"{name}@"), 1))


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ('FATAL: password authentication failed for user "u"', "PGPASSWORD"),
        ("fe_sendauth: no password supplied", "PGPASSWORD"),
        ("connection refused", "See that the server runs"),
    ],
)
def test_a_login_that_is_refused_is_told_from_a_server_that_is_away(
    server: Postgres, said: str, advice: str
) -> None:
    def steps(db: object) -> None:
        raise errors.OperationalError(said)

    with closing(Database(address_of(server.url()))) as database, pytest.raises(JournalError, match=advice):
        database.transact(steps)


def test_inputs_are_hashed_when_nothing_of_them_stays(server: Postgres) -> None:
    name = server.new()
    url = f"{server.url()}?prefix={name}"
    asyncio.run(claimed(url))
    server.execute(f"CREATE ROLE {name} LOGIN")
    for kind in ("TABLES", "SEQUENCES"):
        server.execute(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO {name}")
    with pytest.raises(JournalError, match="by their owner only"):
        journals.hash_inputs(url.replace("u@", f"{name}@"))
    assert server.execute(f"SELECT count(*) FROM {name}_items WHERE input LIKE 'sha256:%'") == [(0,)]
    with psycopg.connect(server.url()) as db:
        db.execute("SELECT pg_current_xact_id()")
        with pytest.raises(JournalError, match=r"1 old versions of rows stay.*again"):
            journals.hash_inputs(url)
    assert journals.hash_inputs(url) == 0


def test_nobody_looks_after_what_is_not_there(server: Postgres) -> None:
    with pytest.raises(JournalError, match="There is no journal"):
        store.administrator(f"{server.url()}?prefix={server.new()}")


# What URLs say.


@pytest.mark.parametrize(
    ("url", "schema", "prefix", "lease"),
    [
        ("postgresql://host/db", None, "replicate_kit", LEASE),
        ("postgres://host/db?prefix=wombats", None, "wombats", LEASE),
        ("postgresql:///?schema=zoo&lease=5", "zoo", "replicate_kit", 5.0),
        ("postgresql://a,b:6432/db?target_session_attrs=read-write&prefix=w", None, "w", LEASE),
    ],
)
def test_own_parameters_do_not_go_to_the_library(
    url: str, schema: str | None, prefix: str, lease: float
) -> None:
    address = address_of(url)
    assert (address.schema, address.prefix, address.lease) == (schema, prefix, lease)
    assert not {"schema", "prefix", "lease"} & set(address.parameters)
    assert address.parameters.get("target_session_attrs") == ("read-write" if "," in url else None)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://host/db", "no PostgreSQL"),
        ("postgresql://host/db?prefix=", "prefix"),
        ("postgresql://host/db?prefix=Wombats", "small letters"),
        ("postgresql://host/db?schema=a;drop", "small letters"),
        (f"postgresql://host/db?prefix={'w' * 41}", "up to 40"),
        ("postgresql://host/db?lease=0", "from 2 to 3600"),
        ("postgresql://host/db?lease=nan", "from 2 to 3600"),
        ("postgresql://host/db?lease=soon", "from 2 to 3600"),
        ("postgresql://host/db?perfix=wombats", "parameters that the library knows"),
        ("postgresql://me:secret-word@host/db?lease=x", "lease"),
        ("postgresql://me@host/db?password=secret-word&lease=x", "lease"),
        ("postgresql://[::1/db", "URL"),
        ("postgresql://me:secret-word%ret@host/db", "% is %25"),
        ("postgresql://me@host/db?password=secret-word%ret", "% is %25"),
        ("postgresql://me:secret-word with@host:x y/db", "percent-encode"),
        ("postgresql://me:secret-word@[::1:1/db", "percent-encode"),
        ("postgresql://host/db?prefix=a;password=secret-word", "small letters"),
        ("postgresql://host/db?lease=5;password=secret-word", "from 2 to 3600"),
    ],
)
def test_what_is_no_url_is_told(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        store.ledger(url)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("password", ["secret word", "secret%zzword", "secret/word", "secret#word"])
def test_a_password_that_should_have_been_escaped_is_not_shown(password: str) -> None:
    try:
        shown = store.ledger(f"postgresql://me:{password}@host/db").url
    except ConfigError as error:
        shown = str(error)
    assert "secret" not in shown


def test_a_password_is_not_shown() -> None:
    for url in ("postgresql://me:secret-word@host/db", "postgresql://me@host/db?password=secret-word"):
        assert "secret-word" not in store.ledger(url).url
        assert "secret-word" not in repr(address_of(url))
        assert address_of(url).parameters["password"] == "secret-word"
