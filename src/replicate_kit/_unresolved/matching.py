"""Which prediction that the API shows is one that was asked for."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit._unresolved.canonical import fingerprint
from replicate_kit._unresolved.echoes import Echoes, Similarity
from replicate_kit.records import parse_time

if TYPE_CHECKING:
    from replicate_kit._formats.references import Reference
    from replicate_kit._unresolved.clocks import Span
    from replicate_kit.schema import ModelSchema

__all__ = ["Kind", "Match", "Shown", "Wanted", "alone", "is_of", "kind_of", "matched", "misfit"]

JSON = dict[str, Any]
Kind = tuple[Any, Any, Any]
"""What a prediction is of, as the API shows it: its model, version and deployment."""


class Wanted(NamedTuple):
    """What is looked for: a fingerprint of what was sent, the canonical input, and when it was created.

    `readings` are the parts of that time that one clock or another names.
    """

    fingerprint: bytes
    input: str
    window: Span
    readings: Sequence[Span] = ()


class Shown(NamedTuple):
    """A prediction as the API shows it, and how the operation that shows it treats inputs.

    `created` is its `created_at`, `fingerprint` that of its input; each None where it is not shown. `kin` says whether
    it is of what was run. `listed` is the fingerprint of its input as the list shows it, where this is from a GET.
    """

    prediction: JSON
    created: float | None
    fingerprint: bytes | None
    kin: Similarity
    echoes: Echoes
    listed: bytes | None = None

    @classmethod
    def of(cls, prediction: JSON, kin: Similarity, echoes: Echoes) -> Shown:
        """Read what is shown."""
        timestamp = parse_time(prediction.get("created_at"))
        input = None if prediction.get("data_removed") else prediction.get("input")
        known = fingerprint(input) if isinstance(input, dict) else None
        return cls(
            prediction, None if timestamp is None else timestamp.timestamp(), known, kin, echoes, known
        )

    def is_exact(self, wanted: Wanted) -> bool:
        """Whether it shows exactly what was sent, and would not show anything else like that."""
        if self.kin is not Similarity.SAME or self.fingerprint != wanted.fingerprint:
            return False
        return self.echoes.tells(json.loads(wanted.input))

    def similarity(self, sent: Mapping[str, Any]) -> Similarity:
        """Compare with an input that was sent."""
        if self.fingerprint is None:
            return Similarity.PERHAPS
        return min(self.kin, self.echoes.compare(self.prediction["input"], sent))

    def is_in_time(self, wanted: Wanted) -> bool:
        """Whether it was created while the server may have acted on the request."""
        return self.created is None or wanted.window.first <= self.created <= wanted.window.last

    def is_timely(self, wanted: Wanted) -> bool:
        """Whether it was created when one of the clocks says so: between two that differ may lie hours."""
        return self.created is not None and any(
            each.first <= self.created <= each.last for each in wanted.readings
        )

    def is_after(self, wanted: Wanted) -> bool:
        """Whether it was not created before the request."""
        return self.created is None or self.created >= wanted.window.first


class Match(NamedTuple):
    """What was found of one that is wanted: its prediction, or those that may be it."""

    found: Shown | None
    doubtful: Sequence[Shown] = ()

    def in_doubt(self) -> Match:
        """The same where what was found need not be it."""
        return self if self.found is None else Match(None, [self.found, *self.doubtful])


def matched(wanted: Sequence[Wanted], free: Sequence[Shown]) -> list[Match]:
    """Take the first prediction that fits out of those that are free, first what is shown as it was sent.

    One that fits different inputs alike is none's: it is doubtful for each of them. One that was created later than
    the request may be another row's, where one that is hidden was in time.
    """
    hidden = [each for each in free if each.fingerprint is None]
    found: dict[int, Shown] = {}
    taken: set[int] = set()

    def take(index: int, fitting: Iterable[Shown]) -> None:
        late = not any(each.is_in_time(wanted[index]) for each in hidden)
        for each in fitting:
            if id(each) not in taken and (late or each.is_in_time(wanted[index])):
                taken.add(id(each))
                found[index] = each
                return

    # Of equal rows the one that was sent first takes the oldest prediction: in `free` the oldest come first.
    oldest_first = sorted(range(len(wanted)), key=lambda index: wanted[index].window.first)
    for index in oldest_first:
        row = wanted[index]
        take(index, (each for each in free if each.is_exact(row) and each.is_after(row)))
    left = [each for each in free if id(each) not in taken]
    alike = {index: _compared(wanted[index], left) for index in oldest_first if index not in found}
    several = _fitting_several({wanted[index].input: alike[index] for index in alike})
    for index, compared in alike.items():
        same = (each for each, similarity in compared if similarity is Similarity.SAME)
        take(index, (each for each in same if id(each) not in several))
    return [
        Match(
            found.get(index), [each for each in _doubtful(row, alike.get(index, ())) if id(each) not in taken]
        )
        for index, row in enumerate(wanted)
    ]


def alone(wanted: Wanted, free: Iterable[Shown]) -> Match:
    """Find the one that is surely it, if no other can be; else all that may be it are doubtful, the likeliest first.

    A server shows equal inputs alike. So where one shows surely what was sent, others may be it only if they do, too,
    or if the list shows of both the same or shows nothing of the other.
    """
    compared = [
        (shown, similarity) for shown, similarity in _compared(wanted, free) if shown.is_in_time(wanted)
    ]
    sure = [shown for shown, similarity in compared if similarity is Similarity.SAME]
    as_listed = {None, *(shown.listed for shown in sure)}
    if sure:
        # One of another name may have been run in its place. Where one of this name was run, it was not.
        compared = [
            (shown, similarity)
            for shown, similarity in compared
            if shown.kin is Similarity.SAME and (similarity is Similarity.SAME or shown.listed in as_listed)
        ]
    if len(compared) == 1 and sure and sure[0].is_timely(wanted):
        return Match(sure[0])
    likeliest_first = sorted(compared, key=lambda each: (-each[1], each[0].fingerprint != wanted.fingerprint))
    return Match(None, [shown for shown, _ in likeliest_first])


def _compared(wanted: Wanted, free: Iterable[Shown]) -> list[tuple[Shown, Similarity]]:
    """Compare one that is wanted with all that were not created before it; give those that may be it."""
    sent = json.loads(wanted.input)
    each = ((shown, shown.similarity(sent)) for shown in free if shown.is_after(wanted))
    return [(shown, similarity) for shown, similarity in each if similarity is not Similarity.OTHER]


def _doubtful(wanted: Wanted, compared: Iterable[tuple[Shown, Similarity]]) -> list[Shown]:
    """Those that may be it, by their input and their time."""
    return [shown for shown, _ in compared if shown.is_in_time(wanted)]


def _fitting_several(alike: Mapping[str, Sequence[tuple[Shown, Similarity]]]) -> set[int]:
    """Find what fits more than one input, by the ids of the objects."""
    seen: set[int] = set()
    several: set[int] = set()
    for each in alike.values():
        fitting = {id(shown) for shown, similarity in each if similarity is Similarity.SAME}
        several |= seen & fitting
        seen |= fitting
    return several


def kind_of(prediction: Mapping[str, Any]) -> Kind:
    """Read what a prediction is of."""
    return prediction.get("model"), prediction.get("version"), prediction.get("deployment")


def is_of(target: Reference, prediction: Mapping[str, Any], known: Collection[Kind] = ()) -> Similarity:
    """Tell whether a prediction is of what was run. `known` are the kinds that predictions of it are shown as.

    A server may run another version than was asked for (seen in recorded traffic). So where only a version is known,
    and nothing that it was shown as, a prediction of any other may be of it.
    """
    model, version, deployment = kind = kind_of(prediction)
    if kind in known:
        return Similarity.SAME
    if target.model is not None:  # names of models are the same in upper and lower case
        same = model is None or str(model).casefold() == target.model.casefold()
    elif target.deployment:
        same = deployment in (f"{target.owner}/{target.name}", target.name, None)
    else:
        same = version in (target.version, "hidden", None)
        if not same and not known:
            return Similarity.PERHAPS
    return Similarity.SAME if same else Similarity.OTHER


def misfit(
    target: Reference, input: str, prediction: Mapping[str, Any], schema: ModelSchema | None
) -> str | None:
    """Say why a prediction cannot be a row's; None if it can, also where its input is not shown any more."""
    if is_of(target, prediction) is not Similarity.SAME or not _is_of_version(target, prediction):
        return f"it is of {prediction.get('model') or prediction.get('version')}, and not of {target}"
    shown = prediction.get("input")
    if prediction.get("data_removed") or not isinstance(shown, dict):
        return None
    # A difference counts although nothing is known of the server: the row is only unknown then, nothing is paid for it,
    # and whoever named the prediction may pass check=False.
    similarity = Echoes.of(schema, trusting=True).compare(shown, json.loads(input))
    return "it has another input" if similarity is Similarity.OTHER else None


def _is_of_version(target: Reference, prediction: Mapping[str, Any]) -> bool:
    """Whether it is of the version that is run, where one is; the API hides those of some models."""
    return target.version is None or prediction.get("version") in (target.version, "hidden", None)
