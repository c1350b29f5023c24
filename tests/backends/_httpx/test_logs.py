"""What HTTP libraries log: nothing secret of our requests, and of those of others what they always log."""

from __future__ import annotations

import logging

import httpx
import pytest

from replicate_kit.backends._httpx.logs import filter_logs, logged_without_secrets
from replicate_kit.backends._options.libraries import HTTPX

URL = httpx.URL("https://me:hunter2@api.test/v1/account?team=hunter2#hunter2")


@pytest.fixture(autouse=True)
def _filtered() -> None:
    filter_logs(HTTPX)


@pytest.mark.parametrize(
    ("name", "message", "args"),
    [
        ("httpx", "HTTP Request: %s %s", ("GET", URL)),
        ("hpack.hpack", "Adding %s to the header table", ((b"authorization", b"hunter2"),)),
        ("hpack.table", "Evicting %s", ((b"authorization", b"hunter2"),)),
        ("httpcore.socks", "setup_socks5_connection.started auth=(b'me', b'hunter2')", ()),
    ],
)
def test_libraries_log_no_secret_of_ours(
    caplog: pytest.LogCaptureFixture, name: str, message: str, args: tuple[object, ...]
) -> None:
    caplog.set_level(logging.DEBUG)
    with logged_without_secrets():
        logging.getLogger(name).debug(message, *args)
    assert "hunter2" not in caplog.text
    logging.getLogger(name).debug(message, *args)
    assert "hunter2" in caplog.text


def test_a_request_is_still_logged_with_its_path(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with logged_without_secrets():
        logging.getLogger("httpx").info("HTTP Request: %s %s", "GET", URL)
    assert "GET https://api.test/v1/account" in caplog.text
