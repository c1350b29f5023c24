"""What a model calls a file becomes no link that runs code, wherever HTML is made."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from replicate_kit import Client, FileOutput, gallery
from replicate_kit._files.outputs import is_linkable
from replicate_kit.simulator import Simulator

CODE = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "\tjavascript:alert(1)",
    "\x01javascript:1",
    "java\tscript:alert(1)",
    "java\nscript:alert(1)",
    "javascript\r:alert(1)",
    "javascript://x/%0aalert(1)//a.png",
    "javascript:alert(1)//a.png",
    "vbscript:msgbox(1)",
    "VBSCRIPT:x//a.mp4",
    "livescript:x",
    "data:text/html,<script>",
    "DATA:text/html;base64,PHNjcmlwdD4=",
    "data:application/xhtml+xml,<x/>",
    "data:text/xml,<x/>",
    "data: text/html,x",
    "data:text/javascript,1",
    'data:;text/html,x"><script>1</script>',
    "//evil.example/a.png",
    "\\\\evil\\share\\a.png",
    "blob:https://x/1",
    "about:blank",
    "ms-word:ofe|u|https://x",
    "https:evil.example",
    "http:/evil.example",
    "http://[",
    "feed:javascript:1",
    "view-source:javascript:1",
    "jar:https://x!/a",
    "\u200bjavascript:1",
    "data:",
    "data",
)
GOOD = (
    "https://example.com/out-0.png",
    "HTTP://example.com/a.wav",
    "https://example.com/a?b=javascript:x#d",
    "data:,hi",
    "data:image/png;base64,AAAA",
    "data:audio/wav;base64,AAAA",
    "data:text/plain,hi",
    "data:application/json,{}",
)


class Page(html.parser.HTMLParser):
    """Notes where the elements of a page lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what loads or leads somewhere; nothing may be a handler of events."""
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.links += [
            value or "" for name, value in attrs if name in ("href", "src", "action", "data", "srcset")
        ]


def is_safe(link: str) -> bool:
    """What a browser makes of a link: it drops blanks and controls before it, and tabs and ends of lines in it."""
    seen = re.sub(r"[\t\r\n]", "", re.sub(r"^[\x00-\x20]+", "", link)).lower()
    scheme = re.match(r"[a-z][a-z0-9+.-]*:", seen)
    if scheme is None:
        return not re.match(r"[\\/]{2}", seen)
    if scheme[0] == "data:":
        return not re.match(r"data:[^,]*(html|xml(?<!svg\+xml)|script)", seen)
    return scheme[0] in ("http:", "https:", "file:")


@pytest.mark.parametrize("url", CODE)
class TestCode:
    def test_in_a_notebook(self, url: str) -> None:
        shown = FileOutput(url)._repr_mimebundle_()
        assert Page(shown["text/html"]).links == []
        assert shown["text/plain"]

    def test_in_a_gallery(self, url: str, tmp_path: Path) -> None:
        for output, stored in ((url, ()), (FileOutput(url), ()), ([url, url], (url,)), ({"a": url}, ())):
            row = SimpleNamespace(
                input={"prompt": url},
                output=output,
                error=None,
                status="succeeded",
                seconds=1.0,
                prediction_id="p",
                cached=False,
                files=stored,
            )
            page = "".join(gallery.render({"A": [row]}, folder=tmp_path))
            assert [each for each in Page(page).links if not is_safe(each)] == []

    def test_as_a_link_at_all(self, url: str) -> None:
        assert not is_linkable(url)


@pytest.mark.parametrize("url", GOOD)
def test_what_leads_to_files_stays_a_link(url: str) -> None:
    assert is_linkable(url)
    assert Page(FileOutput(url)._repr_mimebundle_()["text/html"]).links == [url]


def test_outputs_of_a_model_that_lies_about_files() -> None:
    with Simulator() as simulator, Client(backend=simulator) as client:
        schema: dict[str, Any] = {
            "components": {
                "schemas": {
                    "Input": {"type": "object", "properties": {}},
                    "Output": {"type": "array", "items": {"type": "string", "format": "uri"}},
                }
            }
        }

        @simulator.model("acme/liar", schema=schema)
        def liar() -> list[str]:
            return list(CODE)

        for output in client.run("acme/liar", {}):
            if hasattr(output, "_repr_mimebundle_"):
                assert Page(output._repr_mimebundle_()["text/html"]).links == []


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_on_the_page_of_a_server(tmp_path: Path) -> None:
    script = files("replicate_kit.serving").joinpath("web", "page.js").read_text("utf-8")
    begin, end = script.index("// Outputs: what"), script.index("// Predictions.")
    code = (
        """
const $ = () => ({ addEventListener() {} });
const made = [];
const make = (tag, name = "", text = "") => {
  const it = { tag, text, style: { setProperty() {} }, append() {}, addEventListener() {} };
  made.push(it);
  return it;
};
"""
        + script[begin:end]
        + """
const links = [];
for (const url of JSON.parse(require("fs").readFileSync(0, "utf-8"))) {
  for (const output of [url, [url], [url, url]]) [...shown(output, "x", false)];
}
console.log(JSON.stringify(made.flatMap((it) => [it.href, it.src]).filter((each) => each !== undefined)));
"""
    )
    path = tmp_path / "page.cjs"
    path.write_text(code, "utf-8")
    for urls, wanted in (([each for each in CODE if each != "http://["], []), (GOOD[:3], list(GOOD[:3]))):
        done = subprocess.run(
            ["node", str(path)], input=json.dumps(urls), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert list(dict.fromkeys(json.loads(done.stdout))) == wanted
