"""The code that asks for a prediction as a form of the page does, for three clients."""

from __future__ import annotations

import json
import shlex
from typing import Any

__all__ = ["snippets"]


def snippets(base_url: str, version: str, input: dict[str, Any]) -> dict[str, str]:
    """Write code that runs as it stands, and reads its token from REPLICATE_API_TOKEN.

    `base_url` has no `/v1`. Raises ValueError for numbers that JSON has not.

    >>> print(snippets("http://127.0.0.1:8000", "acme/echo", {"text": "it's"})["python"])
    import replicate_kit as replicate
    <BLANKLINE>
    client = replicate.Client(backend="http", base_url="http://127.0.0.1:8000")
    output = client.run(
        "acme/echo",
        input={
            "text": "it's",
        },
    )
    print(output)
    <BLANKLINE>
    """
    named, body = _json(version), _json({"version": version, "input": input})
    return {
        "python": _PYTHON.format(base_url=_json(base_url), version=named, input=_python(input, "    ")),
        "curl": _CURL.format(url=shlex.quote(f"{base_url}/v1/predictions"), body=_for_curl(body)),
        "javascript": _JAVASCRIPT.format(
            base_url=_json(f"{base_url}/v1"), version=named, input=_json(input, 2).replace("\n", "\n  ")
        ),
    }


_LONGEST = 100_000  # bytes; Linux takes no more than 128 KiB for one argument (MAX_ARG_STRLEN of its execve)

_PYTHON = """\
import replicate_kit as replicate

client = replicate.Client(backend="http", base_url={base_url})
output = client.run(
    {version},
    input={input},
)
print(output)
"""

_CURL = """\
curl -sS {url} \\
  -H "Authorization: Bearer $REPLICATE_API_TOKEN" \\
  -H "Content-Type: application/json" \\
  -H "Prefer: wait" \\
  -d {body}
"""

_JAVASCRIPT = """\
import Replicate from "replicate";

const replicate = new Replicate({{
  auth: process.env.REPLICATE_API_TOKEN,
  baseUrl: {base_url},
}});
const output = await replicate.run({version}, {{
  input: {input},
}});
console.log(output);
"""


def _for_curl(body: str) -> str:
    """Write a body, which is one line of JSON, as what `-d` takes, and where it is read from."""
    if len(body.encode("utf-8", "surrogatepass")) > _LONGEST:
        return f"@- <<'END'\n{body}\nEND"
    # On one line: in quotes that go over several, some interactive shells replace what follows a `!`.
    return shlex.quote(body)


def _json(value: Any, indent: int | None = None) -> str:
    """Write JSON, which is JavaScript too; its texts are also Python's."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def _python(value: Any, indent: str = "") -> str:
    """Write a JSON value as Python, an item a line."""
    inner = f"{indent}    "
    if isinstance(value, dict):
        begin, lines, end = "{", [f"{_json(key)}: {_python(each, inner)}" for key, each in value.items()], "}"
    elif isinstance(value, list):
        begin, lines, end = "[", [_python(each, inner) for each in value], "]"
    else:
        return _json(value) if isinstance(value, str) else repr(value)
    items = "".join(f"{inner}{line},\n" for line in lines)
    return f"{begin}\n{items}{indent}{end}" if lines else begin + end
