"""Where in a database a journal is: what its URL says, to us and to libpq."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from replicate_kit.errors import ConfigError
from replicate_kit.messages import redacted

__all__ = ["LEASE", "Address", "address_of"]

LEASE = 180.0
"""Seconds for which a run is taken to be alive after it was heard of last.

It is renewed every twenty. What is left of it then outlives a verb that waits for a server that is away, for ninety at
most, and a create that was claimed before that: it is sent within ten, and acted on within sixty. The rows of a process
that has died wait so long for others.
"""

_LEASES = (2.0, 3600.0)  # the shortest outlives a slow answer or two
_NAME = re.compile(
    r"[a-z_][a-z0-9_]{0,39}"
)  # PostgreSQL cuts names after 63 bytes; ours end in one more word
_OURS = ("schema", "prefix", "lease")
# What a connection gets where the URL does not say otherwise: a server that is gone is noticed within half a minute.
_DEFAULTS: Mapping[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "fallback_application_name": "replicate-kit",
}


@dataclass(frozen=True)
class Address:
    """The tables of a journal. `schema` is None for the one where PostgreSQL makes tables that name none."""

    url: str
    """The URL without its password, for messages."""
    parameters: Mapping[str, Any] = field(repr=False)
    """What libpq gets."""
    schema: str | None
    prefix: str
    lease: float


def address_of(url: str) -> Address:
    """Read a URL. Raises `ConfigError` for one that names no database, or with a parameter that cannot be.

    >>> address = address_of("postgresql://me:secret@host/db?prefix=wombats&sslmode=require")
    >>> address.prefix, address.schema, address.url
    ('wombats', None, 'postgresql://me@host/db?prefix=wombats&sslmode=require')
    """
    shown = redacted(url)
    scheme, _, where = url.partition("://")
    if scheme.lower() not in ("postgresql", "postgres"):
        raise ConfigError(f"{shown!r} is no PostgreSQL database. Pass a URL, such as 'postgresql://host/db'.")
    where, _, query = where.partition("?")
    # What is not ours stays as it is written: libpq takes a + as it stands.
    parts = [each for each in query.split("&") if each]
    ours = {
        name: unquote(value) for name, _, value in (each.partition("=") for each in parts) if name in _OURS
    }
    rest = "&".join(each for each in parts if each.partition("=")[0] not in _OURS)
    try:
        given = conninfo_to_dict(f"postgresql://{where}" + (f"?{rest}" if rest else ""))
    except ProgrammingError:
        # What the library says quotes the URL, and so may the password be where it is written wrongly.
        raise ConfigError(
            "journal= is no URL that PostgreSQL's library takes, and is not shown, as it may hold a password. Pass one "
            "such as 'postgresql://user@host:5432/db?prefix=wombats', with parameters that the library knows, and "
            "percent-encode what is special in names and passwords: % is %25, a space %20, @ %40, / %2F."
        ) from None
    # Texts are read and written as UTF-8, whatever the database's default is.
    parameters = {**_DEFAULTS, **given, "client_encoding": "utf8"}
    prefix = _name("prefix", ours.get("prefix", "replicate_kit"))
    schema = _name("schema", ours["schema"]) if "schema" in ours else None
    return Address(shown, parameters, schema, prefix, _lease(ours.get("lease")))


def _name(parameter: str, value: str) -> str:
    """Check a name that tables or a schema get."""
    if not _NAME.fullmatch(value):
        raise ConfigError(
            f"{parameter}= in the URL of the journal cannot be the name of tables. Pass up to 40 small letters, digits "
            f"and underlines, such as {parameter}=wombats."
        )
    return value


def _lease(value: str | None) -> float:
    """Check a number of seconds."""
    if value is None:
        return LEASE
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not _LEASES[0] <= seconds <= _LEASES[1]:
        raise ConfigError(
            f"lease= in the URL of the journal is no number of seconds from {_LEASES[0]:g} to {_LEASES[1]:g}. Pass "
            f"how long a run that is silent keeps its rows, such as lease={LEASE:g}."
        )
    return seconds
