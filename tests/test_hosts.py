"""Output files are fetched from public hosts over TLS, and from the backend's own hosts, and from nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit.errors import FileError
from replicate_kit.hosts import check_source, is_declared, is_private

DELIVERY = ["https://replicate.delivery", "https://*.replicate.delivery", "http://[::1]:8000"]


NAMES = "localhost a.localhost LOCALHOST. metadata printer.local db.internal"
ADDRESSES = "127.0.0.1 10.0.0.8 192.168.1.1 172.16.0.1 169.254.169.254 0.0.0.0 100.64.0.1 224.0.0.1"
DISGUISED = "127.1 0x7f000001 2130706433 017700000001 ::1 [::1] fe80::1%eth0 fd00::1 ::ffff:127.0.0.1"


@pytest.mark.parametrize("host", [*NAMES.split(), *ADDRESSES.split(), *DISGUISED.split(), ""])
def test_private_host_is_seen_in_every_form(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize(
    "host", ["replicate.delivery", "1.1.1.1", "2606:4700::1111", "a.example.com", "0x.de"]
)
def test_public_host_is_not_private(host: str) -> None:
    assert not is_private(host)


@given(st.text())
def test_any_host_gets_an_answer(host: str) -> None:
    assert is_private(host) in (True, False)


def test_declared_origins_may_be_private_and_without_tls() -> None:
    check_source("http://[::1]:8000/out.png", DELIVERY)
    check_source("https://pbxt.replicate.delivery/x/out.png", DELIVERY)


def test_public_hosts_over_tls_are_fetched_from() -> None:
    check_source("https://example.com/out.png", DELIVERY)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/out.png", "not on https"),
        ("ftp://example.com/out.png", "not on https"),
        ("http://replicate.delivery/out.png", "not on https"),
        ("https://localhost/out.png", "private network"),
        ("https://169.254.169.254/latest", "private network"),
        ("https://user@10.0.0.1/", "private network"),
    ],
)
def test_other_sources_are_refused(url: str, reason: str) -> None:
    with pytest.raises(FileError, match=reason):
        check_source(url, DELIVERY)


@pytest.mark.parametrize(
    "url", ["https://replicate.delivery@evil.test/", "https://evilreplicate.delivery/", "https://[", "text"]
)
def test_lookalikes_are_not_declared(url: str) -> None:
    assert not is_declared(url, DELIVERY)
