"""Words that messages share."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from replicate_kit._formats.patterns import pattern

__all__ = [
    "bounded",
    "brace_advice",
    "counted",
    "did_you_mean",
    "escaped",
    "listed",
    "money",
    "nothing_created",
    "shown_label",
    "shown_names",
    "with_safe_repr",
]


T = TypeVar("T")


def bounded(text: str, longest: int) -> str:
    """Cut a text for people, however long it is; say how long it was.

    >>> bounded("a wombat", 20), bounded("a wombat" * 1000, 8)
    ('a wombat', 'a wombat… (8,000 characters)')
    """
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"


def with_safe_repr(kind: type[T], /) -> type[T]:
    """Let objects of a class be shown before they are complete: debuggers and tracebacks do so where making one failed.

    >>> @with_safe_repr
    ... class Wombat:
    ...     def __repr__(self) -> str:
    ...         return f"<Wombat {self.name}>"
    >>> Wombat()
    <Wombat (incomplete)>
    """
    for name in ("__repr__", "__str__"):
        if name in vars(kind):
            setattr(kind, name, _safe(vars(kind)[name]))
    return kind


def _safe(shown: Callable[[Any], str]) -> Callable[[Any], str]:
    """Say what an object is where it lacks what it is shown by."""

    @functools.wraps(shown)
    def safe(self: Any) -> str:
        try:
            return shown(self)
        except AttributeError:
            return f"<{type(self).__name__} (incomplete)>"

    return safe


def counted(number: int, one: str, many: str = "") -> str:
    """Write a number with what it counts, in the form that goes with it; `many` is `one` with an s if not given.

    >>> counted(2, "row"), counted(1, "row is", "rows are")
    ('2 rows', '1 row is')
    """
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def listed(values: Iterable[T]) -> list[T]:
    """Take several values, or one text: that is one of them, and not its letters.

    >>> listed("failed"), listed(("failed", "expired"))
    (['failed'], ['failed', 'expired'])
    """
    one: Any = values
    return [one] if isinstance(values, str | bytes) or not isinstance(values, Iterable) else list(values)


def shown_names(names: Iterable[object], most: int = 30) -> str:
    """List names for a message, not without end; quoted, where one could not see it otherwise.

    >>> shown_names(["title", 5]), shown_names(range(4), most=2), shown_names([])
    ('title, 5', '0, 1, … (4 in all)', 'none')
    >>> shown_names(["", " a", "b c", "' d'"])
    "'', ' a', b c, ' d'"
    """
    texts = [_shown(name) for name in names]
    return ", ".join(texts[:most]) + (f", … ({len(texts)} in all)" if len(texts) > most else "") or "none"


def _shown(name: object) -> str:
    """Write one name; one that is quoted already stays as it is."""
    text = str(name)
    is_plain = text.strip() == text != "" and text.isprintable()
    return text if is_plain or not isinstance(name, str) or text[:1] in ("'", '"') else repr(text)


def shown_label(label: object) -> str:
    """Write the label of a row as people do: 3, and not as numpy writes it.

    >>> shown_label(3), shown_label("three"), shown_label(("three", 3))
    ('3', "'three'", "('three', 3)")
    """
    return repr(tuple(map(_own, label)) if type(label) is tuple else _own(label))


def _own(label: object) -> object:
    """Make Python's own of a number of numpy's."""
    item = getattr(label, "item", None)
    return item() if callable(item) else label


def nothing_created(said: object) -> str:
    """Say so, as a sentence after what was said; empty where that says it already.

    >>> nothing_created("The row is empty."), nothing_created("The row is empty. Nothing was created.")
    (' Nothing was created.', '')
    """
    return "" if "othing was created" in str(said) else " Nothing was created."


def money(amount: float) -> str:
    """Write an amount: with two places, or as many as a small one needs to be seen at all.

    >>> money(1234.5), money(0.006), money(0.0)
    ('1234.50', '0.006', '0')
    """
    return f"{amount:.2f}" if amount >= 1 else f"{amount:.3g}"


def escaped(text: str) -> str:
    r"""Write halves of surrogate pairs, which no encoding can hold, as escapes; any other text stays as it is.

    >>> print(escaped("wombat \ud83d"), escaped("größer \U0001f600"))
    wombat \ud83d größer 😀
    """
    # Python knows of a text whether it is ASCII: most texts cost nothing here.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Suggest the known name that is nearest to a misspelt one, as a sentence after others; empty if none is near.

    >>> did_you_mean("promt", ["prompt", "seed"])
    " Did you mean 'prompt'?"
    """
    from difflib import get_close_matches

    near = get_close_matches(str(name), [str(each) for each in known], n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def brace_advice(text: str, names: Iterable[object]) -> str:
    """Say how to write a template whose other braces are text, as a sentence after others; empty where it has none.

    `names` are the fields that it may have: their braces stay, all others are doubled.

    >>> print(brace_advice('{"name": "{title}"}', ["title"]))
     Double braces that are text: '{{"name": "{title}"}}'.
    >>> brace_advice("{titel}", ["title"])
    ''
    """
    known = {str(each) for each in names}
    if not _is_text_in_braces(text, known):
        return ""
    # Where some are doubled already, a pair of them is one brace of the text; otherwise each stands for itself.
    pairs = "{{" in text
    plain = _BRACES.sub(lambda found: _as_text(found, known, pairs), text)
    return f" Double braces that are text: {plain[:_LONGEST]!r}{'…' if len(plain) > _LONGEST else ''}."


def _is_text_in_braces(text: str, known: set[str]) -> bool:
    """Whether braces hold, or lack, what nobody means as the name of a field: `{"a": 1}`, `{`, `{ return x; }`."""
    rest = text.replace("{{", "").replace("}}", "") if "{{" in text else text
    inner = _FIELD.sub(lambda found: "" if found[1] in known or _PLAIN.fullmatch(found[1]) else "{", rest)
    return "{" in inner or "}" in inner


def _as_text(found: re.Match[str], known: set[str], pairs: bool) -> str:
    """Keep the field of a known name, double a brace that is text."""
    whole = found[0]
    if whole in ("{{", "}}"):
        return whole if pairs else whole * 2
    if found[1] is None:
        return whole * 2
    return whole if found[1] in known else f"{{{{{whole[1:-1]}}}}}"


_A_FIELD = r"\{([^{}!:]*)(?:![^{}]*)?(?::[^{}]*)?\}"
_FIELD = pattern(_A_FIELD)
_BRACES = pattern(rf"\{{\{{|{_A_FIELD}|\}}\}}|[{{}}]")
_LONGEST = 300  # characters of a template in a message
_PLAIN = pattern(r"[\w .\[\]-]*")  # what may well be a misspelt name
