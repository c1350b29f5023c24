"""Which prediction is whose."""

from __future__ import annotations

from typing import Any

import pytest

from replicate_kit._formats.references import Reference
from replicate_kit._unresolved.canonical import canonical, fingerprint
from replicate_kit._unresolved.clocks import Span
from replicate_kit._unresolved.echoes import Echoes, Similarity
from replicate_kit._unresolved.matching import Match, Shown, Wanted, alone, is_of, matched

OTHER, PERHAPS, SAME = Similarity.OTHER, Similarity.PERHAPS, Similarity.SAME
WINDOW = Span(0.0, 100.0)


def wanted(input: dict[str, Any], window: Span = WINDOW) -> Wanted:
    return Wanted(fingerprint(input), canonical(input), window, [window])


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


SENT = {"n": 1, "key": "s"}


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], ("a", 0)),
        ([{"n": 1, "key": "s"}], (None, 2)),  # an equal one
        ([{"n": 1, "key": "t"}], (None, 2)),  # one that may be equal, as the key is never compared
        ([{"n": 2, "key": "s"}], ("a", 0)),  # a server shows equal inputs alike
        ([{"n": 1.5, "key": "s", "by": 3}], ("a", 0)),
        ([None], (None, 2)),  # one that is hidden may be any
    ],
)
def test_one_that_surely_fits_is_found_where_no_other_can_be_it(
    others: list[dict[str, Any] | None], expected: tuple[str | None, int]
) -> None:
    echoes = Echoes({}, {"key"})
    free = [shown("a", SENT, echoes), *(shown("b", each, echoes) for each in others)]
    assert told([alone(wanted(SENT), free)]) == [expected]
    assert told([alone(wanted(SENT), free[::-1])]) == [expected]


def test_what_only_may_be_it_is_not_found_however_alone_it_is() -> None:
    free = [shown("a", {"n": 1.5}, Echoes())]
    assert told([alone(wanted({"n": 1}), free)]) == [(None, 1)]


def test_what_a_list_shows_like_the_one_that_fits_may_be_it() -> None:
    lists, gets = Echoes(partial=True), Echoes()
    cut = shown("a", {"p": "a wombat …"}, lists), shown("b", {"p": "a wombat …"}, lists)
    got = shown("a", {"p": "a wombat, 1"}, gets)._replace(listed=cut[0].listed)
    assert told([alone(wanted({"p": "a wombat, 1"}), [got, cut[1]])]) == [(None, 2)]
    other = shown("b", {"p": "a numbat …"}, lists)
    assert told([alone(wanted({"p": "a wombat, 1"}), [got, other])]) == [("a", 0)]


def test_one_of_another_name_counts_only_where_none_of_this_name_fits() -> None:
    echoes = Echoes()
    other = shown("b", {"n": 1}, echoes)._replace(kin=PERHAPS)
    assert told([alone(wanted({"n": 1}), [other])]) == [(None, 1)]
    assert told([alone(wanted({"n": 1}), [shown("a", {"n": 1}, echoes), other])]) == [("a", 0)]


def test_between_the_readings_of_two_clocks_nothing_is_surely_it() -> None:
    looked_for = wanted({"n": 1}, Span(0.0, 100.0))._replace(readings=[Span(0.0, 5.0), Span(95.0, 100.0)])
    seconds = {2: "a", 50: None}
    for second, found in seconds.items():
        free = [shown("a", {"n": 1}, Echoes(), second=second)]
        assert told([alone(looked_for, free)]) == [(found, 0 if found else 1)]


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
