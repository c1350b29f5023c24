"""The script of the page, where it reads what records may say, as a browser would run it."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")

COLOURS = {"type": "string", "enum": ["red", "blue"]}
ALL = {
    "Colour": {**COLOURS, "title": "Colour", "description": "An enumeration."},
    "Again": {"$ref": "#/components/schemas/Colour"},
    "Loop": {"$ref": "#/components/schemas/Loop"},
}
COLOUR = {"$ref": "#/components/schemas/Colour"}
URL = {"type": "string", "format": "uri"}


def script(name: str, begin: str, end: str) -> str:
    text = files("replicate_kit.serving").joinpath("web", name).read_text("utf-8")
    return text[text.index(begin) : text.index(end)]


def ran(code: str) -> Any:
    done = subprocess.run(["node", "-"], input=code, capture_output=True, check=True, encoding="utf-8")
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("schema", "folded"),
    [
        (COLOUR, COLOURS),
        ({"$ref": "#/components/schemas/Again"}, COLOURS),
        (
            {"allOf": [COLOUR], "default": "red", "description": "Mine"},
            {"default": "red", "description": "Mine"},
        ),
        ({"anyOf": [COLOUR, {"type": "null"}]}, COLOURS),
        ({"oneOf": [{"type": "null"}, URL]}, URL),
        ({"anyOf": [{"type": "string"}, {"type": "null"}], "title": "A"}, {"type": "string", "title": "A"}),
        ({"type": ["integer", "null"]}, {"type": "integer"}),
        ({"type": "array", "items": {"anyOf": [URL, {"type": "null"}]}}, {"type": "array", "items": URL}),
        ({"allOf": [{"type": "string"}]}, {"type": "string"}),
        ({"allOf": []}, {}),
        ({"$ref": "#/components/schemas/Nothing"}, {}),
        ({"$ref": "#/components/schemas/Loop"}, {}),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {}),
        (None, {}),
        (True, {}),
    ],
)
def test_a_form_finds_what_a_schema_refers_to(schema: Any, folded: dict[str, Any]) -> None:
    code = script("forms.js", "function folded", "const PLAIN")
    made = ran(f"{code}console.log(JSON.stringify(folded({json.dumps(schema)}, {json.dumps(ALL)})));")
    assert {name: made.get(name) for name in folded} == folded
    assert made.keys() - folded.keys() <= ({"title", "type", "enum"} if folded else set())


@pytest.mark.parametrize("times", [{}, {"completed_at": "2026-01-31T12:00:00Z"}])
@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ("starting", False),
        ("processing", False),
        *((status, True) for status in ("succeeded", "failed", "canceled", "aborted")),
    ],
)
def test_what_has_ended_is_told_by_its_status(status: str, ended: bool, times: dict[str, str]) -> None:
    code = script("page.js", "const ended", "const lasted")
    assert ran(f"{code}console.log(ended({json.dumps({'status': status, **times})}));") is ended


def test_a_fault_of_the_page_is_not_taken_for_a_server_that_is_away() -> None:
    code = script("forms.js", "const UNANSWERED", "let token")
    told = ran(
        "globalThis.fetch = async () => { throw new TypeError('fetch failed'); };"
        f"{code}request('/').catch((error) => console.log(JSON.stringify(error.message)));"
    )
    assert told == "The server does not answer."
    for name in ("page.js", "forms.js"):
        text = files("replicate_kit.serving").joinpath("web", name).read_text("utf-8")
        assert "instanceof TypeError" not in text
        assert "completed_at" not in text
