"""The bases of the stand-in's records and of its groups of operations."""

from __future__ import annotations

import builtins
import enum
import json
from collections.abc import Collection, Iterator
from datetime import datetime
from types import EllipsisType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from replicate_kit._formats.wording import with_safe_repr
from replicate_kit.records import Field, Record

if TYPE_CHECKING:
    from replicate_kit.compat.replicate._connecting import StandInSession
    from replicate_kit.compat.replicate.client import Client
    from replicate_kit.compat.replicate.pagination import Page

__all__ = ["Namespace", "Resource"]

R = TypeVar("R", bound="Resource")


@with_safe_repr
class Resource(Record):
    """One of our records that is made, read, written and shown as the models of 1.x are.

    Those are models of pydantic 1. What the API has added since can be read, but is in neither `dict` nor `json`.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _client: Client

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._fields = tuple(name for name, each in vars(cls).items() if isinstance(each, Field))

    def __init__(self, record: Any = None, session: Any = None, /, **fields: Any) -> None:
        super().__init__(fields if record is None else record, session)

    @property
    def session(self) -> StandInSession:
        """What it asks the API through."""
        return self._client.session

    def dict(
        self,
        *,
        include: Collection[str] | None = None,
        exclude: Collection[str] = (),
        exclude_none: bool = False,
        **_: Any,
    ) -> builtins.dict[str, Any]:
        """Its fields as plain Python values."""
        found = {name: _plain(value) for name, value in self}
        return {
            name: value
            for name, value in found.items()
            if name not in exclude
            and (include is None or name in include)
            and not (exclude_none and value is None)
        }

    def json(self, **options: Any) -> str:
        """Its fields as JSON."""
        chosen = {
            name: options.pop(name) for name in ("include", "exclude", "exclude_none") if name in options
        }
        return json.dumps(self.dict(**chosen), default=_jsonable, **options)

    def copy(self, *, update: builtins.dict[str, Any] | None = None, **_: Any) -> Self:
        """A record like this one, with some fields changed."""
        other = type(self)(builtins.dict(self._json, **(update or {})))
        other.__dict__ |= {name: value for name, value in self.__dict__.items() if name != "_json"}
        return other

    @classmethod
    def parse_obj(cls, obj: Any) -> Self:
        """Make a record of JSON."""
        return cls(obj)

    def keys(self) -> Any:
        """The names of its fields."""
        return builtins.dict.fromkeys(self._fields).keys()

    def __getitem__(self, name: Any) -> Any:
        if not isinstance(name, str):
            raise TypeError(f"{type(self).__name__!r} object is not subscriptable")
        return getattr(self, name)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def __iter__(self) -> Iterator[Any]:
        return iter([(name, getattr(self, name)) for name in self._fields])

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self._json[name] = value

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Resource) and other.dict() == self.dict()

    __hash__ = None

    def __str__(self) -> str:
        return " ".join(f"{name}={value!r}" for name, value in self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self)})"

    def _on(self, client: Client) -> Self:
        """Say which client it asks; gives itself."""
        self._client = client
        return self


class Nested(Field[Any]):
    """A record, or a list of them, within a record: they ask the same client."""

    def __init__(self, kind: type[Resource]) -> None:
        super().__init__(lambda value: self._records(kind, value))

    @staticmethod
    def _records(kind: type[Resource], value: Any) -> Any:
        """Make records of JSON."""
        if isinstance(value, list):
            return [Nested._records(kind, each) for each in value]
        return kind(value) if isinstance(value, dict) else value

    def __get__(self, record: Any, owner: type) -> Any:
        found = super().__get__(record, owner)
        client = getattr(record, "__dict__", {}).get("_client")
        for each in found if isinstance(found, list) else [found]:
            if client is not None and isinstance(each, Resource):
                each._on(client)
        return found


class Namespace:
    """A group of operations."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def _fetch(self, kind: type[R], method: str, path: str, **options: Any) -> R:
        """Ask for one thing."""
        return kind(await self._client.session.fetch(method, path, **options))._on(self._client)

    async def _page(
        self,
        kind: type[R],
        path: str,
        cursor: str | EllipsisType | None = ...,
        method: str = "GET",
        **options: Any,
    ) -> Page[R]:
        """Ask for a page: the first one, or the one that the cursor leads to."""
        if cursor is None:
            raise ValueError("cursor cannot be None")
        from replicate_kit.compat.replicate.pagination import Page

        session = self._client.session
        page = await session.fetch(method, path if cursor is ... else cursor, **options)
        results = [kind(each)._on(self._client) for each in page["results"]]
        return Page(results=results, next=page.get("next"), previous=page.get("previous"))

    async def _deleted(self, path: str) -> bool:
        """Delete something; tell whether it is gone at once."""
        return (await self._client.session.request("DELETE", path)).status_code == 204


def _plain(value: Any) -> Any:
    """Take records apart."""
    if isinstance(value, Resource):
        return value.dict()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def _jsonable(value: Any) -> Any:
    """Write what JSON does not have as pydantic does."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, enum.Enum) else str(value)
