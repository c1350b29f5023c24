"""Options that take amounts: of money, or of what a model counts in the metrics of a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import click

from replicate_kit.cli._options import Amount, Function

__all__ = ["Amounts", "check_most", "check_price", "prices", "read_amounts"]

Amounts: TypeAlias = dict[str | None, float]
"""By the names of metrics; that of None is the one without a name."""


def read_amounts(context: click.Context, option: click.Parameter, value: Sequence[str]) -> Amounts:
    """Read numbers, and METRIC=NUMBER, each of which is said once."""
    found: Amounts = {}
    for each in value:
        metric, mark, number = each.rpartition("=")
        name = metric.strip() or None
        if mark and name is None:
            raise click.BadParameter(f"{each!r} has no name before the =. Write METRIC=NUMBER.")
        if name in found:
            raise click.BadParameter(f"{name or 'the amount'} is given twice. Leave one of them out.")
        found[name] = Amount(min=0).convert(number, option, context)
    return found


def _read_price(
    context: click.Context, option: click.Parameter, value: Sequence[str]
) -> float | Mapping[str | None, float] | None:
    """Read a price: of a prediction, or of units of metrics."""
    found = read_amounts(context, option, value)
    if None in found and len(found) > 1:
        raise click.BadParameter(
            "a prediction has a price of its own, or one by its metrics. Leave one of them out."
        )
    return found.get(None, found or None)


def _read_most(context: click.Context, option: click.Parameter, value: Sequence[str]) -> Amounts | None:
    """Read what one prediction uses at most of each metric."""
    found = read_amounts(context, option, value)
    if None in found:
        raise click.BadParameter("of which metric? Write METRIC=NUMBER, such as output_token_count=512.")
    return found or None


def prices(function: Function) -> Function:
    """Add the options that say what predictions cost: `price`, `price_per_second` and `most`."""
    for add in (
        click.option(
            "--most",
            multiple=True,
            metavar="METRIC=NUMBER",
            callback=_read_most,
            help="How much of a metric one prediction uses at most, such as output_token_count=512; repeatable.",
        ),
        click.option("--price-per-second", type=Amount(min=0), help="What a second of running time costs."),
        click.option(
            "--price",
            multiple=True,
            metavar="MONEY|METRIC=MONEY",
            callback=_read_price,
            help="What one prediction costs, or a unit of one of its metrics, such as output_token_count=0.00001; "
            "repeatable for several metrics, which needs --most.",
        ),
    ):
        function = add(function)
    return function


def check_most(option: str, metric: str, most: Mapping[str, float] | None) -> None:
    """Refuse an amount of a metric of which nobody knows how much one prediction uses."""
    if metric not in (most or {}):
        raise click.UsageError(
            f"{option} needs to know how much of it one prediction uses at most. Pass --most {metric}=NUMBER, too."
        )


def check_price(
    price: float | Mapping[str, float] | None,
    price_per_second: float | None,
    most: Mapping[str, float] | None,
) -> None:
    """Refuse prices of which nobody knows how much that is at most."""
    units = price if isinstance(price, Mapping) else {}
    for name in units:
        if name != "predict_time":
            check_most(f"--price {name}=…", name, most)
    if "predict_time" in units and price_per_second is not None:
        raise click.UsageError("--price predict_time=… and --price-per-second are the same. Leave one out.")
    if "predict_time" in (most or {}):
        raise click.UsageError("--most predict_time=… is what --cancel-after says. Pass that.")
