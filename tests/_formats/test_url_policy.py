"""Output files are fetched from public hosts over TLS, and from the backend's own hosts, and from nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit._formats.url_policy import check_address, check_source, is_declared, is_private, origins_of
from replicate_kit.errors import FileError

DELIVERY = ["https://replicate.delivery", "https://*.replicate.delivery", "http://[::1]:8000"]


NAMES = (
    "localhost a.localhost LOCALHOST. localhost.localdomain localhost6.localdomain6 ip6-localhost metadata "
    "printer.local db.internal wiki.corp nas.home router.home.arpa mail.intranet vault.private pc.lan"
)
ADDRESSES = "127.0.0.1 10.0.0.8 192.168.1.1 172.16.0.1 169.254.169.254 0.0.0.0 100.64.0.1 224.0.0.1"
DISGUISED = "127.1 0x7f000001 2130706433 017700000001 ::1 [::1] fe80::1%eth0 fd00::1 ::ffff:127.0.0.1"
EMBEDDED = (
    "::127.0.0.1 [::127.0.0.1] ::ffff:0:127.0.0.1 ::ffff:a9fe:a9fe 64:ff9b::a9fe:a9fe 64:ff9b::10.0.0.1 "
    "64:ff9b:1::808:808 2002:7f00:1:: 2002:a9fe:a9fe::1 2002:c0a8:101:1:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 "
    "2001:0:7f00:1:: 2606:4700::5efe:10.0.0.1 2606:4700::200:5efe:127.0.0.1 fe80::5efe:8.8.8.8"
)
SPECIAL = (
    "0.1.2.3 127.255.255.254 192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.9 240.0.0.1 255.255.255.255 "
    "100.100.100.200 168.63.129.16 :: 100::1 2001:db8::1 3fff::1 5f00::1 fec0::1 ff02::1 4000::1 "
    "fe80::1%25eth0 [fe80::1%1]"
)
WRITTEN = (
    "0177.0.0.1 0300.0250.1.1 0x7F.0.0.0x1 127.0.1 10.1 3232235777 0xa9fea9fe 0 00 0.1 127.0.0.1. "
    "\uff11\uff12\uff17.0.0.1 127\u30020\u30020\u30021 \u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3"
)
ESCAPED = "%31%32%37.0.0.1 127.0.0.%31 169.254.169%2e254 %6c%6fcalhost metadata.google%2einternal %5b::1%5d"


@pytest.mark.parametrize(
    "host", [*" ".join((NAMES, ADDRESSES, DISGUISED, EMBEDDED, SPECIAL, WRITTEN, ESCAPED)).split(), ""]
)
def test_private_host_is_seen_in_every_form(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "replicate.delivery",
            "a.example.com",
            "0x.de",
            "localhost.example.com",
            "corp.example",
            "127.0.0.1.nip.io",
        ),
        *("1.1.1.1", "8.8.8.8", "134744072", "0x08080808", "010.8.8.8"),
        *(
            "2606:4700::1111",
            "[2001:4860:4860::8888]",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ),
    ],
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
        ("https://[::127.0.0.1]/", "private network"),
        ("https://[64:ff9b::a9fe:a9fe]/", "private network"),
        ("https://[2002:7f00:1::]:8443/", "private network"),
        ("https://localhost.localdomain/", "private network"),
        ("https://2130706433/", "private network"),
    ],
)
def test_other_sources_are_refused(url: str, reason: str) -> None:
    with pytest.raises(FileError, match=reason):
        check_source(url, DELIVERY)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/out.png?X-Amz-Signature=9f3c",
        "http://example.com/out.png#token=9f3c",
        "http://example.com?9f3c",
        "ftp://me:9f3c@example.com/out.png",
        "https://me:9f3c@10.0.0.1/out.png",
        "https://localhost/out.png?sig=9f3c",
    ],
)
def test_who_is_refused_is_not_shown_what_may_be_secret_in_a_url(url: str) -> None:
    with pytest.raises(FileError, match=r"The file '\w+://(example\.com|10\.0\.0\.1|localhost)") as caught:
        check_source(url, DELIVERY)
    assert "9f3c" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://replicate.delivery@evil.test/", "https://evilreplicate.delivery/", "https://[", "text"]
)
def test_lookalikes_are_not_declared(url: str) -> None:
    assert not is_declared(url, DELIVERY)


def test_whose_address_is_to_be_checked_is_told() -> None:
    assert check_source("https://127.0.0.1.nip.io/x", DELIVERY) is True
    assert check_source("https://pbxt.replicate.delivery/x", DELIVERY) is False


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:10.0.0.1", "fe80::1%eth0", "64:ff9b::a00:1"])
def test_an_address_in_the_network_is_refused(address: str) -> None:
    with pytest.raises(FileError, match=rf"'files\.test'.*leads to {address}.*trusted_hosts"):
        check_address("files.test", address)


@pytest.mark.parametrize(
    ("hosts", "url"),
    [
        (["files.corp.example"], "https://files.corp.example/x"),
        (["files.corp.example"], "https://files.corp.example:8443/x"),
        (["*.corp.example"], "https://a.b.corp.example/x"),
        (["10.0.0.8"], "https://10.0.0.8/x"),
        (["[fd00::8]"], "https://[fd00::8]:9000/x"),
        (["http://10.0.0.8:9000/"], "http://10.0.0.8:9000/x"),
        (["https://Files.corp.example"], "https://files.corp.example/x"),
        (["http://10.0.0.8:80"], "http://10.0.0.8/x"),
        (["HTTPS://10.0.0.8:443/"], "https://10.0.0.8/x"),
        (["files.corp.example:443"], "https://files.corp.example/x"),
        (["[fd00::8]:443"], "https://[fd00::8]/x"),
        (["fd00::8"], "https://[fd00::8]/x"),
        (["fd00::8"], "https://[fd00::8]:9000/x"),
    ],
)
def test_a_trusted_host_is_fetched_from(hosts: list[str], url: str) -> None:
    assert check_source(url, origins_of(hosts)) is False


@pytest.mark.parametrize(
    ("hosts", "url"),
    [
        (["10.0.0.8"], "http://10.0.0.8/x"),
        (["10.0.0.8"], "https://10.0.0.80/x"),
        (["10.0.0.8"], "https://10.0.0.8:1@10.0.0.9/x"),
        (["https://10.0.0.8"], "https://10.0.0.8:8443/x"),
        (["10.0.0.8:443"], "https://10.0.0.8:8443/x"),
        (["10.0.0.8:80"], "http://10.0.0.8/x"),
        (["fd00::8"], "https://[fd00::8:443]/x"),
        (["http://10.0.0.8:9000"], "http://10.0.0.8:9001/x"),
    ],
)
def test_what_is_near_a_trusted_host_is_not(hosts: list[str], url: str) -> None:
    with pytest.raises(FileError, match="was not fetched"):
        check_source(url, origins_of(hosts))
