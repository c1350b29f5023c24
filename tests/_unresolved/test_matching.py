"""Which prediction is whose."""

from __future__ import annotations

from typing import Any

import pytest

from replicate_kit._formats.references import Reference
from replicate_kit._unresolved.canonical import canonical, fingerprint
from replicate_kit._unresolved.clocks import Span
from replicate_kit._unresolved.echoes import Echoes, Similarity
from replicate_kit._unresolved.matching import Match, Shown, Wanted, is_of, matched

OTHER, PERHAPS, SAME = Similarity.OTHER, Similarity.PERHAPS, Similarity.SAME
WINDOW = Span(0.0, 100.0)


def wanted(input: dict[str, Any], window: Span = WINDOW) -> Wanted:
    return Wanted(fingerprint(input), canonical(input), window)


def shown(id: str, input: dict[str, Any] | None, echoes: Echoes, second: int = 1) -> Shown:
    prediction = {"id": id, "input": input, "created_at": f"1970-01-01T00:00:{second:02}Z"}
    return Shown.of(prediction, SAME, echoes)


def told(matches: list[Match]) -> list[tuple[str | None, int]]:
    """The id of what was found for each, and how many may be it."""
    return [(each.found and each.found.prediction["id"], len(each.doubtful)) for each in matches]


def test_each_prediction_is_one_rows() -> None:
    echoes = Echoes()
    free = [shown("a", {"n": 1}, echoes), shown("b", {"n": 1}, echoes)]
    assert told(matched([wanted({"n": 1})] * 3, free)) == [("a", 0), ("b", 0), (None, 0)]


def test_what_is_shown_as_it_was_sent_comes_before_what_is_like_it() -> None:
    echoes = Echoes({}, {"key"})
    free = [shown("a", {"n": 1, "key": "***"}, echoes), shown("b", {"n": 1, "key": "s"}, echoes)]
    assert told(matched([wanted({"n": 1, "key": "s"})], free)) == [("b", 0)]


def test_what_fits_two_inputs_alike_is_adopted_for_neither() -> None:
    echoes = Echoes({}, {"key"})
    free = [shown("a", {"n": 1, "key": "***"}, echoes)]
    rows = [wanted({"n": 1, "key": "s"}), wanted({"n": 1, "key": "t"})]
    assert told(matched(rows, free)) == [(None, 1), (None, 1)]
    assert told(matched(rows[:1] * 2, free)) == [("a", 0), (None, 0)]  # equal rows may change places


def test_a_prediction_of_another_time_is_not_a_rows() -> None:
    echoes = Echoes()
    free = [shown("a", {"n": 1}, echoes, second=1), shown("b", None, echoes, second=7)]
    assert told(matched([wanted({"n": 1}, Span(5.0, 9.0))], free)) == [(None, 1)]
    assert told(matched([wanted({"n": 1}, Span(5.0, 6.0))], free)) == [(None, 0)]


@pytest.mark.parametrize(
    ("reference", "prediction", "known", "kin"),
    [
        ("a/b", {"model": "a/b"}, [], SAME),
        ("a/b", {"model": "A/B"}, [], SAME),
        ("a/b", {"model": None}, [], SAME),
        ("a/b", {"model": "a/c"}, [], OTHER),
        ("a/b", {"model": "a/c"}, [("a/c", None, None)], SAME),  # it was renamed
        ("deployments/a/b", {"model": "x/y", "deployment": "a/b"}, [], SAME),
        ("deployments/a/b", {"model": "x/y", "deployment": "c"}, [], OTHER),
        ("f" * 64, {"version": "f" * 64}, [], SAME),
        ("f" * 64, {"version": "hidden"}, [], SAME),
        ("f" * 64, {"version": "0" * 64}, [], PERHAPS),  # a version may be answered with another
        ("f" * 64, {"version": "0" * 64}, [(None, "f" * 64, None)], OTHER),
        ("f" * 64, {"version": "0" * 64}, [(None, "0" * 64, None)], SAME),
    ],
)
def test_a_prediction_is_of_the_model_deployment_or_version_that_was_run(
    reference: str, prediction: dict[str, Any], known: list[Any], kin: Similarity
) -> None:
    assert is_of(Reference.parse(reference), prediction, known) is kin
