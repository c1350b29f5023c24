"""Options that cannot be meant: numbers that nothing can be counted by, and what does nothing without another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from replicate_kit.simulator import default

Invoke = Callable[..., Result]

MAP = ("map", "demo/poet", "t.csv")
RUN = ("run", "demo/poet", "prompt=sea")
HUGE = "9" * 30

NUMBERS: list[tuple[tuple[object, ...], str, tuple[str, ...]]] = [
    (MAP, "--limit", ("0", "-1", "nan", "inf", HUGE, "1.5", "")),
    (MAP, "--concurrency", ("0", "-1", "nan", "inf", HUGE)),
    (MAP, "--retries", ("-1", "nan", "inf", HUGE)),
    (MAP, "--max-predictions", ("-1", "nan", "inf", HUGE)),
    (MAP, "--budget", ("-1", "nan", "inf", "1e999", "", "image_count=-1", "=1")),
    (MAP, "--price", ("-1", "nan", "inf", "1e999", "", "image_count=-1", "image_count=", "=1")),
    ((*MAP, "--price", "1"), "--price", ("2", "image_count=1")),
    (MAP, "--most", ("512", "image_count=nan", "=1", "")),
    (MAP, "--price-per-second", ("-1", "nan", "inf", "1e999", "")),
    (MAP, "--cancel-after", ("0", "-1", "4", "nan", "inf", HUGE, "")),
    (RUN, "--timeout", ("0", "-1", "nan", "inf", "1e999", "")),
    (RUN, "--cancel-after", ("0", "-1", "4", "nan", "inf", HUGE, "")),
    (("stream", *RUN[1:]), "--cancel-after", ("0", "-1", "4", "nan", "inf", HUGE, "")),
    (("predictions", "wait", "abc"), "--timeout", ("-1", "nan", "inf", "1e999", "")),
    (("predictions", "create", *RUN[1:], "--wait"), "--timeout", ("-1", "nan", "inf", "1e999", "")),
    (("trainings", "watch", "abc"), "--timeout", ("-1", "nan", "inf", "1e999", "")),
    (("models", "versions", "demo/poet"), "--limit", ("0", "-1", "nan", HUGE)),
    (("deployments", "list"), "--limit", ("0", "-1", "nan", HUGE)),
    (("predictions", "list"), "--limit", ("0", "-1", "nan", HUGE)),
    (("models", "list"), "--limit", ("0", "-1", "nan", HUGE)),
    (("journal", "settle", "j.sqlite", "aa", "--none"), "--sample", ("-1", "nan", HUGE)),
    (("journal", "prune", "j.sqlite", "--yes"), "--older-than", ("", "0x1d", "-1d", "nand", "1e5d", "9" * 400 + "d")),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _folder(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("prompt\nsea\n")
    assert invoke(*MAP, "--journal", "j.sqlite").exit_code == 0


@pytest.mark.parametrize(("command", "option", "values"), NUMBERS)
def test_a_number_that_cannot_be_is_refused_before_anything_is_created(
    invoke: Invoke, command: tuple[object, ...], option: str, values: tuple[str, ...]
) -> None:
    before = default().created
    for value in values:
        result = invoke(*command, option, value)
        assert result.exit_code == 2, (value, result.output)
        assert f"Invalid value for '{option}'" in result.stderr, (value, result.stderr)
    assert default().created == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*MAP, "--manifest"), "--manifest does nothing without --save-to"),
        ((*MAP, "--storage-options", '{"key": "x"}'), "--storage-options does nothing without --save-to"),
        ((*RUN, "--storage-options", '{"key": "x"}'), "--storage-options does nothing without --save-to"),
        ((*MAP, "--budget", "1"), "--budget needs to know what it costs"),
        ((*MAP, "--budget-per-journal"), "--budget-per-journal needs a budget"),
        (("journal", "settle", "j.sqlite", "--no-check"), "Which row?"),
        (("journal", "settle", "j.sqlite", "aa", "--none", "--no-check"), "does nothing with --none"),
        ((*RUN, "--base-url", "http://127.0.0.1:9"), "--base-url does nothing with the mock"),
        ((*MAP, "--base-url", "http://127.0.0.1:9"), "--base-url does nothing with the mock"),
    ],
)
def test_an_option_that_does_nothing_without_another_is_refused(
    invoke: Invoke, arguments: tuple[object, ...], said: str
) -> None:
    before = default().created
    result = invoke(*arguments)
    assert (result.exit_code, default().created) == (2, before)
    assert said in result.stderr


def test_a_base_url_that_the_environment_names_does_not_keep_the_mock_from_running(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_BASE_URL", "http://127.0.0.1:9")
    assert invoke(*RUN).exit_code == 0
