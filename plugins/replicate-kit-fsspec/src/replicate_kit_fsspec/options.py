"""Storage options: which names and kinds of values a filesystem takes, told before it is asked for anything.

Many filesystems of fsspec swallow what they do not know, or hand it on to a library that complains at the first
request. Values are never shown: they may be secrets.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fsspec.asyn import AsyncFileSystem
from fsspec.spec import AbstractFileSystem

from replicate_kit.errors import ConfigError

__all__ = ["Taken", "check_options", "misfit", "options_of"]

log = logging.getLogger("replicate_kit")

# What every filesystem takes, though no signature says so: fsspec's own settings.
_GENERAL = frozenset(
    {"skip_instance_cache", "use_listings_cache", "listings_expiry_time", "max_paths", "protocol"}
)
_AZURE_LOGIN = frozenset(
    {"authority", "additionally_allowed_tenants", "managed_identity_client_id", "workload_identity_client_id"}
    | {"workload_identity_tenant_id", "interactive_browser_client_id", "interactive_browser_tenant_id"}
    | {"shared_cache_username", "shared_cache_tenant_id", "visual_studio_code_tenant_id", "process_timeout"}
)
_EXCLUDE = "exclude_"  # and `exclude_cli_credential` and its like
# Filesystems whose further keywords are known to lead nowhere but to these.
_FURTHER: dict[str, frozenset[str]] = {
    "s3": frozenset({"profile", "session_vars", "event_hooks", "include_builtin_handlers"}),  # of AioSession
    "gs": frozenset(),
    "abfs": _AZURE_LOGIN,  # of DefaultAzureCredential
    "file": frozenset(),
    "memory": frozenset(),
    "ftp": frozenset(),
    "dir": frozenset(),
    "blockcache": frozenset(),
    "filecache": frozenset(),
    "simplecache": frozenset(),
}
_SAME = {"s3a": "s3", "gcs": "gs", "az": "abfs", "abfss": "abfs", "local": "file"}
_PACKAGES = frozenset({"s3fs", "gcsfs", "adlfs", "fsspec"})  # whose classes these are

_CLIENT = (
    "region_name", "api_version", "use_ssl", "verify", "endpoint_url", "aws_access_key_id",
    "aws_secret_access_key", "aws_session_token", "aws_account_id",
)  # fmt: skip
_CONFIG = (
    "signature_version", "user_agent", "user_agent_extra", "connect_timeout", "read_timeout", "parameter_validation",
    "max_pool_connections", "proxies", "proxies_config", "s3", "retries", "client_cert", "inject_host_prefix",
    "tcp_keepalive", "request_checksum_calculation", "response_checksum_validation", "use_dualstack_endpoint",
    "use_fips_endpoint", "region_name", "connector_args",
)  # fmt: skip
# Options that hold those of a library, by its own names (of botocore's create_client and Config).
_NESTED: dict[str, dict[str, Sequence[str]]] = {"s3": {"client_kwargs": _CLIENT, "config_kwargs": _CONFIG}}

_REGION = "client_kwargs={'region_name': …}"
# What other tools call the same thing: boto, the command lines, environment variables, pyarrow, obstore.
_CALLED: dict[str, dict[str, str]] = {
    "s3": {
        **dict.fromkeys(("endpoint", "aws_endpoint_url", "endpoint_override", "host", "url"), "endpoint_url"),
        **dict.fromkeys(("aws_access_key_id", "access_key_id", "access_key", "accesskey"), "key"),
        **dict.fromkeys(("aws_secret_access_key", "secret_access_key", "secret_key", "secretkey"), "secret"),
        **dict.fromkeys(("aws_session_token", "session_token", "security_token"), "token"),
        **dict.fromkeys(
            ("region_name", "region", "aws_region", "aws_default_region", "default_region"), _REGION
        ),
        **dict.fromkeys(("profile_name", "aws_profile"), "profile"),
        **dict.fromkeys(("anonymous", "no_sign_request", "skip_signature"), "anon"),
        **dict.fromkeys(("verify_ssl", "no_verify_ssl"), "client_kwargs={'verify': …}"),
        "addressing_style": "config_kwargs={'s3': {'addressing_style': …}}",
        "max_attempts": "config_kwargs={'retries': {'max_attempts': …}}",
    },
    "gs": {
        **dict.fromkeys(("endpoint", "api_endpoint", "url"), "endpoint_url"),
        **dict.fromkeys(
            ("credentials", "credential", "key", "key_file", "keyfile", "service_account"), "token"
        ),
        **dict.fromkeys(
            ("google_application_credentials", "service_account_key", "service_account_path"), "token"
        ),
        **dict.fromkeys(("access_token", "anon", "anonymous"), "token"),
        **dict.fromkeys(("project_id", "google_cloud_project"), "project"),
    },
    "abfs": {
        **dict.fromkeys(("account", "azure_storage_account_name", "storage_account"), "account_name"),
        **dict.fromkeys(
            ("key", "access_key", "azure_storage_account_key", "storage_account_key"), "account_key"
        ),
        **dict.fromkeys(("azure_storage_connection_string", "conn_str"), "connection_string"),
        **dict.fromkeys(("sas", "azure_storage_sas_token", "token"), "sas_token"),
        **dict.fromkeys(("endpoint", "endpoint_url", "account_url"), "account_host or connection_string"),
        "tenant": "tenant_id",
        "client": "client_id",
    },
    "": {"user": "username", "login": "username", "passwd": "password", "hostname": "host", "server": "host"},
}

_TEXTS = frozenset(
    {"key", "secret", "endpoint_url", "username", "password", "profile", "account_name", "account_key"}
    | {"connection_string", "sas_token", "account_host", "host", "project", "client_id", "client_secret"}
    | {"tenant_id", "default_location"}
)
_MAPPINGS = frozenset(
    {"client_kwargs", "config_kwargs", "s3_additional_kwargs", "session_kwargs", "target_options"}
)
_SWITCHES = frozenset(
    {"anon", "use_ssl", "requester_pays", "version_aware", "cache_regions", "auto_mkdir", "tls"}
)


@dataclass(frozen=True)
class Taken:
    """The options that one filesystem of a URL is given: its protocol, its class, and these by name."""

    protocol: str
    kind: type
    given: Mapping[str, Any]

    @property
    def family(self) -> str:
        """The protocol that all its other names stand for."""
        return _SAME.get(self.protocol, self.protocol)

    @property
    def names(self) -> list[str]:
        """The names that it takes, as far as its signatures say so, without fsspec's own."""
        further = _FURTHER.get(self.family, frozenset()) if self._is_known else frozenset()
        return sorted({*_signed(self.kind), *further})

    @property
    def is_strict(self) -> bool:
        """Whether it is certain that it takes nothing else."""
        return self._is_known or not _takes_more(self.kind)

    @property
    def _is_known(self) -> bool:
        return self.family in _FURTHER and self.kind.__module__.partition(".")[0] in _PACKAGES

    def unknown(self) -> list[str]:
        """The names that were given and that it does not take."""
        known = {*self.names, *_GENERAL, *_signed(AsyncFileSystem)}
        login = self.family == "abfs"
        return [
            each for each in self.given if each not in known and not (login and each.startswith(_EXCLUDE))
        ]

    def meant(self, name: str) -> str | None:
        """What a name was probably meant to be."""
        called = {**_CALLED[""], **_CALLED.get(self.family, {})}
        plain = name.casefold().replace("-", "_")
        if (other := called.get(plain)) and (self.family in _CALLED or other in self.names):
            return other
        if plain in self.names:
            return plain
        for outer, inner in _NESTED.get(self.family, {}).items():
            if plain in inner:
                return f"{outer}={{{plain!r}: …}}"
        found = _close(plain, [*self.names, *called])
        return called.get(found, found) if found else None


def options_of(url: str, kinds: Mapping[str, type], options: Mapping[str, Any]) -> list[Taken]:
    """Tell which filesystem of a URL is given which options, as fsspec does it.

    `kinds` are the classes by the protocols in the URL, from left to right: those of one are under its protocol,
    all others are the first one's.
    """
    protocols = list(kinds)
    own = {each: options[each] for each in protocols if each in options}
    for each, value in own.items():
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"storage_options of {url!r}: {each!r} must be a dict with the options of {each}, not "
                f"{type(value).__name__}. Nothing was created."
            )
    first = {key: value for key, value in options.items() if key not in own}
    given = {each: dict(own.get(each, {})) for each in protocols}
    given[protocols[0]].update(first)
    return [Taken(each, kinds[each], given[each]) for each in protocols]


def check_options(url: str, taken: Sequence[Taken]) -> None:
    """Raise `ConfigError` for options that certainly cannot be meant."""
    for index, each in enumerate(taken):
        problems = [*_unknown(each, taken[index + 1 :]), *_wrong(each)]
        if problems:
            raise ConfigError(
                f"{url!r} cannot be opened with these storage_options: {'; '.join(problems)}. {_takes(each)} "
                "Correct them and run it again: nothing was created."
            )


def misfit(url: str, taken: Sequence[Taken], error: BaseException) -> ConfigError:
    """The error for options that a filesystem or its library has refused."""
    given = ", ".join(repr(name) for each in taken for name in each.given) or "none"
    hints = [hint for each in taken for hint in _hints(each, str(error))]
    said = f", {'; '.join(hints)}" if hints else ""
    takes = " ".join(_takes(each) for each in taken)
    return ConfigError(
        f"{url!r} cannot be opened with these storage_options ({type(error).__name__}: {error}){said}. Check the URL "
        f"and its storage_options. Given were: {given}. {takes} Nothing was created."
    )


def _unknown(taken: Taken, inner: Sequence[Taken]) -> Iterator[str]:
    """Say which names are not known, and what was meant."""
    for name in taken.unknown():
        home = next((each for each in inner if name in each.names or each.meant(name)), None)
        hint = taken.meant(name)
        if home is not None and (hint is None or name in home.names):
            yield f"{name!r} is for {home.protocol}: pass {{{home.protocol!r}: {{{name!r}: …}}}}"
        elif taken.is_strict:
            yield f"{taken.protocol} takes no {name!r}{_instead(taken, name, hint)}"
        elif hint is not None:
            log.warning(
                "storage_options: %s may not know %r%s", taken.protocol, name, _instead(taken, name, hint)
            )


def _instead(taken: Taken, name: str, hint: str | None) -> str:
    """Say what to pass instead of a name."""
    if hint is not None:
        return f", pass {hint} instead" + (", which is given too" if hint in taken.given else "")
    inside = taken.given.get(name)
    if isinstance(inside, Mapping) and inside:
        return ", pass what is in it without it"
    return ""


def _wrong(taken: Taken) -> Iterator[str]:
    """Say which values are of a kind that cannot be meant, for filesystems that are known well."""
    if not taken.is_strict or taken.family not in _FURTHER:
        return
    known = {key: value for key, value in taken.given.items() if value is not None}
    texts = _TEXTS | ({"token"} if taken.family == "s3" else set())
    kinds: list[tuple[frozenset[str] | set[str], Any, str]] = [
        (texts, str, "a text"), (_MAPPINGS, Mapping, "a dict"), (_SWITCHES, bool, "True or False")
    ]  # fmt: skip
    for names, kind, wanted in kinds:
        for name in known:
            if name in names and not isinstance(known[name], kind):
                yield f"{name!r} must be {wanted}, not {type(known[name]).__name__}"
    for outer, inner in _NESTED.get(taken.family, {}).items():
        yield from _wrong_inside(outer, known.get(outer), inner)
    token = known.get("token")
    if (
        taken.family == "gs"
        and isinstance(token, str)
        and token.endswith(".json")
        and not os.path.exists(token)
    ):
        yield "the file that 'token' names is not there"
    for where, value in _endpoints(known):
        if not value.startswith(("http://", "https://")):
            yield f"{where} must begin with http:// or https://"


def _wrong_inside(outer: str, values: Any, names: Sequence[str]) -> Iterator[str]:
    """Say which names in an option are not those of the library that it is handed on to."""
    for name in values if isinstance(values, Mapping) else ():
        meant = _close(str(name), names, 0.6)
        # Its library may have learned others; a name that nearly is a known one is a mistake.
        if name not in names and (meant or outer == "client_kwargs"):
            yield f"{outer} takes no {name!r}" + (f", pass {meant!r} instead" if meant else "")


def _endpoints(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The addresses of servers among the options."""
    inside = given.get("client_kwargs")
    found = {"'endpoint_url'": given.get("endpoint_url")}
    if isinstance(inside, Mapping):
        found["'endpoint_url' in client_kwargs"] = inside.get("endpoint_url")
    return ((where, value) for where, value in found.items() if isinstance(value, str))


def _hints(taken: Taken, said: str) -> Iterator[str]:
    """Say what may be meant by names that the filesystem does not know, or that an error names."""
    for name in taken.given:
        if name in taken.unknown() and (hint := taken.meant(name)):
            yield f"for {name!r} {taken.protocol} has {hint}"
        inner = taken.given[name]
        for each in inner if isinstance(inner, Mapping) else ():
            if repr(each) in said:
                yield f"{each!r} is in {name}"


def _takes(taken: Taken) -> str:
    """List the names that a filesystem takes."""
    if not taken.names:
        return f"{taken.protocol} takes no options."
    return f"{taken.protocol} takes: {', '.join(taken.names)}."


def _signed(kind: type) -> Iterable[str]:
    """The names in the signatures of a class, and of those that it hands other keywords on to."""
    for each in kind.__mro__:
        if each in (AbstractFileSystem, object):
            return
        if "__init__" not in vars(each):
            continue
        parameters = inspect.signature(vars(each)["__init__"]).parameters.values()
        if each is not AsyncFileSystem or kind is AsyncFileSystem:
            named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
            yield from (one.name for one in parameters if one.kind in named and one.name != "self")
        if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
            return


def _takes_more(kind: type) -> bool:
    """Whether a class takes keywords that no signature names."""
    for each in kind.__mro__:
        if each is AbstractFileSystem:
            return True
        if "__init__" in vars(each):
            parameters = inspect.signature(vars(each)["__init__"]).parameters.values()
            if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
                return False
    return False


def _close(name: str, names: Iterable[str], closeness: float = 0.75) -> str | None:
    """The name that is most like another."""
    return next(iter(difflib.get_close_matches(name, list(names), 1, closeness)), None)
