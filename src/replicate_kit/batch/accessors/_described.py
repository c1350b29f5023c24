"""What an accessor says that it offers, and the names that `show` gets."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from replicate_kit._formats.wording import counted, shown_names
from replicate_kit.errors import InputError

__all__ = ["described", "named"]

_LONGEST = 40  # characters of a name that is one of several
_MOST = 10  # names of columns


def described(rows: int, name: Hashable | None = None, *, columns: Sequence[Hashable] | None = None) -> str:
    """Say in a few lines what the accessor of a DataFrame with these `columns` offers, or of a Series with this name.

    >>> from replicate_kit.batch.accessors import described
    >>> print(described(2, columns=["title"]).partition("  the")[0])
    <replicate over a DataFrame of 2 rows: title>
      .run(model, input={"prompt": col("title")})
    """
    size = counted(rows, "row")
    if columns is None:
        named = "no name" if name is None else f"the name {_printable(name)}"
        what = f"a Series of {size}, with {named}"
        run = (
            '.run(model, into="prompt")',
            "the outputs, one for each row; into= names the input that it fills",
        )
        show = ".show()", "the table in a notebook, with the pictures that it names"
    else:
        names = [_printable(each) for each in columns]
        what = f"a DataFrame of {size}: {shown_names(names, _MOST) if names else 'no columns'}"
        column = _written(columns[0]) if names else "…"
        run = f'.run(model, input={{"prompt": col({column})}})', "the outputs, one for each row"
        show = ".show(…)", "the table in a notebook, with the pictures of the columns that you name"
    lines = [
        run,
        (".plan(…)", "what run(…) would create and pay; creates nothing"),
        (".iter(…)", "(label, result) of each row as soon as it is finished"),
        (".async_run(…)", "run, for await; so are async_plan and async_iter"),
        show,
    ]
    return "\n".join([f"<replicate over {what}>", *(f"  {call}  {gives}" for call, gives in lines)])


def named(columns: Sequence[Any], known: Iterable[Hashable] = ()) -> list[Any]:
    """Take the names of columns, as `show` gets them, one by one or in one list; a tuple is one name, as in pandas.

    Raises `InputError` for what is no name, and for a tuple of several of those that are `known`.

    >>> from replicate_kit.batch.accessors import named
    >>> named(("image", "mask")) == named((["image", "mask"],))
    True
    """
    names = list(columns[0] if len(columns) == 1 and isinstance(columns[0], list) else columns)
    known = set(known)
    for name in names:
        try:
            hash(name)
        except TypeError:
            raise InputError(
                f"show() got {name!r:.60}, which names no column. Name columns one by one or in one list: "
                'show("image", "mask") or show(["image", "mask"]).'
            ) from None
        if isinstance(name, tuple) and name not in known and known.issuperset(name) and name:
            raise InputError(
                f"There is no column {name!r}: a tuple is the name of one column. Name several one by one or in a "
                f"list: show({', '.join(map(repr, name))})."
            )
    return names


def _printable(name: Hashable) -> str:
    """Write a name in a line, whatever it is: in it are escapes for what would break the line, or cannot be printed."""
    try:
        text = str(name)
    except Exception:  # names are objects of anybody's
        text = f"{type(name).__name__} object"
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _written(name: Hashable) -> str:
    """Write a name as one does in code, with double quotes where they will do; `…` where that is no short line."""
    try:
        code = repr(name)
    except Exception:
        return "…"
    if isinstance(name, str) and code == f"'{name}'" and '"' not in name:
        code = f'"{name}"'
    return code if len(code) <= _LONGEST and code.isprintable() else "…"
