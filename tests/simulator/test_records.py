from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.simulator import Clock, Simulator, install
from replicate_kit.simulator._records.format import SECTIONS
from replicate_kit.simulator._state.encoding import encode

Send = Callable[..., httpx.Response]

VERSION = "9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426"
SCHEMA = {
    "components": {
        "schemas": {
            "Input": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
            "Output": {"type": "string"},
        }
    }
}
HELLO = {"owner": "replicate", "name": "hello-world"}
PAINTED = {"owner": "acme", "name": "painted", "is_official": True, "runs_as": "acme/shout"}
RECORDS: dict[str, Any] = {
    "accounts": [{"username": "acme", "type": "organization", "name": "Acme", "members": ["local"]}],
    "hardware": [{"sku": "gpu-b200", "name": "Nvidia B200"}],
    "models": [
        {
            **HELLO,
            "description": "Says hello",
            "readme": "# Hello",
            "run_count": 12,
            "github_url": "https://github.com/replicate/hello",
            "examples": [
                {"id": "second", "input": {"text": "b"}, "output": "hello b"},
                {"id": "first", "input": {"text": "a"}, "output": "hello a"},
            ],
            "default_example": {"id": "first", "input": {"text": "a"}, "output": "hello a"},
            "latest_version": {"id": VERSION, "cog_version": "0.9", "openapi_schema": SCHEMA},
        },
        {**PAINTED, "visibility": "private", "hardware": "gpu-b200"},
    ],
    "versions": [
        {
            "model": "replicate/hello-world",
            "id": "0" * 64,
            "created_at": "2023-01-01T00:00:00Z",
            "openapi_schema": SCHEMA,
        }
    ],
    "deployments": [{"owner": "acme", "name": "app", "model": "acme/painted", "hardware": "gpu-b200"}],
    "collections": [{"slug": "greetings", "description": "Hi", "models": ["replicate/hello-world"]}],
    "files": [
        {"id": "cat", "name": "cat.txt", "content": "meow", "metadata": {"a": 1}},
        {"id": "dog", "content_base64": base64.b64encode(b"\x00woof").decode(), "owner": "acme"},
    ],
    "predictions": [
        {
            "id": "gm3qorzdhgbfurvjtvhg6dckhu",
            "version": VERSION,
            "input": {"text": "Alice"},
            "output": "hello Alice",
            "logs": "Reading\n",
            "created_at": "2023-09-08T16:19:34.765994Z",
            "completed_at": "2023-09-08T16:19:35Z",
            "metrics": {"predict_time": 0.2},
            "urls": {"get": "https://api.replicate.com/v1/predictions/gm3qorzdhgbfurvjtvhg6dckhu"},
        },
        {"id": "runs", "model": "replicate/hello-world", "status": "processing", "input": {"text": "b"}},
        {"id": "failed", "model": "acme/painted", "status": "failed", "error": "out of paint"},
        {
            "id": "removed",
            "deployment": "acme/app",
            "data_removed": True,
            "created_at": "2023-09-08T16:19:34.765994Z",
        },
        {"id": "theirs", "version": VERSION, "owner": "bob"},
    ],
    "trainings": [{"id": "trained", "version": VERSION, "destination": "acme/painted", "status": "canceled"}],
}


@pytest.fixture
def loaded(simulator: Simulator) -> Simulator:
    simulator.load_records(RECORDS)
    return simulator


def body(ask: Send, path: str) -> Any:
    response = ask("GET", path)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_model_is_what_it_was_said_to_be(loaded: Simulator, ask: Send) -> None:
    model = body(ask, "/models/replicate/hello-world")
    assert (model["description"], model["run_count"], model["is_official"]) == ("Says hello", 12, False)
    assert model["github_url"] == "https://github.com/replicate/hello"
    assert (model["latest_version"]["id"], model["latest_version"]["cog_version"]) == (VERSION, "0.9")
    assert model["latest_version"]["openapi_schema"] == SCHEMA
    assert (model["default_example"]["id"], model["default_example"]["output"]) == ("first", "hello a")
    assert ask("GET", "/models/replicate/hello-world/readme").text == "# Hello"
    versions = body(ask, "/models/replicate/hello-world/versions")["results"]
    assert [each["id"] for each in versions] == [VERSION, "0" * 64]
    examples = body(ask, "/models/replicate/hello-world/examples")["results"]
    assert {each["id"] for each in examples} == {"first", "second"}
    assert {"sku": "gpu-b200", "name": "Nvidia B200"} in body(ask, "/hardware")
    assert body(ask, "/collections/greetings")["models"][0]["name"] == "hello-world"


@pytest.mark.parametrize("reference", [VERSION, f"replicate/hello-world:{VERSION}", "0" * 64])
def test_a_version_runs_under_its_id(reference: str, loaded: Simulator, send: Send) -> None:
    for input, status in (({"text": "Alice"}, 201), ({"text": 5}, 422)):
        sent = {"version": reference, "input": input}
        answer = send("POST", "/predictions", json=sent, headers={"Prefer": "wait"})
        assert answer.status_code == status
    assert (answer.json()["title"], loaded.created) == ("Input validation failed", 1)


@pytest.mark.parametrize("path", ["/models/acme/painted", "/deployments/acme/app"])
def test_a_model_runs_as_another_one(path: str, loaded: Simulator, ask: Send) -> None:
    sent = {"input": {"text": "a", "times": 2}}
    answer = ask("POST", f"{path}/predictions", json=sent, headers={"Prefer": "wait"})
    assert (answer.json()["output"], answer.json()["model"]) == ("A!!", "acme/painted")


def test_a_schema_of_its_own_hides_the_one_that_it_runs_as(simulator: Simulator, ask: Send) -> None:
    version = {"id": "v1", "openapi_schema": SCHEMA, "runs_as": "acme/shout"}
    simulator.load_records({"models": [{**HELLO, "latest_version": version}]})
    sent = {"version": "v1", "input": {"text": "a", "undeclared": 5}}
    answer = ask("POST", "/predictions", json=sent, headers={"Prefer": "wait"}).json()
    assert (answer["output"], answer["error"]) == ("A!", None)
    assert body(ask, "/models/replicate/hello-world/versions/v1")["openapi_schema"] == SCHEMA


def test_predictions_stay_as_they_are(simulator: Simulator, ask_of: Callable[[Simulator], Send]) -> None:
    clock = Clock(rate=0)
    with Simulator(clock=clock, tokens={"a": "local", "b": "bob"}) as other:
        other.model("acme/shout")(lambda text="": text)
        other.load_records(RECORDS)
        clock.advance(1e6)
        ask, mine = ask_of(other), {"authorization": "Bearer a"}
        listed = ask("GET", "/predictions", headers=mine).json()["results"]
        assert [each["id"] for each in listed[:2]] == ["failed", "runs"]
        assert {each["id"] for each in listed[2:]} == {"gm3qorzdhgbfurvjtvhg6dckhu", "removed"}
        found = {each["id"]: each for each in listed}
        old = found["gm3qorzdhgbfurvjtvhg6dckhu"]
        assert (old["output"], old["logs"], old["version"]) == ("hello Alice", "Reading\n", VERSION)
        assert (old["created_at"], old["metrics"]) == ("2023-09-08T16:19:34.765994Z", {"predict_time": 0.2})
        assert old["urls"]["get"].startswith(other.base_url)
        assert (found["runs"]["status"], found["failed"]["error"]) == ("processing", "out of paint")
        assert (found["failed"]["version"], found["removed"]["deployment"]) == ("hidden", "acme/app")
        assert found["removed"]["data_removed"] is True
        assert ask("GET", "/predictions/theirs", headers=mine).status_code == 404
        assert ask("GET", "/predictions/theirs", headers={"authorization": "Bearer b"}).status_code == 200
        canceled = ask("POST", "/predictions/runs/cancel", headers=mine).json()
        assert canceled["status"] == "canceled"
        assert ask("GET", "/trainings/trained", headers=mine).json()["status"] == "canceled"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("succeeded", ["logs", "output", "output", "done"]),
        ("failed", ["logs", "output", "output", "error", "done"]),
        ("canceled", ["logs", "output", "output", "done"]),
    ],
)
def test_predictions_stream_what_they_once_streamed(
    status: str, told: list[str], simulator: Simulator, ask: Send
) -> None:
    install(simulator)
    prediction = {
        "id": "p",
        "model": "demo/poet",
        "status": status,
        "logs": "x",
        "output": ["a", "b"],
        "error": "e",
    }
    simulator.load_records({"predictions": [prediction]})
    stream = ask("GET", body(ask, "/predictions/p")["urls"]["stream"]).text
    assert re.findall("^event: (.+)$", stream, re.MULTILINE) == told


def test_files_can_be_read(loaded: Simulator, ask: Send) -> None:
    assert [each["id"] for each in body(ask, "/files")["results"]] == ["cat"]
    cat = body(ask, "/files/cat")
    assert (cat["size"], cat["content_type"], cat["metadata"]) == (4, "text/plain", {"a": 1})
    expiry = int(loaded.clock.now()) + 60
    for id, owner, content in (("cat", "local", b"meow"), ("dog", "acme", b"\x00woof")):
        signature = loaded.sign_download(id, expiry, owner=owner)
        params: dict[str, Any] = {"owner": owner, "expiry": expiry, "signature": signature}
        assert ask("GET", f"/files/{id}/download", params=params).content == content


def test_a_member_acts_for_its_organization(loaded: Simulator, ask: Send) -> None:
    assert body(ask, "/deployments")["results"] == []
    assert body(ask, "/deployments/acme/app")["current_release"]["created_by"]["name"] == "Acme"
    assert ask("PATCH", "/models/acme/painted", json={"description": "Wet"}).json()["description"] == "Wet"
    made = {"name": "mine", "visibility": "private", "hardware": "gpu-b200"}
    assert ask("POST", "/models", json={**made, "owner": "acme"}).status_code == 201
    assert ask("POST", "/models", json={**made, "owner": "bob"}).status_code == 422
    assert ask("PATCH", "/models/replicate/hello-world", json={"description": "Wet"}).status_code == 422


def test_a_model_has_further_names_in_bodies(simulator: Simulator, ask: Send) -> None:
    accounts = [{"username": "acme", "members": ["local"]}]
    trained = {"components": {"schemas": {**SCHEMA["components"]["schemas"], "TrainingInput": {}}}}
    version = {"id": "v1", "openapi_schema": trained}
    model = {"owner": "acme", "name": "m", "aliases": ["model"], "latest_version": version}
    simulator.load_records({"accounts": accounts, "models": [model]})
    numbers = {"hardware": "cpu", "min_instances": 0, "max_instances": 1}
    made = ask("POST", "/deployments", json={"name": "d", "model": "model", "version": "v1", **numbers})
    assert made.json()["current_release"]["model"] == "acme/m"
    training = ask("POST", "/models/acme/m/versions/v1/trainings", json={"destination": "model", "input": {}})
    assert training.status_code == 201
    with Client(backend=simulator) as client:
        finished = client.trainings.get(training.json()["id"])
        finished.wait()
    assert finished.output["version"].startswith("acme/m:")


def test_what_is_loaded_again_takes_the_place_of_what_was_there(loaded: Simulator, ask: Send) -> None:
    loaded.load_records(RECORDS)
    assert len(body(ask, "/predictions")["results"]) == 4
    assert len(body(ask, "/models/replicate/hello-world/versions")["results"]) == 2
    loaded.load_records(
        {"models": [HELLO], "predictions": [{"id": "runs", "model": "acme/shout", "output": "A"}]}
    )
    assert body(ask, "/models/replicate/hello-world")["latest_version"] is None
    assert (body(ask, "/predictions/runs")["output"], loaded.created) == ("A", 0)


def without_times(value: Any) -> Any:
    """What an answer says but for when something was made: a deployment that is loaded is a new one."""
    if isinstance(value, list):
        return [without_times(each) for each in value]
    if isinstance(value, dict):
        return {
            name: without_times(each) for name, each in value.items() if name not in ("created_at", "urls")
        }
    return value


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ("models", "/models/replicate/hello-world"),
        ("deployments", "/deployments/acme/app"),
        ("collections", "/collections/greetings"),
        ("files", "/files/cat"),
        ("predictions", "/predictions/gm3qorzdhgbfurvjtvhg6dckhu"),
        ("trainings", "/trainings/trained"),
        ("hardware", "/hardware"),
        ("accounts", "/account"),
    ],
)
def test_answers_can_be_pasted(section: str, path: str, loaded: Simulator, ask: Send) -> None:
    answer = body(ask, path)
    loaded.load_records({section: answer if isinstance(answer, list) else [answer]})
    again = body(ask, path)
    assert without_times(again) == without_times(answer)


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_file_that_says_no_content_keeps_what_it_had(is_empty: bool, loaded: Simulator, ask: Send) -> None:
    loaded.load_records({"files": [{"id": "cat", "name": "b.txt", **({"content": ""} if is_empty else {})}]})
    assert (body(ask, "/files/cat")["size"], body(ask, "/files/cat")["name"]) == (
        0 if is_empty else 4,
        "b.txt",
    )


def test_members_and_aliases_are_replaced(simulator: Simulator) -> None:
    service, model = simulator._service, {**LIMITED, "runs_as": "acme/shout"}
    for members, aliases in ((["local", "bob"], ["x", "y"]), (["bob"], ["y"]), ([], [])):
        simulator.load_records(
            {
                "accounts": [
                    {"username": "acme", "members": members},
                    {"username": "other", "members": ["acme"]},
                ],
                "models": [{**model, "aliases": aliases}],
            }
        )
        for member in ("local", "bob"):
            assert ("acme" in service.accounts.owners(member)) is (member in members)
        assert service.accounts.owners("acme") == {"acme", "other"}
        for alias in ("x", "y"):
            assert (service.store.named(alias) is not None) is (alias in aliases)


def test_a_folder_of_state_gathers_no_copies(tmp_path: Path) -> None:
    counts = set()
    for _ in range(3):
        with Simulator(state=tmp_path) as simulator:
            simulator.load_records({"files": RECORDS["files"]})
            assert {each.blob.read() for each in simulator._service.store.uploads.values()} == {
                b"meow",
                b"\x00woof",
            }
        counts.add(len([path for path in tmp_path.rglob("*") if path.is_file()]))
    assert len(counts) == 1


def test_new_predictions_come_before_those_that_were_loaded(simulator: Simulator, ask: Send) -> None:
    same = {"model": "acme/shout", "created_at": "2024-01-01T00:00:00Z"}
    simulator.load_records({"predictions": [{"id": f"p{number}", **same} for number in range(120)]})
    ask("POST", "/models/acme/shout/predictions", json={"input": {"text": "a"}}, headers={"Prefer": "wait"})
    ids, page = [], f"{simulator.base_url}/predictions"
    while page:
        found = body(ask, page)
        ids += [each["id"] for each in found["results"]]
        page = found["next"]
    assert (len(ids), len(set(ids)), ids[1:3], ids[-1]) == (121, 121, ["p119", "p118"], "p0")


LIMITED = {"owner": "a", "name": "b"}


def described(**schemas: Any) -> dict[str, Any]:
    """A version with these schemas."""
    return {"id": "v", "openapi_schema": {"components": {"schemas": schemas}}}


LOOP = {"anyOf": [{"$ref": "#/components/schemas/Loop"}, {"type": "string"}]}
# What is no schema, and where the mistake is told.
NO_SCHEMAS: list[tuple[Any, str]] = [
    (None, ": Invalid type. Expected: object, given: null"),
    (True, ": Invalid type. Expected: object, given: boolean"),
    ("string", ": Invalid type. Expected: object, given: string"),
    ({"type": "text"}, ".type: Must validate"),
    ({"type": []}, ".type: Must validate"),
    *(
        ({name: []}, f".{name}: Array must have at least 1 items")
        for name in ("allOf", "anyOf", "oneOf", "enum")
    ),
    *(({name: {}}, f".{name}: Invalid type") for name in ("allOf", "anyOf", "oneOf", "enum", "required")),
    *(({name: [None]}, f".{name}[0]: Invalid type") for name in ("allOf", "anyOf", "oneOf", "required")),
    *(
        ({name: "1"}, f".{name}: Invalid type")
        for name in ("minimum", "maximum", "maxLength", "minItems", "x-order")
    ),
    *(
        ({name: None}, f".{name}: Invalid type")
        for name in ("properties", "items", "format", "pattern", "$ref")
    ),
    ({"properties": {"y": {"items": {"type": 5}}}}, ".properties.y.items.type: Must validate"),
    ({"multipleOf": 0}, ".multipleOf: Must be greater than 0"),
    *(
        ({"$ref": to}, ".$ref: ")
        for to in ("#/components/schemas/Nothing", "Input", "#", "", "#/components/schemas/v/x")
    ),
    ({"$ref": "#/components/schemas/Loop"}, ".$ref: '#/components/schemas/Loop' leads back to itself"),
    ({"pattern": "("}, ".pattern: '(' is no regular expression: missing )"),
]
BAD: list[tuple[Any, str]] = [
    ([], "Records are a JSON object with lists: accounts, hardware, models"),
    ({"prediction": []}, "prediction: no such list. Did you mean 'predictions'?"),
    ({"models": {}}, "models: has to be a list."),
    ({"models": [5]}, "models[0]: Invalid type. Expected: object, given: integer"),
    ({"models": [{"owner": "a"}]}, "models[0]: name is required"),
    ({"models": [{**LIMITED, "offical": True}]}, "models[0].offical: no such name. Did you mean"),
    ({"models": [{"owner": "a/b", "name": "c"}]}, "models[0].owner: write a name without spaces"),
    ({"models": [{**LIMITED, "visibility": "secret"}]}, "models[0].visibility: visibility must be one of"),
    (
        {"models": [{**LIMITED, "runs_as": "acme/shuot"}]},
        "no model 'acme/shuot' that runs. Did you mean 'acme/shout'?",
    ),
    ({"models": [{**LIMITED, "hardware": "tpu"}]}, "models[0].hardware: no such hardware as 'tpu'"),
    ({"models": [{**LIMITED, "examples": [{}]}]}, "models[0]: examples need a version"),
    ({"models": [{**LIMITED, "aliases": ["acme/shout"]}]}, "models[0].aliases[0]: 'acme/shout' is a model"),
    (
        {"models": [{**LIMITED, "latest_version": {"id": "v"}}]},
        'models[0].latest_version: say "openapi_schema"',
    ),
    ({"models": [LIMITED, LIMITED]}, "models[1]: a/b is there already, as models[0]."),
    (
        {"versions": [{"model": "a/b", "id": "v", "runs_as": "acme/shout"}]},
        "versions[0].model: there is no model",
    ),
    ({"versions": [{"model": "b", "id": "v"}]}, "versions[0].model: write it as owner/name"),
    (
        {"versions": [{"model": "a/b", "id": "v", "openapi_schema": {}}]},
        "versions[0].openapi_schema: components is",
    ),
    ({"predictions": [{"id": "p"}]}, 'predictions[0]: say which "version" or "model"'),
    (
        {"predictions": [{"id": "p", "model": "acme/shout"}, {"id": "q", "version": "x"}]},
        'predictions[1].version: no version with this id; load it in "versions".',
    ),
    ({"predictions": [{"id": "p", "model": "a/b"}]}, "predictions[0].model: there is no model 'a/b'"),
    (
        {"predictions": [{"id": "p", "deployment": "a/b"}]},
        "predictions[0].deployment: there is no deployment",
    ),
    (
        {"predictions": [{"id": "p", "model": "acme/shout", "status": "done"}]},
        "predictions[0].status: status must",
    ),
    (
        {"predictions": [{"id": "p", "model": "acme/shout", "created_at": "soon"}]},
        "predictions[0].created_at: 'soon' is no time.",
    ),
    (
        {
            "predictions": [{"id": "p", "model": "acme/shout"}],
            "trainings": [{"id": "p", "model": "acme/shout"}],
        },
        "trainings[0].id: a prediction has this id",
    ),
    ({"models": [LIMITED], "predictions": [{"id": "p", "model": "a/b"}]}, "'a/b' has no version; load one"),
    (
        {"deployments": [{"name": "d", "model": "acme/shout", "min_instances": 2}]},
        "deployments[0].min_instances: must not be greater",
    ),
    (
        {"collections": [{"slug": "s", "models": ["a/b"]}]},
        "collections[0].models[0]: there is no model 'a/b'",
    ),
    ({"files": [{"id": "f", "content_base64": "?"}]}, "files[0].content_base64: is not base64."),
    ({"files": [{"id": "f", "content": "", "content_base64": ""}]}, 'files[0]: say "content"'),
    ({"files": [{"id": "f", "expires_at": "2020-01-01T00:00:00Z"}]}, "files[0].expires_at: is in the past"),
    ({"files": [{"id": "f", "content": "\ud800"}]}, "files[0].content: has half of a character"),
    *(
        ({"models": [{**LIMITED, "runs_as": "acme/shout", name: shown}]}, told)
        for each, wrong in (
            ({"version": "older"}, "version: a/b has no version with this id"),
            ({"model": "c/d"}, "model: is c/d, and not a/b"),
            ({"model": "acme/shout"}, "model: is acme/shout, and not a/b"),
        )
        for name, shown, told in (
            ("default_example", each, f"models[0].default_example.{wrong}"),
            ("examples", [{}, each], f"models[0].examples[1].{wrong}"),
        )
    ),
    *(
        (
            {"predictions": [{"id": "p", "model": "acme/shout", name: when}]},
            f"predictions[0].{name}: {when} is later",
        )
        for name in ("created_at", "started_at", "completed_at")
        for when in ("9999-12-31T23:59:59Z", "2099-01-01T00:00:00Z")
    ),
    (
        {
            "models": [
                {**LIMITED, "runs_as": "acme/shout", "examples": [{"created_at": "2099-01-01T00:00:00Z"}]}
            ]
        },
        "models[0].examples[0].created_at: 2099-01-01T00:00:00Z is later than now",
    ),
    (
        {"models": [{**LIMITED, "latest_version": {"id": "v", "created_at": "2099-01-01T00:00:00Z"}}]},
        "models[0].latest_version.created_at: 2099-01-01T00:00:00Z is later than now",
    ),
    *(
        ({"predictions": [{"id": id, "model": "acme/shout"}]}, "predictions[0].id: write a name")
        for id in ("\ud800", "")
    ),
    (
        {"files": [{"id": "f", "size": 4, "etag": "x"}]},
        "files[0]: answers of the API do not have what is in a file",
    ),
    (
        {"models": [{**LIMITED, "aliases": ["x"]}, {"owner": "a", "name": "c", "aliases": ["y", "x"]}]},
        "models[1].aliases[1]: models[0] has this name, too",
    ),
    ({"versions": [{"id": "v", "openapi_schema": SCHEMA}]}, "versions[0]: model is required"),
    (
        {"deployments": [{"owner": "a", "name": "d", "current_release": {}}]},
        "deployments[0]: model is required",
    ),
    ({"deployments": [{"name": "d", "current_release": []}]}, "deployments[0].current_release: no such name"),
    ({"collections": [{"slug": "s", "models": [{"owner": "a"}]}]}, "collections[0].models[0]: Invalid type"),
    *(
        ({"models": [{**LIMITED, "latest_version": described(**schemas)}]}, f"schemas.{at}{told}")
        for schema, told in NO_SCHEMAS
        for schemas, at in (
            ({"Input": {"properties": {"x": schema}}, "Loop": LOOP}, "Input.properties.x"),
            ({"Output": schema, "Loop": LOOP}, "Output"),
        )
    ),
    *(
        (
            {"predictions": [{"id": "p", "model": "acme/shout", "metrics": {"total_time": time}}]},
            ".metrics.total_time: ",
        )
        for time in ("long", None, -1, True, [])
    ),
    *(
        (
            {"predictions": [{"id": "p", "model": "acme/shout", name: {"a": [number]}}]},
            "predictions[0]: has what JSON",
        )
        for name in ("input", "output")
        for number in (float("nan"), float("inf"), -float("inf"))
    ),
]


@pytest.mark.parametrize(("records", "told"), BAD)
def test_a_mistake_is_told_with_its_path_and_nothing_is_loaded(
    records: Any, told: str, simulator: Simulator, tmp_path: Path
) -> None:
    before = simulator.published()
    (tmp_path / "records.json").write_text(json.dumps(records))
    with pytest.raises(ValueError, match=r"records\.json cannot be loaded") as caught:
        simulator.load_records(tmp_path / "records.json")
    assert told in str(caught.value)
    assert (simulator.published(), simulator.recent()) == (before, [])


ODD: list[Any] = [
    None,
    True,
    -1,
    1e308,
    10**400,
    "",
    "x",
    "\ud800",
    "a/b",
    "9999-12-31T23:59:59Z",
    [],
    [None],
    ["a"],
    {},
]
ODD += [
    {"a": 1},
    [{}],
    {"components": {"schemas": {"Input": {"$ref": "#"}}}},
    float("nan"),
    "acme/shout",
    "\r\n",
]


def told_of(simulator: Simulator, records: Any) -> str:
    """Why records are refused, or nothing."""
    try:
        simulator.load_records(records)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("section", SECTIONS)
def test_whatever_an_entry_says_it_is_refused_or_loaded_as_a_whole(
    section: str, loaded: Simulator, ask: Send
) -> None:
    entry = {"runs_as": "acme/shout", **RECORDS[section][0]} if section == "models" else RECORDS[section][0]
    for name in (*SECTIONS[section].properties, *SECTIONS[section].ignored, "current_release"):
        for odd in ODD:
            before = encode([loaded.published(), loaded.recent()])
            told = told_of(loaded, {section: [{**entry, name: odd}]})
            if told:
                assert told.startswith(f"The records cannot be loaded.\n{section}[0]")
                assert encode([loaded.published(), loaded.recent()]) == before
            for path in (
                "/predictions",
                "/trainings",
                "/files",
                "/models",
                "/collections",
                "/deployments",
                "/account",
            ):
                assert ask("GET", path).status_code == 200, (name, odd)
            assert encode([loaded.published(), loaded.recent()])


def test_a_version_of_another_model_is_told(loaded: Simulator) -> None:
    with pytest.raises(ValueError, match="is one of replicate/hello-world, and not of acme/shout"):
        loaded.load_records({"predictions": [{"id": "p", "model": "acme/shout", "version": VERSION}]})


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"latest_version": {"id": "other", "openapi_schema": SCHEMA}},
        {"runs_as": "acme/shout"},
    ],
)
def test_a_deployment_keeps_its_version(change: dict[str, Any], loaded: Simulator) -> None:
    deployment = {"owner": "acme", "name": "app", "model": "replicate/hello-world"}
    loaded.load_records({"deployments": [deployment]})
    with pytest.raises(ValueError, match=f"models.0.: the deployment acme/app is of its version {VERSION}"):
        loaded.load_records(
            {"models": [{**HELLO, **change}], "predictions": [{"id": "p", "deployment": "acme/app"}]}
        )
    kept = {"model": "replicate/hello-world", "id": VERSION, "openapi_schema": SCHEMA}
    loaded.load_records({"models": [{**HELLO, **change}], "versions": [kept]})
    loaded.load_records({"predictions": [{"id": "p", "deployment": "acme/app"}]})
    if change:
        loaded.load_records({"models": [{**HELLO, **change}], "deployments": [deployment]})


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 200_000])
def test_a_file_that_is_no_json_says_so(content: bytes, simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "records.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"records\.json is n"):
        simulator.load_records(tmp_path / "records.json")


def test_predictions_of_loaded_versions_outlive_the_process(
    tmp_path: Path, ask_of: Callable[[Simulator], Send]
) -> None:
    records = {"models": [{**HELLO, "latest_version": {"id": VERSION, "openapi_schema": SCHEMA}}]}
    with Simulator(state=tmp_path) as first:
        first.load_records(records)
        sent = {"version": VERSION, "input": {"text": "a"}}
        made = ask_of(first)("POST", "/predictions", json=sent, headers={"Prefer": "wait"}).json()
    with Simulator(state=tmp_path) as second:
        second.load_records(records)
        assert body(ask_of(second), f"/predictions/{made['id']}")["output"] == made["output"]
