"""Rows as they come → canonical JSON, with what is wrong with them, before anything is spent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit._files.input_files import is_file
from replicate_kit._files.inputs import check_texts, encode_input
from replicate_kit._formats.nesting import is_text_nested_deeper
from replicate_kit._formats.redacting import HIDDEN_INPUT, input_secrets, scrubbed
from replicate_kit._formats.wording import escaped
from replicate_kit._runtime.foreign_code import described
from replicate_kit._unresolved.canonical import FILE, canonical, digest
from replicate_kit.batch._plan.files import FileNotes, with_urls
from replicate_kit.errors import InputError, ReplicateError

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit.schema import ModelSchema

__all__ = ["Prepared", "Preparer"]

_DEEPEST = 200  # levels of lists and mappings in a row: well below what Python's stack takes of whatever walks over it
_TEXT = frozenset({str})
_PLAIN = frozenset({str, int, float, bool, type(None)})  # of what needs no more than to be written down


class Prepared(NamedTuple):
    """A row, ready for the table of rows: its position, key, canonical input and problem."""

    pos: int
    key: bytes | None
    input: str
    problem: str | None


@dataclass
class Preparer:
    """Makes rows canonical and checks them against the model's schema, where there is one.

    A row that is a text fills the one input that is `required`; None where the API shows no schema.
    """

    target: str
    schema: ModelSchema | None
    session: Session
    secret_inputs: frozenset[str] = frozenset()
    required: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self.files = FileNotes(self.session)

    def check_kinds(self, rows: Sequence[Any]) -> None:
        """Refuse all rows at once where none of the first ones is anything that a row can be; raises `InputError`."""
        if any(isinstance(row, Mapping) or (isinstance(row, str) and self._text_input) for row in rows):
            return
        if not isinstance(rows[0], str):
            said = f"The first row is a {type(rows[0]).__name__}, not a mapping of the model's inputs."
        elif self.required is None:
            said = f"The rows are texts, and the API shows no schema of {self.target}."
        elif self.required:
            said = f"The rows are texts, and {self.target} has several required inputs: {', '.join(self.required)}."
        else:
            said = f"The rows are texts, and it is not known which input of {self.target} they fill: none is required."
        name = self.required[0] if self.required else self._likely_input
        raise InputError(f"{said} Pass a list of mappings, such as [{{{name!r}: …}}]. Nothing was created.")

    @property
    def _likely_input(self) -> str:
        """The input that a text is probably meant for, where none is required: the first that takes a text."""
        properties = self.schema.properties if self.schema else {}
        texts = [name for name, each in properties.items() if each.get("type") == "string"]
        return "prompt" if "prompt" in texts or not texts else texts[0]

    @property
    def _text_input(self) -> str | None:
        """The input that a row fills which is a text: the only required one."""
        return self.required[0] if self.required and len(self.required) == 1 else None

    def at_once(self, pos: int, row: Any) -> Prepared | None:
        """Make a row ready that has texts and numbers alone, and nothing wrong with it, as most have.

        None for any other: it has to be looked at more closely.
        """
        if type(row) is str and self._text_input:
            row = {self._text_input: row}
        # A subclass may be written in another way than it is checked, and so may a name that is no text.
        if type(row) is not dict or not _PLAIN.issuperset(map(type, row.values())):
            return None
        if not _TEXT.issuperset(map(type, row)):
            return None
        try:
            text = canonical(row)
            text.encode()
            if FILE in text or (self.schema and self.schema.check(row)):
                return None
        except Exception:  # of a schema that cannot be read, too: `prepare` makes a problem of the row of it
            return None
        return Prepared(pos, digest(self.target, text), text, None)

    async def prepare(self, pos: int, row: Any) -> Prepared:
        """Make one row ready; a row that cannot be sent keeps its problem, which tells none of its secret inputs."""
        ready = await self._prepared(pos, row)
        if ready.problem is None:
            return ready
        secrets = input_secrets(json.loads(ready.input), self.secret_inputs)
        return ready._replace(problem=scrubbed(ready.problem, secrets, HIDDEN_INPUT))

    async def _prepared(self, pos: int, row: Any) -> Prepared:
        """Make it ready."""
        try:
            text = await self._canonical(row)
            # A text that no request can carry is found now, and not when its row is claimed.
            text.encode()
            if is_text_nested_deeper(text, _DEEPEST):
                raise RecursionError
            problems = self._problems(text) if self.schema else []
        except UnicodeEncodeError as error:
            return Prepared(pos, None, _shown(row), f"- {_half(row) or error}")
        # What is wrong may be told in words of the row's own, which the table of rows must be able to hold.
        except (ReplicateError, ValueError, TypeError) as error:
            return Prepared(pos, None, _shown(row), escaped(f"- {error}"))
        except Exception as error:  # whatever the row's own objects raise when they are looked at
            return Prepared(pos, None, _shown(row), escaped(f"- {_failed(error)}"))
        if problems:
            return Prepared(pos, None, text, "\n".join(f"- {each}" for each in problems))
        return Prepared(pos, digest(self.target, text), text, None)

    async def _canonical(self, row: Any) -> str:
        """Write a row in canonical form; what JSON lacks is encoded on the way."""
        if isinstance(row, str) and self._text_input:
            row = {self._text_input: row}
        if not isinstance(row, dict | Mapping):
            raise TypeError(f"the row is a {type(row).__name__}, not a mapping of the model's inputs")
        plain = row if type(row) is dict else dict(row)
        try:
            return canonical(plain)
        except TypeError:  # something that JSON has no form for
            self._check_files(plain)
            plain = await encode_input(plain, self.files)
        except ValueError:
            pass
        for name, value in plain.items():
            _check_finite(name, value)
        return canonical(plain)

    def _check_files(self, row: Mapping[str, Any]) -> None:
        """Refuse files for inputs that are none, before they become URLs, which would fit."""
        if self.schema and (problems := self.schema.misplaced_files(row, is_file)):
            raise InputError("\n- ".join(str(each) for each in problems))

    def _problems(self, text: str) -> list[Any]:
        """Check against the schema, files as what they will be: URLs."""
        assert self.schema is not None
        input = json.loads(text)
        return self.schema.check(with_urls(input) if FILE in text else input)


def _half(row: Any) -> str:
    """Say which text of a row has half of a surrogate pair."""
    try:
        check_texts(row)
    except InputError as error:
        return str(error)
    return ""


def _check_finite(name: Any, value: Any) -> None:
    """Say which input holds what is no number for JSON."""
    try:
        canonical(value)
    except ValueError as error:
        if isinstance(value, float):
            raise ValueError(
                f"{name}: is {value}, which the API cannot take; leave it out, or pass None"
            ) from error
        raise ValueError(f"{name}: {error}") from error


def _failed(error: Exception) -> str:
    """Say how it failed to look at a row."""
    if isinstance(error, RecursionError):
        return f"the row is nested more than {_DEEPEST} levels deep, or contains itself"
    return f"the row cannot be read: {described(error)}"


def _shown(row: Any) -> str:
    """Keep something of a row that cannot be sent."""
    return json.dumps(row, default=repr, skipkeys=True) if _is_shallow(row) else "{}"


def _is_shallow(row: Any) -> bool:
    """Whether a row can be shown without running in circles."""
    try:
        json.dumps(row, default=repr, skipkeys=True)
    except Exception:  # what its own `repr` raises, too: it is shown only to tell which row it was
        return False
    return True
