"""The settings of a run over many rows, as `client.map` takes them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from replicate_kit._formats.arguments import finite, flag
from replicate_kit._formats.templates import FIELDS
from replicate_kit._formats.wording import counted, escaped, listed, with_safe_repr
from replicate_kit.batch._ledger.entries import Retry, Retryable
from replicate_kit.batch._ledger.hashing import JournalInputs
from replicate_kit.batch._ledger.places import JournalPath
from replicate_kit.batch._ledger.stores import journal_text
from replicate_kit.batch._money.amounts import SECONDS, amount, amounts, whole
from replicate_kit.batch._money.pricing import Budget, Price
from replicate_kit.errors import ConfigError, InputError
from replicate_kit.resources._jobs.creating import deadline_seconds
from replicate_kit.storage import SaveTo

if TYPE_CHECKING:
    from replicate_kit.batch._plan.plan import Plan
    from replicate_kit.batch._results.progress import Progress
    from replicate_kit.stores._saving import Destination

__all__ = [
    "Errors",
    "MapOptions",
    "MapSettings",
    "OnInterrupt",
    "Options",
    "PlanOptions",
    "Retry",
    "check_label",
    "leaks",
]

# Seconds from its creation after which the API ends a prediction, also one that nobody looks after any more: half an
# hour to run, which is all that the API gives (its documentation of prediction limits), and as long in the queue.
_DEADLINE = 3600

_LONGEST_LABEL = 100  # characters
# Control characters, halves of surrogate pairs, and ends of lines and paragraphs.
_NOT_IN_LABELS = frozenset({"Cc", "Cs", "Zl", "Zp"})

_NO_PRICE = ", or None if it is not known"
_AS_MANY = ", or None for as many as the service takes well"

Errors = Literal["collect", "raise"]
OnInterrupt = Literal["cancel", "detach"]


class _PlanSettings(TypedDict, total=False):
    """`PlanOptions` but for `retry`."""

    journal: JournalPath | None
    journal_inputs: JournalInputs
    save_to: Destination | None
    storage_options: Mapping[str, Any] | None
    check_input: bool
    cancel_after: float | str | None
    dedupe: bool
    refresh_version: bool
    price: float | Mapping[str, float] | None
    price_per_second: float | None
    most: Mapping[str, float] | None
    budget: float | Budget | None
    retries: int
    creates_per_minute: float


class MapSettings(_PlanSettings, total=False):
    """`MapOptions` but for `retry`, of which whoever stands on `Client.map` may take something else: no TypedDict can
    give an option that it inherits another type.

    >>> from replicate_kit.batch import MapOptions, MapSettings
    >>> MapOptions.__optional_keys__ - MapSettings.__optional_keys__
    frozenset({'retry'})
    """

    label: str | None
    ordered: bool
    errors: Errors
    concurrency: int | None
    stems: Callable[[int, Mapping[str, Any]], str] | None
    progress: bool | Callable[[Progress], None] | None
    on_interrupt: OnInterrupt
    on_plan: Callable[[Plan], None] | None
    patience: float


class PlanOptions(_PlanSettings, total=False):
    """The options that decide what is to be paid; see `Client.map`."""

    retry: Retryable


class MapOptions(MapSettings, PlanOptions, total=False):
    """The options of `Client.map` and `Client.async_map`; see there."""


@with_safe_repr
@dataclass(frozen=True, kw_only=True)
class Options:
    """`MapOptions` with their defaults, checked."""

    journal: JournalPath | None = None
    journal_inputs: JournalInputs = "keep"
    label: str | None = None
    save_to: Destination | None = field(default=None, repr=False)  # `saving` shows it, without a password
    check_input: bool = True
    cancel_after: float | str | None = None
    dedupe: bool = True
    retry: Retryable = ()
    refresh_version: bool = False
    price: float | Mapping[str, float] | None = None
    price_per_second: float | None = None
    most: Mapping[str, float] | None = None
    ordered: bool = True
    errors: Errors = "collect"
    concurrency: int | None = None
    creates_per_minute: float = 600.0
    storage_options: Mapping[str, Any] | None = field(default=None, repr=False)
    stems: Callable[[int, Mapping[str, Any]], str] | None = None
    budget: float | Budget | None = None
    progress: bool | Callable[[Progress], None] | None = None
    retries: int = 2
    on_interrupt: OnInterrupt = "cancel"
    on_plan: Callable[[Plan], None] | None = None
    patience: float = 60.0
    saving: SaveTo | None = field(init=False)
    limits: Budget = field(init=False)
    cost: Price = field(init=False)
    deadline: int = field(init=False)

    def __post_init__(self) -> None:
        _choice("errors", self.errors, get_args(Errors))
        _choice("on_interrupt", self.on_interrupt, get_args(OnInterrupt))
        _choice("journal_inputs", self.journal_inputs, get_args(JournalInputs))
        check_label(self.label)
        object.__setattr__(self, "retry", tuple(listed(self.retry)))
        for each in self.retry:
            _choice("retry", each, get_args(Retry))
        if self.journal is not None:
            object.__setattr__(self, "journal", journal_text(self.journal))
        self._check_kinds()
        self._read_numbers()
        budget = _budget(self.budget)
        longest = None if self.cancel_after is None else _deadline(self.cancel_after)
        cost = self._price(longest)
        for name in budget.metrics or ():
            _check_most(name, "has a budget", cost.mosts)
        _check("budget", budget.money is None or cost.known, "used with price= or price_per_second=")
        _check("Budget(per='journal')", budget.per == "run" or self.journal is not None, "used with journal=")
        saving = None if self.save_to is None else SaveTo.of(self.save_to, self.storage_options)
        object.__setattr__(self, "saving", saving)
        object.__setattr__(self, "limits", budget)
        object.__setattr__(self, "cost", cost)
        object.__setattr__(self, "deadline", longest or _DEADLINE)

    def _check_kinds(self) -> None:
        """Refuse flags that are none, and what cannot be called: names are asked for once rows are paid."""
        for name in ("stems", "on_plan"):
            function = getattr(self, name)
            _check(f"{name}={function!r:.80}", function is None or callable(function), "a function")
        for name in ("dedupe", "ordered", "check_input", "refresh_version"):
            given = getattr(self, name)
            _check(f"{name}={given!r:.80}", _is_flag(given), "True or False")
        object.__setattr__(self, "progress", flag(self.progress))
        shown = self.progress is None or isinstance(self.progress, bool) or callable(self.progress)
        _check(f"progress={self.progress!r:.80}", shown, "True, False or a function")

    def _read_numbers(self) -> None:
        """Check the numbers, and hold them as Python's own: SQLite stores those of numpy as bytes."""
        read = {
            "price": _given(self.price, _price),
            "most": _given(self.most, lambda value: amounts("most", value, 512)),
            "price_per_second": _given(
                self.price_per_second, lambda value: amount("price_per_second", value, _NO_PRICE)
            ),
            "concurrency": _given(self.concurrency, lambda value: whole("concurrency", value, 1, _AS_MANY)),
            "creates_per_minute": amount("creates_per_minute", self.creates_per_minute, positive=True),
            "retries": whole("retries", self.retries, 0),
            "patience": amount("patience", self.patience, " (seconds)"),
        }
        for name, value in read.items():
            object.__setattr__(self, name, value)

    def _price(self, longest: int | None) -> Price:
        """Read prices: of a prediction, of a second, of units of metrics. What may be used of each has to be known."""
        units = dict(self.price) if isinstance(self.price, Mapping) else {}
        mosts = dict(self.most or {})
        _check("most", SECONDS not in mosts, f"without {SECONDS!r}, which cancel_after= limits: pass that")
        second = units.pop(SECONDS, None)
        if second is not None and self.price_per_second is not None:
            raise ConfigError(
                f"price={{{SECONDS!r}: …}} and price_per_second= are the same. Pass one of them. Nothing was created."
            )
        for name in units:
            _check_most(name, "has a price", mosts)
        each = None if isinstance(self.price, Mapping) else self.price
        return Price(each, self.price_per_second if second is None else second, longest, units, mosts)

    @property
    def place(self) -> str | None:
        """Where files are stored, as the journal knows it; None where they are not."""
        # A folder's name may be bytes that are no text, which a journal cannot hold as they are.
        return None if self.saving is None else escaped(str(self.saving))

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Make options of keywords; refuse those that nobody knows, before anything is spent."""
        known = [each.name for each in fields(cls) if each.init]
        # An option that is misspelt and passed over may be the one that limits what is spent.
        if unknown := sorted(set(given) - set(known)):
            raise ConfigError(
                f"map does not know the option{'s' if len(unknown) > 1 else ''} {', '.join(unknown)}. "
                f"Its options are: {', '.join(known)}. Inputs of the model belong into the rows."
            )
        return cls(**given)


def leaks(kept: int, options: Options) -> list[str]:
    """Say what of inputs gets, or has come, into a journal that is to hold none; `kept` is the number of such rows."""
    found: list[str] = []
    if kept:
        found.append(
            f"The journal has the inputs of {counted(kept, 'row')} of earlier runs, and journal_inputs='hash' is about "
            "what this run writes. journals.hash_inputs(path) and `replicate-kit journal hash-inputs JOURNAL` replace "
            "them by their hashes."
        )
    template = None if options.saving is None else options.saving.template
    fields = sorted(template.fields - FIELDS) if template else []
    if fields or options.stems is not None:
        what = f"The template of save_to puts {', '.join(fields)}" if fields else "stems= may put inputs"
        found.append(
            f"{what} into the names of files, and the journal keeps those names, journal_inputs='hash' or not. Without "
            "that, files are named by the hash of their row."
        )
    return found


def _is_flag(value: Any) -> bool:
    """Whether it is true or false for Python or numpy, or counts as that; a text such as "no" would count as true."""
    return value is None or isinstance(flag(value), int)


def check_label(value: Any, longest: int = _LONGEST_LABEL) -> None:
    """Refuse a label that cannot be told from others where people read it."""
    _check(
        f"label={value!r:.80}",
        value is None or _is_label(value, longest),
        f"a text of 1 to {longest} characters, on one line and without spaces around it, or None",
    )


def _is_label(value: Any, longest: int) -> bool:
    """Whether it is one."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= longest
        and value == value.strip()
        and _NOT_IN_LABELS.isdisjoint(map(unicodedata.category, value))
    )


def _given(value: Any, read: Callable[[Any], Any]) -> Any:
    """Read what was given."""
    return None if value is None else read(value)


def _price(given: Any) -> float | dict[str, float]:
    """Read a price: of a prediction, or of units of metrics."""
    if isinstance(given, Mapping):
        return amounts("price", given, 0.00001)
    return amount(
        "price", given, f"{_NO_PRICE}, or prices of units, such as {{'output_token_count': 0.00001}}"
    )


def _check_most(name: str, reason: str, mosts: Mapping[str, float]) -> None:
    """Refuse a metric of which it is not known how much one prediction may use: nothing could be reserved for it."""
    if name not in mosts:
        raise ConfigError(
            f"The metric {name!r} {reason}, and most= does not say how much of it one prediction uses at most. Pass "
            f"most={{{name!r}: …}}, such as what the model's inputs limit it to. Nothing was created."
        )


def _budget(given: Any) -> Budget:
    """Read a budget: money alone is that of one run."""
    if given is None or isinstance(given, Budget):
        return given or Budget()
    return Budget(money=amount("budget", given, ", or a Budget(predictions=…, seconds=…, money=…)"))


def _deadline(cancel_after: Any) -> int:
    """Read how long a prediction may take."""
    seconds = cancel_after if isinstance(cancel_after, str) else finite(cancel_after)
    try:
        return deadline_seconds(0.0 if seconds is None else seconds)
    except InputError:
        raise ConfigError(
            f"cancel_after={cancel_after!r} cannot be used. Pass seconds, such as 90, at least the 5 that the API asks "
            "for, or a text such as '1h30m45s'. Nothing was created."
        ) from None


def _choice(name: str, value: object, allowed: Collection[str]) -> None:
    """Refuse a word that is not one of those allowed."""
    _check(
        f"{name}={value!r:.80}",
        isinstance(value, str) and value in allowed,
        f"one of {', '.join(map(repr, allowed))}",
    )


def _check(name: str, right: bool, wanted: str) -> None:
    """Refuse a setting that cannot be meant."""
    if not right:
        raise ConfigError(f"{name} must be {wanted}. Nothing was created.")
