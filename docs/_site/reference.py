"""The reference: a page for each public module, made from docstrings and signatures.

Docstrings are Markdown, so they become parts of pages as they are; Sphinx's own `autodoc` wants another markup.
"""

from __future__ import annotations

import ast
import enum
import functools
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from docs._site import commands, options
from docs._site.sources import ROOT
from replicate_kit.cli import cli

__all__ = ["home_of", "listed", "markdown", "page_of", "with_reference"]

_LAST = "- [Public names](public-names.md): what you may import.\n"
_MORE = """- [Every option](reference/options.md): of `Client`, `run`, `stream` and `map`, with defaults.
- [Every command](reference/commands.md): with its options, as `--help` tells them.
"""
_ROW = re.compile(r"^\| `([\w.]+)` \| (.*) \|$", re.MULTILINE)
_AWAITED = ("async_", "a")  # what the names of methods begin with whose twins block


def with_reference(pages: Mapping[str, str]) -> dict[str, str]:
    """Add the reference to the pages of a site: each module, each command, each option."""
    modules = list(listed())
    linked = _ROW.sub(
        lambda row: row[0].replace(f"`{row[1]}`", f"[`{row[1]}`](reference/{row[1]}.md)", 1),
        pages["public-names.md"],
    )
    toctree = "\n".join(["```{toctree}", ":hidden:", "", *map(_entry, modules), "```"])
    return {
        **pages,
        "index.md": pages["index.md"].replace(_LAST, _LAST + _MORE, 1),
        "public-names.md": f"{linked}\n{toctree}\n",
        "reference/commands.md": commands.page(cli),
        "reference/options.md": options.page(),
        **{f"reference/{each}.md": page_of(each) for each in modules},
    }


@functools.cache
def listed() -> dict[str, frozenset[str]]:
    """Give the names that `docs/public-names.md` lists, by the module that they are imported from."""
    rows = _ROW.findall((ROOT / "docs" / "public-names.md").read_text("utf-8"))
    return {module: frozenset(re.findall(r"`(\w+)`", names)) for module, names in rows}


def home_of(thing: Any) -> str:
    """Name the module on whose page a class or function is described, of those that offer it."""
    return min(
        _homes()[id(thing)], key=lambda name: (name != thing.__module__, name == "replicate_kit", name)
    )


@functools.cache
def _homes() -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for module, names in listed().items():
        for name in names:
            found.setdefault(id(_thing(module, name)), set()).add(module)
    return found


def _entry(module: str) -> str:
    """Write an entry of a table of contents, in which there is little room."""
    return f"{module.removeprefix('replicate_kit.')} <reference/{module}>"


def page_of(module: str) -> str:
    """Write the page of a module."""
    homes = {name: _home(module, name) for name in sorted(listed()[module])}
    elsewhere = [
        f"- `{name}`: {{py:obj}}`{home}.{_thing(module, name).__name__}`"
        for name, home in homes.items()
        if home != module
    ]
    return "\n\n".join(
        [
            f"# {module}",
            f":::{{py:module}} {module}\n:::",
            markdown(inspect.getdoc(importlib.import_module(module)) or ""),
            *(["\n".join(["Also here:", "", *elsewhere])] if elsewhere else []),
            *(f"## {name}\n\n{_described(module, name)}" for name, home in homes.items() if home == module),
            "",
        ]
    )


def markdown(text: str) -> str:
    """Write a docstring as a part of a page: examples and drawings in it are code."""
    examples = re.sub(
        r"^>>> .*?(?=\n\n|\Z)", lambda each: f"```pycon\n{each[0]}\n```", text, flags=re.M | re.S
    )
    return re.sub(
        r"^[^\n]+\n├.*?(?=\n\n|\Z)", lambda each: f"```text\n{each[0]}\n```", examples, flags=re.M | re.S
    )


def _thing(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _home(module: str, name: str) -> str:
    """Name the page on which a name of a module is described: a value on that of each that offers it."""
    thing = _thing(module, name)
    return home_of(thing) if inspect.isclass(thing) or inspect.isfunction(thing) else module


def _described(module: str, name: str) -> str:
    thing = _thing(module, name)
    if inspect.isclass(thing):
        return _class(name, thing)
    if inspect.ismethod(thing):  # of the default client
        said = markdown((inspect.getdoc(thing) or "").partition("\n\n")[0])
        said += f"\n\nIt is {{py:meth}}`replicate_kit.client.Client.{name}` of the default client."
        return _directive("py:function", name + _signature(thing), said)
    if inspect.isfunction(thing):
        return _directive("py:function", name + _signature(thing), markdown(inspect.getdoc(thing) or ""))
    return _directive("py:data", name, _value(module, name, thing))


def _value(module: str, name: str, thing: Any) -> str:
    """Describe a value by the docstring below it, else by itself or by that of its kind."""
    if found := _texts_in(_source_of(module, name)).get(name):
        return markdown(found)
    if isinstance(thing, str | int | frozenset | tuple):
        return f"`{thing!r}`"
    return markdown((inspect.getdoc(thing) or "").partition("\n\n")[0])


def _source_of(module: str, name: str) -> ast.Module:
    """Read the module in which a name is assigned: this one, or the one that it is imported from."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    imported = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    origin = next((each.module for each in imported if name in [alias.name for alias in each.names]), None)
    return _source_of(origin, name) if origin else tree


def _texts_in(tree: ast.Module | ast.ClassDef) -> dict[str, str]:
    """Give the texts that stand below the assignments of a module or a class."""
    found: dict[str, str] = {}
    for node, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            text = inspect.cleandoc(str(below.value.value))
            found |= {each.id: text for each in targets if isinstance(each, ast.Name)}
    return found


def _class(name: str, kind: type) -> str:
    made = any(inspect.isfunction(getattr(kind, name)) for name in ("__init__", "__new__"))
    plain = not made or issubclass(kind, enum.Enum) or getattr(kind, "_is_protocol", False)
    bases = [each for each in kind.__bases__ if each in _public_classes()]
    parts = [
        "Bases: " + ", ".join(f"{{py:obj}}`~{home_of(each)}.{each.__name__}`" for each in bases)
        if bases
        else "",
        markdown(inspect.cleandoc(kind.__doc__ or "")),
        *_members(kind),
    ]
    sort = "py:exception" if issubclass(kind, Exception) else "py:class"
    return _directive(
        sort, name if plain else name + _signature(kind), "\n\n".join(filter(None, parts)), "::::"
    )


@functools.cache
def _public_classes() -> frozenset[type]:
    found = (_thing(module, name) for module, names in listed().items() for name in names)
    return frozenset(each for each in found if inspect.isclass(each))


def _members(kind: type) -> Iterator[str]:
    """Describe what a class has, and what it has from bases that are described nowhere else."""
    seen: set[str] = set()
    for base in kind.__mro__:
        if base.__module__.startswith("replicate_kit") and (base is kind or base not in _public_classes()):
            fields = _fields(base)
            for name in dict.fromkeys([*fields, *vars(base)]):
                # A name that has moved is there only to say where.
                if not name.startswith("_") and name not in seen and (name in fields or hasattr(kind, name)):
                    seen.add(name)
                    yield _member(kind, name, vars(base).get(name), fields.get(name))


def _fields(kind: type) -> dict[str, tuple[str, str]]:
    """Give the fields that a class declares: the type of each, and the text below it."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    texts = _texts_in(tree)
    return {
        node.target.id: (ast.unparse(node.annotation), texts.get(node.target.id, ""))
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _member(kind: type, name: str, raw: Any, field: tuple[str, str] | None) -> str:
    if field is not None:
        return _directive("py:attribute", f"{name}\n:type: {field[0]}", markdown(field[1]))
    if isinstance(raw, property | functools.cached_property):
        return _directive("py:property", name, markdown(inspect.getdoc(raw) or ""))
    thing = getattr(kind, name)
    if inspect.isclass(thing) or not callable(thing):
        return _directive("py:attribute", name, "")
    flag = {classmethod: "\n:classmethod:", staticmethod: "\n:staticmethod:"}.get(type(raw), "")
    return _directive("py:method", name + _signature(thing) + flag, _said(kind, name, thing))


def _said(kind: type, name: str, method: Any) -> str:
    """Give the docstring of a method, if its blocking twin has not the same."""
    said = inspect.getdoc(method) or ""
    for prefix in _AWAITED:
        twin = name.removeprefix(prefix)
        if twin != name and said and said == inspect.getdoc(getattr(kind, twin, None)):
            return f"Do what `{twin}` does, to be awaited."
    return markdown(said)


class _Shown(str):
    """Something that is shown as it stands here."""

    def __repr__(self) -> str:
        return str(self)


def _signature(thing: Any) -> str:
    """Write the parameters of a function, without `self`, or of a class."""
    found = inspect.signature(thing)
    given = [each for each in found.parameters.values() if each.name not in ("self", "cls")]
    shown = [
        each.replace(annotation=_typed(each.annotation), default=_default(each.default)) for each in given
    ]
    returned = inspect.Signature.empty if inspect.isclass(thing) else _typed(found.return_annotation)
    return str(found.replace(parameters=shown, return_annotation=returned))


def _typed(annotation: Any) -> Any:
    return _Shown(annotation) if isinstance(annotation, str) else annotation


def _default(value: Any) -> Any:
    """Show a default, if it can be typed."""
    return _Shown("...") if value is not inspect.Parameter.empty and "<" in repr(value) else value


def _directive(kind: str, head: str, text: str, fence: str = ":::") -> str:
    return f"{fence}{{{kind}}} {head}\n\n{text}\n{fence}"
