"""Links that the API sends lead below the base URL, whatever the gateway's own URL looks like."""

from __future__ import annotations

import pytest

from replicate_kit._http.links import Links
from replicate_kit.errors import InvalidResponse

API = "https://api.replicate.com/v1"

BASES = [
    "https://api.replicate.com/v1/",
    "https://gateway.example/",
    "https://gateway.example/v1/",
    "https://gateway.example/replicate/",
    "https://gateway.example/replicate/v1/",
    "https://gateway.example/v1/me/mine/replicate/",
    "https://gateway.example/v1/me/mine/replicate/v1/",
    "http://127.0.0.1:8000/a%20b/",
]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    "link",
    [
        "predictions/p1?cursor=a%3D",
        "/predictions/p1?cursor=a%3D",
        "/v1/predictions/p1?cursor=a%3D",
        f"{API}/predictions/p1?cursor=a%3D",
        f"{API}//predictions/p1?cursor=a%3D",
        "http://internal:5000/v1/predictions/p1?cursor=a%3D",
        "{base}predictions/p1?cursor=a%3D",
        "{path}predictions/p1?cursor=a%3D",
    ],
)
def test_links_are_taken_apart_behind_every_gateway(base: str, link: str) -> None:
    path = "/" + base.split("/", 3)[3]
    assert Links(base).below(link.format(base=base, path=path)) == "predictions/p1?cursor=a%3D"


@pytest.mark.parametrize("base", [each for each in BASES if each != "https://gateway.example/"])
def test_a_link_that_is_no_operation_leads_nowhere(base: str) -> None:
    with pytest.raises(InvalidResponse, match="not one of its own operations"):
        Links(base).below("https://evil.example/admin")


@pytest.mark.parametrize("base", BASES)
def test_what_the_api_has_itself_is_fetched_below_the_base_url(base: str) -> None:
    assert Links(base).through(f"{API}/files/f1?a=b") == f"{base}files/f1?a=b"


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    "url",
    [
        "https://replicate.delivery/v1/files/f1",
        "https://stream.replicate.com/v1/streams/s1",
        "http://api.replicate.com/v1/files/f1",
        "https://api.replicate.com:8443/v1/files/f1",
        "https://api.replicate.com.evil.example/v1/files/f1",
        "https://evil.example/https://api.replicate.com/v1/files/f1",
        "data:text/plain,https://api.replicate.com/v1/",
        "https://[::1/v1/",
        "https://api.replicate.com:port/v1/",
        "",
    ],
)
def test_what_is_elsewhere_is_fetched_where_it_is(base: str, url: str) -> None:
    assert Links(base).through(url) == url


def test_a_gateway_for_the_whole_origin_has_all_of_its_paths() -> None:
    links = Links("https://gateway.example/replicate/v1/")
    assert links.through("https://api.replicate.com/files/f1") == "https://gateway.example/replicate/files/f1"
    complete = Links("https://gateway.example/replicate/")
    assert complete.through("https://api.replicate.com/files/f1") == "https://api.replicate.com/files/f1"


@pytest.mark.parametrize(
    "answer",
    [
        {"urls": {"get": "http://10.0.0.1:5000/v1/predictions/p1"}},
        {"results": [{"urls": {"get": "http://10.0.0.1:5000/v1/predictions/p1"}}]},
        {"results": [], "next": "http://10.0.0.1:5000/v1/predictions?cursor=a"},
    ],
)
def test_the_name_that_the_api_has_for_itself_is_learned(answer: object) -> None:
    links = Links("https://gateway.example/replicate/")
    links.learn(answer)
    assert links.through("http://10.0.0.1:5000/v1/files/f1") == "https://gateway.example/replicate/files/f1"
    assert links.through("http://10.0.0.2:5000/v1/files/f1") == "http://10.0.0.2:5000/v1/files/f1"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [1],
        "https://10.0.0.1/v1/x",
        {"urls": None},
        {"urls": {"get": 1}},
        {"urls": {"get": "https://10.0.0.1/file"}},
        {"urls": {"get": "https://[::1/v1/"}},
        {"next": "ftp://10.0.0.1/v1/x"},
        {"results": [[1]]},
        {"results": {}},
        {"output": {"urls": {"get": "https://10.0.0.1/v1/x"}}},
    ],
)
def test_nothing_is_learned_from_what_is_no_answer_of_the_api(answer: object) -> None:
    links = Links("https://gateway.example/replicate/")
    links.learn(answer)
    assert links.through("https://10.0.0.1/v1/x") == "https://10.0.0.1/v1/x"
