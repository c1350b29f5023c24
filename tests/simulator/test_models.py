from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from replicate_kit.simulator import Simulator

Send = Callable[..., httpx.Response]
NEW = {"owner": "local", "name": "mine", "visibility": "private", "hardware": "cpu"}


def echo(text: str) -> str:
    """Repeats what it is told.

    Every time.
    """
    return text


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "no models."),
        (["acme/echo"], "acme/echo. Did you mean 'acme/echo'?"),
        (["acme/echo", "moon/tide"], "moon/tide, acme/echo. Did you mean 'acme/echo'?"),
        (["moon/tide"], "moon/tide."),
    ],
)
@pytest.mark.parametrize(
    "path", ["/models/acme/ecko", "/models/acme/ecko/predictions", "/models/acme/ecko/readme"]
)
def test_an_unknown_model_is_answered_with_those_that_there_are(
    path: str, names: list[str], said: str, ask_of: Callable[[Simulator], Send]
) -> None:
    with Simulator() as simulator:
        for name in names:
            simulator.model(name)(echo)
        creates = path.endswith("predictions")
        response = ask_of(simulator)(
            "POST" if creates else "GET", path, json={"input": {}} if creates else None
        )
    detail = f"The requested resource could not be found. The simulator has {said}"
    assert (response.status_code, response.json()) == (404, {"detail": detail, "status": 404})


def test_private_models_of_others_are_not_named(ask_of: Callable[[Simulator], Send]) -> None:
    with Simulator() as simulator:
        simulator.model("acme/echo")(echo)
        simulator.model("acme/hidden")(echo)
        simulator._service.store.models["acme/hidden"].visibility = "private"
        assert "acme/hidden" not in ask_of(simulator)("GET", "/models/acme/hidden").json()["detail"]


def test_some_of_many_models_are_named(simulator: Simulator, ask: Send) -> None:
    for number in range(30):
        simulator.model(f"acme/echo-{number}")(echo)
    detail = ask("GET", "/models/acme/other").json()["detail"]
    assert "The simulator has acme/echo-29, acme/echo-28" in detail
    assert "acme/echo-10 and 11 more." in detail


def test_a_model_says_what_it_is(simulator: Simulator, send: Send) -> None:
    simulator.model("acme/echo", readme="# Echo", links={"github_url": "https://github.com/acme/echo"})(echo)
    body = send("GET", "/models/acme/echo").json()
    assert list(body) == [
        *("url", "owner", "name", "description", "visibility", "is_official", "github_url", "paper_url"),
        *("license_url", "run_count", "cover_image_url", "default_example", "latest_version"),
    ]
    assert (body["owner"], body["name"], body["url"]) == ("acme", "echo", "https://replicate.com/acme/echo")
    assert body["description"] == "Repeats what it is told."
    assert (body["github_url"], body["paper_url"], body["default_example"]) == (
        "https://github.com/acme/echo",
        None,
        None,
    )
    version = body["latest_version"]
    assert list(version) == ["id", "created_at", "cog_version", "openapi_schema"]
    assert re.fullmatch(r"[0-9a-f]{64}", version["id"])
    schemas = version["openapi_schema"]["components"]["schemas"]
    assert schemas["Input"]["properties"]["text"]["title"] == "Text"
    assert schemas["Output"] == {"title": "Output", "type": "string"}


def test_the_decorator_leaves_the_function_alone(simulator: Simulator) -> None:
    assert simulator.model("acme/echo")(echo) is echo


@pytest.mark.parametrize("name", ["echo", "a/b/c", "/b", "a/"])
def test_a_name_that_is_none_is_refused(simulator: Simulator, name: str) -> None:
    with pytest.raises(ValueError, match="owner/name"):
        simulator.model(name)(echo)


def test_pushing_again_makes_a_version_when_the_schema_changed(simulator: Simulator, ask: Send) -> None:
    simulator.model("acme/echo")(echo)
    simulator.model("acme/echo")(echo)
    first = simulator.version("acme/echo")

    @simulator.model("acme/echo")
    def other(text: str, times: int = 2) -> str:
        return text * times

    body = ask("GET", "/models/acme/echo/versions").json()
    assert [each["id"] for each in body["results"]] == [simulator.version("acme/echo"), first]
    assert ask("GET", f"/models/acme/echo/versions/{first}").json() == body["results"][1]
    assert ask("GET", "/models/acme/echo/versions/none").status_code == 404

    def run(version: str) -> Any:
        request = {"version": version, "input": {"text": "a"}}
        return ask("POST", "/predictions", json=request, headers={"Prefer": "wait"}).json()["output"]

    assert run(f"acme/echo:{first}") == "a"
    assert run("acme/echo") == "aa"


def test_runs_are_counted(ask: Send) -> None:
    for _ in range(3):
        ask("POST", "/models/acme/shout/predictions", json={"input": {"text": "a"}})
    assert ask("GET", "/models/acme/shout").json()["run_count"] == 3


def test_examples_and_readme_can_be_read(simulator: Simulator, send: Send) -> None:
    simulator.model("acme/echo", readme="# Echo\n\nSüß")(echo)
    assert send("GET", "/models/acme/shout/readme").status_code == 404
    readme = send("GET", "/models/acme/echo/readme")
    assert (readme.text, readme.headers["content-type"]) == ("# Echo\n\nSüß", "text/plain; charset=utf-8")
    simulator.example("acme/echo", input={"text": "a"}, output="a")
    simulator.example("acme/echo", input={"text": "b"}, output="b")
    results = send("GET", "/models/acme/echo/examples").json()["results"]
    assert [each["output"] for each in results] == ["b", "a"]
    assert results[0]["status"] == "succeeded"
    assert send("GET", "/models/acme/echo").json()["default_example"] == results[1]


def test_an_example_of_nothing_says_what_there_is(simulator: Simulator) -> None:
    with pytest.raises(LookupError, match=r"no model 'acme/none'.*Known models: acme/shout"):
        simulator.example("acme/none", input={}, output=None)


def test_models_are_listed_newest_first_or_as_asked(simulator: Simulator, ask: Send) -> None:
    for number in range(30):
        simulator.model(f"acme/m{number:02}")(echo)
    simulator.model("acme/hidden", visibility="private")(echo)

    def names(**query: str) -> list[str]:
        found: list[str] = []
        url: str | None = f"{simulator.base_url}/models?{httpx.QueryParams(query)}"
        while url:
            body = ask("GET", url).json()
            assert len(body["results"]) <= 25
            found += [each["name"] for each in body["results"]]
            url = body["next"]
        return found

    oldest_first = ["shout", *(f"m{number:02}" for number in range(30))]
    assert names() == oldest_first[::-1]
    assert names(sort_direction="asc") == oldest_first
    assert names(sort_by="model_created_at", sort_direction="asc") == oldest_first

    @simulator.model("acme/m07")
    def again(text: str, more: int = 1) -> str:
        return text

    assert names()[0] == "m07"
    assert names(sort_by="model_created_at")[0] == "m29"
    assert ask("GET", "/models?sort_by=name").status_code == 400


@pytest.mark.parametrize("content", [b"repeats TOLD", b'"repeats told"', b'  "repeats told" '])
def test_searching_takes_text_plain_or_quoted(simulator: Simulator, send: Send, content: bytes) -> None:
    simulator.model("acme/echo")(echo)
    response = send("QUERY", "/models", content=content, headers={"content-type": "text/plain"})
    assert response.status_code == 200
    assert [each["name"] for each in response.json()["results"]] == ["echo"]


def test_searching_gives_pages_too(simulator: Simulator, ask: Send) -> None:
    for number in range(30):
        simulator.model(f"acme/echo{number}")(echo)
    first = ask("QUERY", "/models", content="echo").json()
    second = ask("QUERY", first["next"], content="echo").json()
    assert len({each["name"] for each in first["results"] + second["results"]}) == 30
    assert ask("QUERY", "/models", content='"unfinished').json()["results"] == []


def test_a_model_can_be_made_changed_and_deleted(ask: Send) -> None:
    created = ask("POST", "/models", json={**NEW, "description": "First"})
    assert created.status_code == 201
    body = created.json()
    assert (body["latest_version"], body["run_count"], body["visibility"]) == (None, 0, "private")
    changed = ask(
        "PATCH",
        "/models/local/mine",
        json={"description": "Second", "readme": "Hi", "github_url": "https://x"},
    )
    assert (changed.json()["description"], changed.json()["github_url"]) == ("Second", "https://x")
    assert ask("GET", "/models/local/mine/readme").text == "Hi"
    assert ask("DELETE", "/models/local/mine").status_code == 204
    assert ask("GET", "/models/local/mine").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**NEW, "owner": "acme"}, 422),
        ({**NEW, "hardware": "abacus"}, 422),
        ({**NEW, "visibility": "secret"}, 422),
        ({**NEW, "name": "Not A Name"}, 422),
        ({"owner": "local"}, 422),
        ([], 422),
    ],
)
def test_a_model_that_cannot_be_made_is_refused(ask: Send, body: Any, status: int) -> None:
    assert ask("POST", "/models", json=body).status_code == status


def test_a_model_is_made_once(ask: Send) -> None:
    assert [ask("POST", "/models", json=NEW).status_code for _ in range(2)] == [201, 422]


def test_an_account_has_at_most_a_thousand_models(ask: Send) -> None:
    answers = [
        ask("POST", "/models", json={**NEW, "name": f"m{number}"}).status_code for number in range(1001)
    ]
    assert answers == [201] * 1000 + [422]


def test_only_ones_own_private_models_without_versions_are_deleted(simulator: Simulator, ask: Send) -> None:
    simulator.model("local/full", visibility="private")(echo)
    ask("POST", "/models", json={**NEW, "visibility": "public"})
    assert ask("DELETE", "/models/acme/shout").status_code == 422
    assert ask("PATCH", "/models/acme/shout", json={}).status_code == 422
    assert ask("DELETE", "/models/local/full").status_code == 422
    assert ask("DELETE", "/models/local/mine").status_code == 422
    assert ask("DELETE", "/models/local/none").status_code == 404
    id = simulator.version("local/full")
    assert ask("DELETE", f"/models/local/full/versions/{id}").status_code == 202
    assert ask("DELETE", "/models/local/full").status_code == 204


def test_versions_in_use_or_public_are_not_deleted(simulator: Simulator, ask: Send) -> None:
    simulator.model("local/open")(echo)
    simulator.model("local/busy", visibility="private")(echo)
    simulator.deployment("app", model="local/busy")
    assert ask("DELETE", f"/models/local/open/versions/{simulator.version('local/open')}").status_code == 422
    assert ask("DELETE", f"/models/local/busy/versions/{simulator.version('local/busy')}").status_code == 422
    assert ask("DELETE", f"/models/acme/shout/versions/{simulator.version('acme/shout')}").status_code == 422


def test_private_models_are_their_owners(ask_of: Callable[..., Send]) -> None:
    simulator = Simulator(tokens={"a": "alice", "b": "bob"})
    simulator.model("alice/secret", visibility="private")(echo)
    ask = ask_of(simulator)

    def as_(token: str, method: str, path: str, **options: Any) -> httpx.Response:
        return ask(method, path, headers={"Authorization": f"Bearer {token}"}, **options)

    run = {"json": {"version": "alice/secret", "input": {"text": "a"}}}
    by_id = {"json": {"version": simulator.version("alice/secret"), "input": {"text": "a"}}}
    assert as_("a", "GET", "/models/alice/secret").status_code == 200
    assert as_("b", "GET", "/models/alice/secret").status_code == 404
    assert (
        as_("b", "POST", "/models/alice/secret/predictions", json={"input": {"text": "a"}}).status_code == 404
    )
    assert as_("b", "POST", "/predictions", **run).status_code == 422
    assert as_("b", "POST", "/predictions", **by_id).status_code == 422
    created = as_("a", "POST", "/predictions", **run).json()
    assert as_("a", "GET", f"/predictions/{created['id']}").status_code == 200
    assert as_("b", "GET", f"/predictions/{created['id']}").status_code == 404
    assert as_("b", "POST", f"/predictions/{created['id']}/cancel").status_code == 404
    assert as_("b", "GET", "/predictions").json()["results"] == []


def test_collections_and_their_models(simulator: Simulator, send: Send) -> None:
    simulator.collection(
        "loud-models", models=["acme/shout", "acme/gone"], description="They shout", full_description="A lot"
    )
    assert send("GET", "/collections").json()["results"] == [
        {"name": "Loud models", "slug": "loud-models", "description": "They shout"}
    ]
    body = send("GET", "/collections/loud-models").json()
    assert (body["full_description"], [each["name"] for each in body["models"]]) == ("A lot", ["shout"])
    assert send("GET", "/collections/none").status_code == 404


def test_search_finds_models_collections_and_pages_without_a_token(ask_of: Callable[..., Send]) -> None:
    simulator = Simulator(tokens=["t"])
    simulator.model("acme/webhooks")(echo)
    simulator.model("local/webhooks", visibility="private")(echo)
    simulator.collection("webhooks", models=["acme/webhooks"])
    ask = ask_of(simulator)
    body = ask("GET", "/search?query=webhooks&limit=5").json()
    assert list(body) == ["query", "models", "collections", "pages"]
    assert [each["model"]["owner"] for each in body["models"]] == ["acme"]
    assert body["models"][0]["metadata"]["score"] > 0
    assert body["collections"][0]["models"] == ["acme/webhooks"]
    assert body["pages"][0]["name"] == "Receive webhooks"
    missing = ask("GET", "/search")
    assert (missing.status_code, missing.json()) == (400, {"detail": 'Query parameter "query" is required'})
    for limit in ("0", "51", "x", "-1", "1.5", "²"):
        assert ask("GET", f"/search?query=a&limit={limit}").status_code == 400


def test_account_hardware_and_secret(simulator: Simulator, send: Send) -> None:
    assert send("GET", "/account").json() == {
        "type": "user",
        "username": "local",
        "name": "Local",
        "github_url": "https://github.com/local",
        "avatar_url": "https://github.com/local.png",
    }
    hardware = send("GET", "/hardware").json()
    assert {"name": "CPU", "sku": "cpu"} in hardware
    secret = send("GET", "/webhooks/default/secret").json()
    assert secret == {"key": simulator.webhook_secret}
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{32}", secret["key"])


@pytest.mark.parametrize(
    "link", ["x", "javascript:alert(1)", "https://a b", "http://[", "https://x/%zz", "https://x\n"]
)
def test_what_is_no_address_is_no_link_of_a_model(link: str, ask: Send) -> None:
    assert ask("POST", "/models", json={**NEW, "github_url": link}).status_code == 422


@pytest.mark.parametrize(
    ("link", "status"),
    [
        ("MIT", 201),
        ("apache-2.0", 201),
        ("https://a.example/b", 201),
        ("javascript:alert(1)", 422),
        ("a b", 422),
    ],
)
@pytest.mark.parametrize("key", ["license_url", "cover_image_url"])
def test_a_license_and_a_picture_may_be_names(key: str, link: str, status: int, ask: Send) -> None:
    made = ask("POST", "/models", json={**NEW, key: link})
    assert made.status_code == status
    assert status == 422 or made.json()[key] == link


def test_an_empty_link_takes_one_away(ask: Send) -> None:
    made = ask("POST", "/models", json={**NEW, "paper_url": "https://arxiv.org/abs/2504.17639?a=%20b"}).json()
    assert made["paper_url"] == "https://arxiv.org/abs/2504.17639?a=%20b"
    changed = ask("PATCH", f"/models/{made['owner']}/{made['name']}", json={"paper_url": ""}).json()
    assert changed["paper_url"] is None


def test_half_characters_in_a_readme_break_nothing(ask: Send) -> None:
    made = ask("POST", "/models", json=NEW).json()
    path = f"/models/{made['owner']}/{made['name']}"
    ask("PATCH", path, content=b'{"readme": "\\udb1f"}')
    assert ask("GET", f"{path}/readme").text == "?"
