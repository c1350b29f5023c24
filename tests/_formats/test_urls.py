"""URLs: of each text that we take, every library that sends reads the same one."""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from replicate_kit.errors import InvalidURL
from replicate_kit.transport import URL

LIBRARIES = [httpx, httpx2]

SCHEMES = ["https", "http", "HTTPS", "hTTp"]
USERS = [
    "",
    "",
    "",
    "@",
    "me@",
    "me:pw@",
    "me:p@ss@",
    "api.test@",
    "api.test:443@",
    "me%40api.test@",
    "a\\@",
    "ü@",
    "/@",
]
HOSTS = [
    *("api.replicate.com", "API.Replicate.COM", "api.replicate.com.", "evil.test", "api.test\\evil.test"),
    *(
        "api.test%2eevil.test",
        "api.test%00",
        "bücher.example",
        "faß.de",
        "xn--bcher-kva.example",
        "☃.net",
        "a..b",
    ),
    *(
        "\uff11\uff12\uff17.0.0.1",
        "api。test",
        "\uff41pi.test",
        "0x7f.1",
        "127.1",
        "127.0.0.1",
        "127.0.0.01",
        "999.0.0.1",
        "1.2.3.4.5",
    ),
    *(
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[FE80::1]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[::1",
        "::1",
        "[]",
        "[v1.a]",
    ),
    *(
        "my_host",
        "a b",
        "a\tb",
        "a\nb",
        "a,b",
        "a'b",
        "a;b",
        "a|b",
        "a{b",
        "a*b",
        "a&b",
        "a+b",
        "",
        "-",
        ".",
        "~",
    ),
]
PORTS = [
    "",
    "",
    ":",
    ":80",
    ":443",
    ":0443",
    ":8000",
    ":65535",
    ":65536",
    ":99999999",
    ":-1",
    ":+80",
    ":8 0",
    ":٤٤٣",
    ":80:80",
]
PATHS = [
    *(
        "",
        "/",
        "/v1/account",
        "//evil.test/x",
        "/./a",
        "/../a",
        "/a/../../b",
        "/a/..",
        "/a/.",
        "/..;/b",
        "/%2e%2e/a",
    ),
    *(
        "/%2E/a",
        "/a%2fb",
        "/a%b",
        "/%",
        "/%zz",
        "/a b",
        "/ä",
        "/a\\b",
        "/\\evil.test",
        "/a|b",
        "/a^b",
        "/a`b",
        '/a"b',
    ),
    *(
        "/a<b>",
        "/{a}",
        "/[a]",
        "/a;b=c",
        "/a:b",
        "/a@b",
        "/a\tb",
        "/a\r\nb",
        "/\ud83d",
        "/😀",
        "\\evil.test",
        "/a/",
    ),
]
TAILS = [
    "",
    "",
    "?",
    "?a=1",
    "?a=b c",
    "?a=ä",
    "?a=%zz",
    "?a=[1]",
    "?a={}",
    "?@evil.test",
    "?a=//evil.test",
    "#",
    "#@evil.test",
    "?a=1#b?c",
]


def odd_urls(count: int) -> list[str]:
    """Put odd parts together, always the same ones; most URLs have one or two, so that many of them are taken."""
    chance = random.Random(13)
    parts = (SCHEMES, USERS, HOSTS, PORTS, PATHS, TAILS)
    plain = ("https", "", "api.test", "", "/v1/x", "")
    found: dict[str, None] = {}
    while len(found) < count:
        odd = chance.sample(range(len(parts)), chance.choice((1, 1, 2, 2, 3, 6)))
        scheme, user, host, port, path, tail = (
            chance.choice(parts[at]) if at in odd else plain[at] for at in range(len(parts))
        )
        found[f"{scheme}://{user}{host}{port}{path}{tail}"] = None
    return list(found)


ODD = odd_urls(1500)


def origin_of(url: Any) -> tuple[str, str, int | None]:
    """The origin that a library reads in a URL of its own, which may name the usual port."""
    usual = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.raw_host.decode().lower(), None if url.port == usual else url.port


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda each: each.__name__)
def test_of_a_thousand_odd_urls_each_is_refused_or_read_alike(library: Any) -> None:
    taken = 0
    for text in ODD:
        try:
            url = URL(text)
        except InvalidURL:
            continue
        taken += 1
        sent = library.URL(str(url))
        assert origin_of(sent) == (url.scheme, url.host, url.port), text
        assert sent.raw_path.decode() == url.target, text
        assert str(sent) == str(url), text
        # And the text itself, if somebody handed it on unread.
        assert origin_of(library.URL(text)) == (url.scheme, url.host, url.port), text
    assert 400 < taken < 1300  # neither all nor nothing


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda each: each.__name__)
@given(text=st.text(alphabet="htps:/\\@.#?%[]evilap1 \t%2eü8", max_size=30))
@example(text="https://api.replicate.com\\@evil.test/x")
def test_no_text_is_read_as_two_urls(library: Any, text: str) -> None:
    for each in (text, f"https://{text}", f"https://api.test{text}"):
        try:
            url = URL(each)
        except InvalidURL:
            continue
        sent = library.URL(str(url))
        assert origin_of(sent) == (url.scheme, url.host, url.port)
        assert sent.raw_path.decode() == url.target


@pytest.mark.parametrize(
    "text",
    [
        "https://api.replicate.com\\@evil.test/x",
        "https://api.test\\.evil.test",
        "https://a@b@evil.test/",
        "https://api.test:80:80/",
        "https://api.test:65536/",
        "https://api.test:٤٤٣/",
        "https://api test/",
        "https://api\t.test/",
        "https://api.test/\r\nx",
        "https://api.test%2e/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://999.0.0.1/",
        "https:///x",
        "https://",
        "api.test/x",
        "//api.test/x",
        "",
        "https://api.test/" + "a" * 70_000,
        "https://\ud83d.test/",
    ],
)
def test_what_readers_could_differ_about_is_refused(text: str) -> None:
    with pytest.raises(InvalidURL, match="is not a URL"):
        URL(text)


def test_an_error_shows_no_password() -> None:
    with pytest.raises(InvalidURL) as caught:
        URL("https://me:hunter2@api.test:99999/?token=hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [None, 5, b"https://api.test", ["https://api.test"]])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(InvalidURL, match="Pass a text"):
        URL(value)


def test_a_url_knows_its_parts() -> None:
    url = URL("HTTPS://me:pw@API.test:8443/a%20b/c?x=1&y=#z")
    assert (url.scheme, url.userinfo, url.host, url.port) == ("https", "me:pw", "api.test", 8443)
    assert (url.path, url.query, url.fragment, url.target) == ("/a%20b/c", "x=1&y=", "z", "/a%20b/c?x=1&y=")
    assert (url.netloc, url.origin, url.bare) == (
        "api.test:8443",
        "https://api.test:8443",
        "https://api.test:8443/a%20b/c",
    )
    assert dict(url.params) == {"x": "1", "y": ""}
    assert "pw" not in repr(url)


@pytest.mark.parametrize(
    ("reference", "joined"),
    [
        ("https://other.test/x", "https://other.test/x"),
        ("//other.test/x", "https://other.test/x"),
        ("/x", "https://api.test/x"),
        ("x", "https://api.test/v1/x"),
        ("../x", "https://api.test/x"),
        ("../../../x", "https://api.test/x"),
        ("./x?y=1", "https://api.test/v1/x?y=1"),
        ("?y=1", "https://api.test/v1/files?y=1"),
        ("#z", "https://api.test/v1/files?q=1#z"),
        ("", "https://api.test/v1/files?q=1"),
        ("x:y", None),
        ("https:x", None),
        ("//evil\\@api.test/", None),
        ("/\tx", None),
    ],
)
def test_a_link_is_joined_as_libraries_join_it(reference: str, joined: str | None) -> None:
    url = URL("https://api.test/v1/files?q=1")
    if joined is None:
        with pytest.raises(InvalidURL):
            url.join(reference)
        return
    assert str(url.join(reference)) == joined
    assert str(httpx.URL(str(url)).join(reference)) == joined


PARAMS: list[Any] = [
    {"a": "1"},
    {"a": ["x", "y"], "b": None},
    {"a": True, "b": False, "c": 1.5},
    {"q": "ä b&c=d"},
    [("a", "1"), ("a", "2")],
    "a=1&b=",
    {"x": "replaced"},
    {},
]


@pytest.mark.parametrize("params", PARAMS)
def test_parameters_are_written_as_httpx_writes_them(params: Any) -> None:
    ours = URL("https://api.test/v1/x?x=1&y=2").with_params(params)
    theirs = httpx.URL("https://api.test/v1/x?x=1&y=2").copy_merge_params(params)
    assert ours.target == theirs.raw_path.decode()


def test_urls_are_equal_by_their_text_and_can_be_copied() -> None:
    url = URL("https://api.test:443/x")
    assert (
        url == URL("https://API.test/x") == pickle.loads(pickle.dumps(url)) == copy.deepcopy(url) == URL(url)
    )
    assert len({url, URL("https://api.test/x")}) == 1
    assert url == "https://api.test/x"
    assert url not in ("https://api.test:443/x", "https://api.test/y", 1)
