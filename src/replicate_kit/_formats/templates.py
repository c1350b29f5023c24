"""Templates of file names, such as `{model}/{row}{ext}`: safe on every store, and never the same for two rows;
no I/O.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from replicate_kit._formats.file_names import avoid_device, safe_name
from replicate_kit._formats.patterns import pattern
from replicate_kit._formats.wording import with_safe_repr
from replicate_kit.errors import ConfigError

__all__ = ["DIGEST", "FIELDS", "Template"]

DIGEST = "{sha256}"
"""What stands in a rendered name for the digest of the content, which is known last."""

FIELDS = frozenset({"ext", "index", "model", "prediction_id", "row", "sha256", "stem", "version"})
"""The fields that every template may have. Others are those of the row: its inputs or columns."""

_LONGEST = 180  # bytes of one part of a name, without what is added: file systems end at 255
_LEAST = 8  # bytes that a text keeps in any case
_SHORT = {"row": 20, "index": 10, "prediction_id": 40, "sha256": 64}  # bytes that these have at most
_DECIDING = frozenset({"row", "prediction_id", "sha256"})  # fields that differ between any two predictions
_UNSAFE = pattern(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\ufffe\uffff\\:*?\"<>|\[\]#%{}]|^~")
_SUFFIX = pattern(r"(\.tar)?\.[A-Za-z0-9]{1,12}$")


class _Segment(NamedTuple):
    """A literal text, and the field that follows it with its format, if one does."""

    literal: str
    field: str | None = None
    format: str = ""


@with_safe_repr
class Template:
    """A template of names below a folder, with `/` between folders and `str.format`'s fields.

    Known fields are `row` (its number, such as `{row:05}`), `prediction_id`, `index` (of the file in its
    prediction), `model`, `version`, `stem` (what the caller names the row), `sha256` (of the content) and
    `ext` (with its dot; it follows by itself where the template has no extension); others are those of the
    row. Each value is made safe. Where nothing in a name tells two predictions apart for certain, the row's
    number or the prediction's id is added, and so is the index where there are several files.

    Raises `ConfigError` for a template that could not be filled safely.

    >>> Template("{model}/{row:03}-{prompt}{ext}").render({"model": "acme/draw", "row": 7, "prompt": "A hill!"})
    ('acme-draw/007-A-hill', None)
    >>> Template("{prompt}.png").render({"row": 7, "prompt": "../../etc"})
    ('etc-7', '.png')
    """

    def __init__(self, text: str) -> None:
        self.text = text
        stem, self.extension = _split(text)
        self._parts = [_parsed(part, text) for part in stem.split("/")]
        for part in self._parts:
            _check(part, text)

    @property
    def fields(self) -> frozenset[str]:
        """The names of its fields, `ext` aside."""
        return frozenset(segment.field for part in self._parts for segment in part if segment.field)

    def check(self, known: Iterable[str]) -> None:
        """Raise `ConfigError` if it has fields beside `FIELDS` and the known ones."""
        names = FIELDS.union(known)
        if missing := sorted(self.fields - names):
            raise ConfigError(
                f"The template {self.text!r} names {', '.join(missing)}, which nothing here has. It may have: "
                f"{', '.join(sorted(names))}."
            )

    def render(self, values: Mapping[str, Any], *, several: bool = False) -> tuple[str, str | None]:
        """Fill it in; give the name without its extension, and the extension, None for one by the content.

        `several` says that the prediction has more files than this one.
        """
        *folders, last = [_rendered(part, values) for part in self._parts]
        number = safe_name(str(values.get("index", 0)))
        tail = ""
        if not any(_decides_as_whole(part) for part in self._parts):
            if not _decides_at_end(self._parts[-1]):
                tail = f"-{_rendered([_Segment('', _own(values))], values)}"
            # Not "-": the row's number must stay the last number of its kind to be read off for certain.
            tail += f"_{number}" if several and not self._tells_files_apart else ""
        elif several and not self._tells_files_apart:
            tail = f"-{number}"
        return "/".join(map(_safe_part, [*folders, last + tail])), self.extension

    @property
    def _tells_files_apart(self) -> bool:
        """Whether the files of one prediction get names of their own."""
        return bool(self.fields & {"index", "sha256"})

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def _own(values: Mapping[str, Any]) -> str:
    """The field that tells this prediction from the others of its run."""
    return "row" if values.get("row") is not None else "prediction_id"


def _split(text: str) -> tuple[str, str | None]:
    """Take the extension off a template: a literal one, or None for `{ext}` and where there is none."""
    if text.endswith("{ext}"):
        return text.removesuffix("{ext}").removesuffix("."), None
    found = _SUFFIX.search(text)
    return (text, None) if found is None else (text[: found.start()], found[0])


def _parsed(part: str, text: str) -> list[_Segment]:
    """Split one part of a template into its segments."""
    try:
        found = list(string.Formatter().parse(part))
    except ValueError as error:
        raise ConfigError(
            f"The template {text!r} is malformed: {error}. Fields are names in braces, such as {{row}}; braces "
            "cannot be part of a file's name."
        ) from None
    segments = []
    for literal, field, format_, conversion in found:
        if conversion or (field is not None and not field.isidentifier()) or "{" in (format_ or ""):
            raise ConfigError(
                f"The template {text!r} is malformed: a field is a plain name in braces, such as {{row}}, and "
                "braces cannot be part of a file's name."
            )
        segments.append(_Segment(literal, field, format_ or ""))
    return segments


def _check(part: list[_Segment], text: str) -> None:
    """Refuse a part that would leave the folder, or could not be a name everywhere."""
    literal = "".join(segment.literal for segment in part)
    fields = [segment for segment in part if segment.field]
    if _UNSAFE.search(literal) or (not fields and literal.strip(". ") == ""):
        raise ConfigError(
            f"The template {text!r} cannot name files on every store: its parts must be plain names, without "
            "'..', braces and other special characters."
        )
    if _share(part) < _LEAST:
        raise ConfigError(f"The template {text!r} makes names that are too long. Leave something out of it.")
    for segment in fields:
        if segment.field == "ext":
            raise ConfigError(
                f"The template {text!r} has {{ext}} in the middle. Write it at the end, or leave it out."
            )
        if not _may_be_formatted(segment):
            raise ConfigError(
                f"The template {text!r} has the format {segment.format!r} for {segment.field}. Only row and index have "
                "one: their width, such as {row:05}."
            )


def _may_be_formatted(segment: _Segment) -> bool:
    """Only numbers have a width, and it is filled with zeros."""
    return not segment.format or (
        segment.field in ("row", "index") and bool(re.fullmatch(r"0\d", segment.format))
    )


def _share(part: list[_Segment]) -> int:
    """The bytes that each text in a part may have, so that what decides stays whole."""
    fixed = sum(len(segment.literal.encode()) + _SHORT.get(segment.field or "", 0) for segment in part)
    texts = sum(1 for segment in part if segment.field and segment.field not in _SHORT)
    return (_LONGEST - fixed) // max(texts, 1)


def _rendered(part: list[_Segment], values: Mapping[str, Any]) -> str:
    """Fill in one part."""
    share = _share(part)
    return "".join(segment.literal + _value(segment, values, share) for segment in part)


def _value(segment: _Segment, values: Mapping[str, Any], longest: int) -> str:
    """Make one value a part of a name."""
    match segment.field:
        case None:
            return ""
        case "sha256":
            return DIGEST
        case "row" | "index" as field:
            return f"{int(values.get(field) or 0):{segment.format or 'd'}}"
        case "prediction_id":
            # Without what could be taken for the end of it.
            return re.sub(r"[^A-Za-z0-9]", "", str(values.get("prediction_id")))[:40] or "none"
        case field:
            return safe_name(str(values.get(field, "none"))[:1000], longest)


def _safe_part(part: str) -> str:
    """See that a part is a name on Windows too, which literals and values may only together be none of.

    >>> _safe_part("con.v2"), _safe_part("wombats. ")
    ('con_.v2', 'wombats')
    """
    return avoid_device(part.rstrip(". "))


def _decides_as_whole(part: list[_Segment]) -> bool:
    """Whether a part, or its beginning up to a mark, can be read as the row or the prediction alone."""
    first = part[0] if part else _Segment("")
    if first.literal or first.field not in _DECIDING:
        return False
    following = part[1].literal[:1] if len(part) > 1 else ""
    return len(part) == 1 or not (following == "" or following.isalnum())


def _decides_at_end(part: list[_Segment]) -> bool:
    """Whether a part ends in the row or the prediction, with a mark before it."""
    last = part[-1] if part else _Segment("")
    return last.field in _DECIDING and last.literal[-1:] == "-"
