"""`replicate-kit serve`: the simulator on sockets, for clients in any language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from replicate_kit.cli._options import AMOUNT, PORT, Amount, check_needed, debug, not_empty
from replicate_kit.cli._paths import (
    FOLDER,
    JSON_FILE,
    NEW_FILE,
    PYTHON_FILE,
    check_folder,
    check_writable,
    said_of,
)
from replicate_kit.errors import ConfigError

if TYPE_CHECKING:
    from replicate_kit.serving import Server
    from replicate_kit.serving._feed import Visit
    from replicate_kit.simulator import Fault, RateLimits

__all__ = ["command"]

_RATE = Amount(min=0, max=1e6)
"""How fast the clock may go: a century would pass in less than an hour."""


def _fault(ctx: click.Context, _: click.Parameter, values: tuple[str, ...]) -> list[Fault]:
    """Read faults."""
    from replicate_kit.simulator import Fault

    try:
        return [Fault.parse(each) for each in values]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _limits(ctx: click.Context, _: click.Parameter, value: str | None) -> RateLimits | None:
    """Read `on`, `CREATES` or `CREATES,OTHERS`."""
    from replicate_kit.simulator import RateLimits

    if value is None or value == "on":
        return None if value is None else RateLimits()
    numbers = value.split(",")
    if len(numbers) > 2 or not all(each.strip().isdecimal() and int(each) for each in numbers):
        raise click.BadParameter(
            'Write "on", CREATES or CREATES,OTHERS: requests a minute, such as 600,3000.'
        )
    return RateLimits(*(int(each) for each in numbers))


def _url(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Check the address that clients use."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        right = (
            parts.scheme in ("http", "https")
            and parts.hostname
            and parts.port != 0
            and not re.search(r"[\s?#]", value)  # paths are added to it
        )
    except ValueError:
        right = False
    if not right:
        raise click.BadParameter(f"{value!r} is no http(s) URL. Write one such as https://mock.example.")
    return value


def _names(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Check names of hosts."""
    from replicate_kit.serving._origins import checked_hosts

    return _checked(checked_hosts, values)


def _origins(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Check origins of pages."""
    from replicate_kit.serving._origins import checked_origins

    return _checked(checked_origins, values)


def _checked(check: Callable[[Iterable[str]], object], values: tuple[str, ...]) -> tuple[str, ...]:
    """Give what was typed if it is right."""
    try:
        check(values)
    except ValueError as error:
        raise click.BadParameter(str(error).partition(": ")[2]) from None
    return values


@click.command("serve", short_help="Serve the simulator over HTTP, for any client.")
@click.argument("models", nargs=-1, metavar="[MODELS.py]...", type=PYTHON_FILE)
@click.option(
    "--port", default=8000, type=PORT, show_default=True, help="For HTTP; 0 takes any that is free."
)
@click.option(
    "--https-port", default=8443, type=PORT, show_default=True, help="For HTTPS; 0 takes any that is free."
)
@click.option(
    "--host", default="127.0.0.1", callback=not_empty, show_default=True, help="The address to listen on."
)
@click.option("--http/--no-http", default=True, show_default=True, help="Whether to serve HTTP.")
@click.option("--https/--no-https", default=True, show_default=True, help="Whether to serve HTTPS.")
@click.option(
    "--public-url", metavar="URL", callback=_url, help="The address that clients use, if it is another one."
)
@click.option(
    "--demo/--no-demo", default=None, help="Whether to have the demo models.  [default: without MODELS.py]"
)
@click.option(
    "--fault", "faults", multiple=True, callback=_fault, metavar="FAULT",
    help='Something that is to go wrong, such as "*predictions.create,probability=0.1,status=503".',
)  # fmt: skip
@click.option(
    "--rate-limit", "rate_limits", callback=_limits, metavar="on|N[,M]",
    help="Throttle: creates, and other requests, a minute. `on` is 600,3000.",
)  # fmt: skip
@click.option(
    "--token",
    "tokens",
    multiple=True,
    callback=not_empty,
    metavar="TOKEN",
    help="Accept this token; others get 401.",
)
@click.option("--auth/--no-auth", default=True, show_default=True,
              help="Whether requests without any token get 401, as from Replicate.")  # fmt: skip
@click.option("--allow-host", "allow_hosts", multiple=True, callback=_names, metavar="NAME",
              help="A name by which clients may come beside localhost and addresses; * for any.")  # fmt: skip
@click.option("--allow-origin", "allow_origins", multiple=True, callback=_origins, metavar="ORIGIN",
              help="A page of another site that may use the API: http://localhost:5173; * for any.")  # fmt: skip
@click.option("--credit", type=AMOUNT, metavar="DOLLARS", help="What there is to spend; then 402.")
@click.option("--low-credit", is_flag=True,
              help="Throttle as an account with less than $5 of credit: 6 creates a minute.")  # fmt: skip
@click.option("--wait-style", type=click.Choice(["recorded", "terminal"]), default="recorded", show_default=True,
              help='How a create that waits answers: "processing" with the output, or "succeeded".')  # fmt: skip
@click.option(
    "--workers",
    default=8,
    type=click.IntRange(min=1),
    show_default=True,
    help="Predictions of a model that run at once.",
)
@click.option(
    "--time-rate", default=1.0, type=_RATE, show_default=True, help="Simulated seconds in a real one."
)
@click.option("--seed", type=int, help="Make ids repeat.")
@click.option("--fetch-inputs", is_flag=True, help="Let models read input files from elsewhere.")
@click.option("--records", multiple=True, type=JSON_FILE, metavar="FILE.json",
              help="Models, versions, predictions, files and so on to load, under ids of your own.")  # fmt: skip
@click.option("--state", type=FOLDER, metavar="FOLDER",
              help="Keep predictions and files in this folder.")  # fmt: skip
@click.option("--authority", type=NEW_FILE, metavar="FILE",
              help="Where to write the certificate that HTTPS clients are to trust.")  # fmt: skip
@click.option(
    "--control-secret", callback=not_empty, metavar="SECRET", help="What /_control asks of everybody."
)
@click.option("--quiet", is_flag=True, help="Do not print requests.")
@debug
def command(
    models: tuple[Path, ...],
    control_secret: str | None,
    quiet: bool,
    time_rate: float,
    auth: bool,
    low_credit: bool,
    **options: Any,
) -> None:
    """Serve Replicate's API from this machine, with models that are Python functions.

    MODELS.py are files whose public functions become models, `local/<function>`, or as
    `@replicate_kit.simulator.model("owner/name")` says. Any client of Replicate's works with it; the lines to
    point it here are printed. Look at http://127.0.0.1:8000 while it runs. Ctrl-C stops it.

    \b
    replicate-kit serve
    replicate-kit serve models.py --port 9000 --token secret --rate-limit on
    replicate-kit serve --records records.json
    replicate-kit serve --fault "*predictions.create,calls=2,status=429,retry_after=5"
    """
    from replicate_kit.serving import Server
    from replicate_kit.simulator import Clock

    if options["tokens"] and not auth:
        raise click.UsageError("--no-auth lets in who has no token, --token only who has it. Leave one out.")
    _check_schemes(**options)
    _check_paths(**options)
    if low_credit:
        options |= _low_credit(**options)
    options |= {"tokens": list(options["tokens"]) or None, "require_token": auth}
    try:
        server = Server(
            *models,
            clock=Clock(rate=time_rate),
            secret=control_secret,
            guard=control_secret is not None,
            answered=None if quiet else _tell,
            **options,
        )
        server.run(lambda: _greet(server))
    except ConfigError:
        raise
    except (OSError, ValueError, LookupError, RuntimeError, ImportError) as error:
        if click.get_current_context().find_root().meta.get("replicate_kit.debug"):
            raise
        raise click.ClickException(said_of(error) if isinstance(error, OSError) else str(error)) from error
    click.echo("Stopped.", err=True)


def _low_credit(*, credit: float | None, rate_limits: RateLimits | None, **_: Any) -> dict[str, Any]:
    """Have so little credit that creates are slowed down, if not less than that was said."""
    from replicate_kit.simulator import RateLimits

    limits = rate_limits or RateLimits()
    if credit is not None and credit >= limits.low_credit_below:
        raise click.UsageError(
            f"--low-credit means less than ${limits.low_credit_below:g}, and --credit says more. Leave one of them out."
        )
    return {"credit": limits.low_credit_below - 1 if credit is None else credit, "rate_limits": limits}


def _check_schemes(*, http: bool, https: bool, **_: Any) -> None:
    """Refuse what is only for a scheme that is not served."""
    if not (http or https):
        raise click.UsageError("Serve HTTP, HTTPS or both; neither leaves nothing to reach.")
    if not http:
        check_needed({"port": "--port"}, without="with --no-http. Leave one of the two out.")
    if not https:
        only = {"https_port": "--https-port", "authority": "--authority"}
        check_needed(only, without="with --no-https. Leave one of the two out.")


def _check_paths(*, state: Path | None, authority: Path | None, **_: Any) -> None:
    """Refuse what cannot be written to."""
    if state is not None:
        check_folder(state)
    if authority is not None:
        check_writable(authority)


def _greet(server: Server) -> None:
    """Say where it is, and what points each client at it."""
    from replicate_kit.serving._directions import directions

    count = len(server.simulator.published())
    click.secho(
        f"Replicate in a box, with {count} model{'' if count == 1 else 's'}. Ctrl-C stops it.", bold=True
    )
    for title, lines in directions(server):
        click.echo()
        click.secho(title, fg="cyan")
        for line in lines:
            click.echo(f"  {line}")
    click.echo()


def _tell(visit: Visit) -> None:
    """Print a request that was answered."""
    status = str(visit.status) if visit.status else "cut"
    color = {"2": "green", "4": "yellow", "5": "red", "c": "red"}.get(status[0])
    milliseconds = f"{(visit.seconds or 0) * 1000:.0f} ms"
    line = f"{visit.method:6} {visit.target}  {visit.operation}  {milliseconds}"
    click.echo(f"{click.style(status, fg=color)}  {line}", err=True)
