"""One result as a card of the page. Whatever a model or a table said is text here, never markup."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Protocol

from replicate_kit._formats.redacting import HIDDEN_INPUT, input_secrets, scrubbed, without_secrets
from replicate_kit._formats.wording import bounded
from replicate_kit.gallery._media import Media, find_media

__all__ = ["Shown", "card", "kinds_of", "settings", "shared_settings"]

_CAPTIONS = ("prompt", "text", "title", "question", "caption", "query", "name")
_LONGEST = 20_000  # characters of a text; more than anybody reads on a page of many


class Shown(Protocol):
    """What a card shows: the results of `client.map` have all of it."""

    @property
    def input(self) -> Any:
        """The mapping that the model was given."""
        ...

    @property
    def output(self) -> Any:
        """What it gave, as JSON: texts, URLs of files, lists."""
        ...

    @property
    def error(self) -> Any:
        """Why there is no output, or None."""
        ...

    @property
    def status(self) -> str:
        """How it ended, in a word."""
        ...

    @property
    def prediction_id(self) -> str | None:
        """The id of the prediction, if there was one."""
        ...

    @property
    def seconds(self) -> float | None:
        """How long the model worked."""
        ...

    @property
    def cached(self) -> bool:
        """Whether it was known from an earlier run."""
        ...

    @property
    def files(self) -> Any:
        """The files that were stored: their URLs or paths, or records that have a `url`."""
        ...


def card(result: Shown, folder: Path, known: Collection[str] = ()) -> str:
    """Make the card of one result; settings that are `known`, since all cards share them, are left out."""
    media, rest = _parts(result, folder)
    kinds = " ".join(sorted(kinds_of(result, folder)))
    secrets = input_secrets(result.input, _declared(result))
    body = "".join(
        [*map(_media, media), *(_text(each, secrets) for each in rest), _error(result.error, secrets)]
    )
    return (
        f'<article class="card" data-kinds="{kinds}">{body}'
        f'<div class="about">{_caption(_shown_input(result), known)}{_foot(result)}</div></article>\n'
    )


def _declared(result: Shown) -> Collection[str]:
    """The inputs that the model's schema declares to be secret, where the result knows them."""
    return getattr(result, "secret_inputs", ())


def _shown_input(result: Shown) -> Any:
    """The input without its secrets, wherever they stand in it."""
    if not isinstance(result.input, Mapping):
        return result.input
    shown, secrets = (
        without_secrets(result.input, _declared(result)),
        input_secrets(result.input, _declared(result)),
    )
    return {
        name: scrubbed(each, secrets, HIDDEN_INPUT) if isinstance(each, str) else each
        for name, each in shown.items()
    }


def kinds_of(result: Shown, folder: Path) -> set[str]:
    """Say what is on the card: image, audio, video, file, text, failed."""
    media, rest = _parts(result, folder)
    found = {str(each.kind) for each in media} | ({"text"} if rest else set())
    return found | ({"failed"} if result.error is not None else set())


def _parts(result: Shown, folder: Path) -> tuple[list[Media], list[Any]]:
    """Part an output into its files and the rest."""
    files = frozenset(str(getattr(each, "url", each)) for each in result.files or ())
    leaves = list(_leaves(result.output))
    media = [(each, find_media(each, folder, files)) for each in leaves]
    found = [file for _, file in media if file is not None]
    if not found and isinstance(result.output, dict | list) and leaves:
        return [], [result.output]
    return found, [each for each, file in media if file is None]


def _leaves(value: Any) -> Iterator[Any]:
    """Give what is in an output, in order, however deep."""
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, Mapping | list):
            stack.extend(reversed(list(each.values()) if isinstance(each, Mapping) else each))
        elif each is not None:
            yield each


def _media(media: Media) -> str:
    """Show a file as what it is."""
    name = escape(media.name or "file", quote=True)
    if media.link is None:
        return f'<p class="file"><span>{name}</span></p>'
    link = escape(media.link, quote=True)
    match media.kind:
        case "image":
            return (
                f'<a class="picture" href="{link}"><img src="{link}" alt="{name}" loading="lazy" '
                'decoding="async"></a>'
            )
        case "audio":
            return f'<audio src="{link}" controls preload="metadata"></audio>'
        case "video":
            return f'<video src="{link}" controls preload="metadata" playsinline></video>'
        case _:
            return f'<p class="file"><a href="{link}" download>{name}</a></p>'


def _text(value: Any, secrets: Collection[str]) -> str:
    """Show a text as it is, but for secret inputs that it quotes, and anything deeper as JSON."""
    if isinstance(value, str):
        return f'<div class="text">{escape(_cut(scrubbed(value, secrets, HIDDEN_INPUT)))}</div>'
    return f'<pre class="json">{escape(_cut(scrubbed(_json(value, indent=2), secrets, HIDDEN_INPUT)))}</pre>'


def _cut(text: str) -> str:
    """Leave out the middle of what nobody would read here."""
    return bounded(text, _LONGEST)


def _json(value: Any, *, indent: int | None = None) -> str:
    """Write JSON as people read it; say so where a value is nested too deeply for it, or a number too long."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, default=str, skipkeys=True)
    except (TypeError, ValueError, RecursionError):
        return "(a value that cannot be shown here)"


def _error(error: Any, secrets: Collection[str]) -> str:
    """Show what went wrong."""
    if error is None:
        return ""
    kind = type(error).__name__ if isinstance(error, BaseException) else "Error"
    said = scrubbed(str(error), secrets, HIDDEN_INPUT)
    return f'<div class="error"><strong>{escape(kind)}</strong><p>{escape(_cut(said))}</p></div>'


def shared_settings(results: Sequence[Shown]) -> dict[str, Any]:
    """Find the inputs that have the same value in all of several results, captions aside."""
    inputs = [_shown_input(result) for result in results if isinstance(result.input, Mapping)]
    if len(inputs) < 2 or len(inputs) < len(results):
        return {}
    captions = {_caption_name(each) for each in inputs}
    shared = {name: value for name, value in inputs[0].items() if name not in captions}
    return {
        name: value
        for name, value in shared.items()
        if all(name in each and _same(each[name], value) for each in inputs[1:])
    }


def _same(one: Any, other: Any) -> bool:
    """Whether two settings are equal; what is nested too deeply to be compared is not."""
    try:
        return bool(one == other)
    except RecursionError:
        return False


def settings(input: Mapping[str, Any], known: Collection[str | None] = ()) -> str:
    """Show settings in a line, except those that are `known`."""
    parts = [
        f"<span><i>{escape(str(name))}</i> {escape(_brief(value))}</span>"
        for name, value in input.items()
        if name not in known and value is not None
    ]
    return f'<p class="settings">{"".join(parts)}</p>' if parts else ""


def _caption(input: Any, known: Collection[str]) -> str:
    """Show the input: what people read first, then the settings."""
    if not isinstance(input, Mapping):
        return ""
    name = _caption_name(input)
    shown = f'<p class="caption">{escape(_cut(input[name]))}</p>' if name is not None else ""
    return shown + settings(input, {*known, name})


def _caption_name(input: Mapping[str, Any]) -> str | None:
    """Choose the input that tells people which one it is."""
    return next((each for each in (*_CAPTIONS, *input) if isinstance(input.get(each), str)), None)


def _brief(value: Any) -> str:
    """One setting in a few characters."""
    text = value if isinstance(value, str) else _json(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _foot(result: Shown) -> str:
    """Show what became of the prediction."""
    status = escape(result.status, quote=True)
    parts = [f'<span class="status {status}">{status}</span>']
    if result.seconds is not None:
        parts.append(f"<span>{result.seconds:.1f} s</span>")
    if result.cached:
        parts.append('<span title="Known from an earlier run">cached</span>')
    if result.prediction_id:
        parts.append(f"<code>{escape(result.prediction_id)}</code>")
    return f'<p class="foot">{"".join(parts)}</p>'
