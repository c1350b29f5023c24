"""How a server shows inputs: what is told from it, and what is not."""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate_kit._unresolved.canonical import FILE
from replicate_kit._unresolved.echoes import Echoes, Similarity

OTHER, PERHAPS, SAME = Similarity.OTHER, Similarity.PERHAPS, Similarity.SAME
LONG = "a wombat in the rain, " * 20


def single(number: float) -> float:
    """Keep a number in four bytes."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


# What servers do to inputs: its name, one that is known, how it is shown, one that is looked for, how that is shown.
MANNERS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "as sent": ({"p": "a-1"}, {"p": "a-1"}, {"p": "a-2"}, {"p": "a-2"}),
    "another order": ({"p": "a", "n": 1}, {"n": 1, "p": "a"}, {"p": "b", "n": 2}, {"n": 2, "p": "b"}),
    "whole numbers as fractions": ({"n": 1}, {"n": 1.0}, {"n": 2}, {"n": 2.0}),
    "nulls left out": ({"p": "a", "n": None}, {"p": "a"}, {"p": "b", "n": None}, {"p": "b"}),
    "nulls filled in": ({"p": "a"}, {"p": "a", "n": None}, {"p": "b"}, {"p": "b", "n": None}),
    "a default": ({"p": "a"}, {"p": "a", "by": 3}, {"p": "b"}, {"p": "b", "by": 3}),
    "a default nobody named": ({"p": "a"}, {"p": "a", "fast": True}, {"p": "b"}, {"p": "b", "fast": True}),
    "defaults left out": ({"p": "a", "by": 3}, {"p": "a"}, {"p": "b", "by": 3}, {"p": "b"}),
    "secrets redacted": (
        *({"p": "a", "key": "s1"}, {"p": "a", "key": "[REDACTED]"}),
        *({"p": "b", "key": "s2"}, {"p": "b", "key": "***"}),
    ),
    "secrets left out": ({"p": "a", "key": "s1"}, {"p": "a"}, {"p": "b", "key": "s2"}, {"p": "b"}),
    "a constant redacted": (
        *({"p": "a", "token": "s"}, {"p": "a", "token": "[REDACTED]"}),
        *({"p": "b", "token": "s"}, {"p": "b", "token": "[REDACTED]"}),
    ),
    "composed": ({"p": "e\u0301"}, {"p": "é"}, {"p": "o\u0301"}, {"p": "ó"}),
    "compatible characters": ({"p": "ﬁn"}, {"p": "fin"}, {"p": "ﬁt"}, {"p": "fit"}),
    "stripped": ({"p": " a "}, {"p": "a"}, {"p": "b\n"}, {"p": "b"}),
    "lines ended otherwise": ({"p": "a\r\nb"}, {"p": "a\nb"}, {"p": "c\r\nd"}, {"p": "c\nd"}),
    "escaped": ({"p": "a & b"}, {"p": "a &amp; b"}, {"p": "c < d"}, {"p": "c &lt; d"}),
    "in lower case": ({"p": "A Hill"}, {"p": "a hill"}, {"p": "A Wombat"}, {"p": "a wombat"}),
    "without emoji": ({"p": "a 🐻"}, {"p": "a "}, {"p": "b 🐻"}, {"p": "b "}),
    "in four bytes": ({"x": 0.1}, {"x": single(0.1)}, {"x": 0.7}, {"x": single(0.7)}),
    "in eight bytes": ({"n": 2**53 + 1}, {"n": 2**53}, {"n": 2**60 + 1}, {"n": float(2**60)}),
    "rounded": ({"x": 0.123456789}, {"x": 0.123457}, {"x": 0.987654321}, {"x": 0.987654}),
    "numbers as texts": ({"n": 7}, {"n": "7"}, {"n": 8}, {"n": "8"}),
    "texts as numbers": ({"n": "7"}, {"n": 7}, {"n": "8"}, {"n": 8}),
    "in lists": (
        {"l": [{"x": 0.1}]},
        {"l": [{"x": single(0.1)}]},
        {"l": [{"x": 0.7}]},
        {"l": [{"x": single(0.7)}]},
    ),
    "another seed each time": ({"p": "a"}, {"p": "a", "seed": 17}, {"p": "b"}, {"p": "b", "seed": 99}),
}

# And those after which nobody can tell: the same, and whether it is known.
DOUBTFUL = {
    "cut": ({"p": LONG + "1"}, {"p": LONG[:100]}, {"p": LONG + "2"}, {"p": LONG[:100]}),
    "cut with a mark": (
        {"p": LONG + "1"},
        {"p": LONG[:100] + "…"},
        {"p": LONG + "2"},
        {"p": LONG[:100] + "…"},
    ),
    "hidden": ({"p": "a"}, {"p": "<text>"}, {"p": "b"}, {"p": "<text>"}),
    "hashed": ({"p": "a"}, {"p": "0cc175b9"}, {"p": "b"}, {"p": "92eb5ffe"}),
    "all hidden": ({"p": "a"}, {}, {"p": "b"}, {}),
    "left out": ({"p": "a", "q": "c"}, {"q": "c"}, {"p": "b", "q": "c"}, {"q": "c"}),
    "a file elsewhere": (
        *({"f": {FILE: "00"}}, {"f": "https://a.test/1"}),
        *({"f": {FILE: "11"}}, {"f": "https://a.test/2"}),
    ),
}


def echoes(*known: tuple[dict[str, Any], dict[str, Any]]) -> Echoes:
    """What is known of a server with a default and a secret."""
    made = Echoes({"by": 3}, {"key"})
    for sent, shown in known:
        made.learn(sent, shown)
    return made


@pytest.mark.parametrize("manner", [*MANNERS, *DOUBTFUL])
def test_no_manner_of_a_server_proves_that_a_prediction_is_anothers_before_it_is_known(manner: str) -> None:
    *_, sent, shown = {**MANNERS, **DOUBTFUL}[manner]
    assert echoes().compare(shown, sent) is not OTHER


@pytest.mark.parametrize("manner", MANNERS)
def test_a_manner_that_is_known_is_recognised(manner: str) -> None:
    known, known_shown, sent, shown = MANNERS[manner]
    more = [(sent, {**shown, "seed": 5})] if "seed" in shown else []
    assert echoes((known, known_shown), *more).compare(shown, sent) is SAME


@pytest.mark.parametrize("manner", DOUBTFUL)
def test_what_hides_the_difference_leaves_it_open(manner: str) -> None:
    known, known_shown, sent, shown = DOUBTFUL[manner]
    assert echoes((known, known_shown)).compare(shown, sent) is PERHAPS


@pytest.mark.parametrize("manner", [name for name in MANNERS if name not in ("a constant redacted",)])
def test_another_row_is_told_apart_once_the_manner_is_known(manner: str) -> None:
    known, known_shown, sent, _ = MANNERS[manner]
    assert echoes((known, known_shown), (sent, MANNERS[manner][3])).compare(known_shown, sent) is OTHER


@pytest.mark.parametrize(
    "text",
    ["Ä", "a🐻", "a&b", " a", "a  b", "e\u0301", "A", "1", "https://a.test/x", "true", "a\nb", LONG, ""],
)
def test_texts_of_a_kind_that_was_not_seen_may_be_shown_in_another_form(text: str) -> None:
    made = echoes(({"p": "a"}, {"p": "a"}))
    assert made.compare({"p": "b"}, {"p": text}) is PERHAPS
    made.learn({"p": text}, {"p": text})
    assert made.compare({"p": "b"}, {"p": text}) is OTHER


@pytest.mark.parametrize("number", [-1, 0.5, 0.1, 2**30, 2**52, 2**60, 1e20, 1e-7, 0.123456789])
def test_numbers_of_a_kind_that_was_not_seen_may_be_shown_in_another_form(number: float) -> None:
    made = echoes(({"n": 3}, {"n": 3}))
    assert made.compare({"n": 4}, {"n": number}) is PERHAPS
    made.learn({"n": number}, {"n": number})
    assert made.compare({"n": 4}, {"n": number}) is OTHER


def test_an_input_that_others_left_out_and_nobody_filled_in_was_sent_by_somebody_else() -> None:
    made = echoes(({"p": "a"}, {"p": "a"}))
    assert made.compare({"p": "b", "seed": 7}, {"p": "b"}) is OTHER
    assert echoes().compare({"p": "b", "seed": 7}, {"p": "b"}) is PERHAPS
    assert echoes(({"p": "a"}, {"p": "a", "seed": 1})).compare({"p": "b", "seed": 7}, {"p": "b"}) is PERHAPS


def test_what_is_only_a_secret_tells_nothing() -> None:
    assert echoes().compare({"key": "[REDACTED]"}, {"key": "s1"}) is PERHAPS
    assert echoes().compare({"key": "[REDACTED]", "p": "a"}, {"key": "s1", "p": "a"}) is SAME


def test_a_field_that_is_hidden_at_times_never_proves_anything() -> None:
    made = echoes(({"p": "a"}, {"p": "a"}), ({"p": "b"}, {"p": "[moderated]"}))
    assert made.compare({"p": "c"}, {"p": "d"}) is PERHAPS


def test_where_another_operation_may_show_more_equality_counts_once_values_are_known_to_be_shown_in_full() -> (
    None
):
    made = Echoes(partial=True)
    assert made.compare({"p": "a-1"}, {"p": "a-1"}) is PERHAPS
    made.learn({"p": "a-22"}, {"p": "a-22"})
    assert made.compare({"p": "a-1"}, {"p": "a-1"}) is SAME
    assert made.compare({"p": "a-333"}, {"p": "a-333"}) is PERHAPS  # it may cut there


@pytest.mark.parametrize("partial", [True, False])
def test_a_text_that_others_are_cut_to_is_anybodys(partial: bool) -> None:
    made = Echoes(partial=partial)
    made.learn({"p": "row-117"}, {"p": "row-11"})
    assert made.compare({"p": "row-12"}, {"p": "row-12"}) is PERHAPS
    assert not made.tells({"p": "row-12"})


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("the secret1", "[REDACTED]"),
        ("damn fox", "d*** fox"),
        ("use sk-abc3 now", "use sk-*** now"),
        ("secret1", ""),
        ("a photo of a damn fox in the rain, at night", "a photo of a darn fox in the rain, at night"),
        ("a photo of a damn fox in the rain, at night", "a photo of a fox in the rain, at night"),
        (999, 100),
        (-5, 0),
        (0.999, 0.5),
        ("a text of 22 letters 1", "a text of 22 letters..."),
    ],
)
def test_a_value_that_alone_is_changed_is_not_taken_for_anothers(sent: Any, shown: Any) -> None:
    texts = ["a fox", "a wombat by the sea-side", "the rain, 17 of 23", "at night"]
    plain = texts if isinstance(sent, str) else [1, 7, 0.25, 0.125, 80]
    made = echoes(*(({"p": each}, {"p": each}) for each in plain))
    assert made.compare({"p": shown}, {"p": sent}) is PERHAPS


def test_a_number_that_is_no_bound_is_anothers_although_the_one_that_was_sent_is_beyond_those_known() -> None:
    made = echoes(*(({"n": number}, {"n": number}) for number in range(12)))
    assert made.compare({"n": 7}, {"n": 99}) is OTHER
    assert made.compare({"n": 11}, {"n": 99}) is PERHAPS
    assert made.compare({"n": 50}, {"n": 99}) is PERHAPS


def test_what_others_are_changed_to_is_anybodys_and_all_else_is_told() -> None:
    made = echoes(({"p": "e\u0301", "x": 0.1}, {"p": "é", "x": single(0.1)}))
    assert made.compare({"p": "é", "x": 0.5}, {"p": "é", "x": 0.5}) is PERHAPS
    assert made.compare({"p": "o", "x": 0.5}, {"p": "o", "x": 0.5}) is SAME


def test_what_hides_others_is_anybodys() -> None:
    made = echoes(({"p": "secret words"}, {"p": "…"}))
    assert made.compare({"p": "…"}, {"p": "…"}) is PERHAPS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
# How fast a machine makes inputs says nothing of the code.
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])
INPUTS = st.dictionaries(st.sampled_from(["p", "n", "by", "key", "l"]), JSON, max_size=4)


@unhurried
@given(known=st.lists(st.tuples(INPUTS, INPUTS), max_size=4), sent=INPUTS)
def test_what_is_shown_as_it_was_sent_is_never_anothers(known: Any, sent: dict[str, Any]) -> None:
    assert echoes(*known).compare(sent, sent) is not OTHER


@unhurried
@given(known=st.lists(INPUTS, max_size=4), sent=INPUTS, change=st.sampled_from(["composed", "fold", "half"]))
def test_a_server_that_changes_all_that_it_shows_is_never_taken_at_its_word(
    known: list[dict[str, Any]], sent: dict[str, Any], change: str
) -> None:
    changes: dict[str, Callable[[str], str]] = {
        "composed": lambda text: unicodedata.normalize("NFC", text),
        "fold": str.upper,
        "half": lambda text: text[: len(text) // 2],
    }

    def shown(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shown(each) for key, each in value.items()}
        if isinstance(value, list):
            return [shown(each) for each in value]
        return changes[change](value) if isinstance(value, str) else value

    made = echoes(*((each, shown(each)) for each in known))
    assert made.compare(shown(sent), sent) is not OTHER
