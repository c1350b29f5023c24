"""The API's description, and a tool that nobody here wrote, against `replicate-kit serve` in another process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

HERE = Path(__file__).parent
DESCRIPTION = HERE / "openapi.json"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with models, deployments, predictions, files and a training."""
    command = [sys.executable, "-m", "replicate_kit", "serve", str(HERE / "models.py"), "--demo", "--quiet"]
    errors = (tmp_path_factory.mktemp("server") / "errors.txt").open("w+")
    with subprocess.Popen(
        [*command, "--port", "0", "--no-https"],
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        url = next(line.strip().rstrip("/") for line in lines if line.startswith("  http://"))
        yield url
        process.terminate()
        process.communicate(timeout=30)
    errors.seek(0)
    assert "Traceback" not in errors.read()
    errors.close()


@pytest.fixture(scope="module")
def known(server: str) -> dict[str, Any]:
    """Names and ids that exist, for the parameters of paths."""
    with httpx.Client(base_url=f"{server}/v1", headers={"authorization": "Bearer r8_any"}) as client:

        def made(path: str, **body: Any) -> Any:
            answer = client.post(path, json=body)
            assert answer.is_success, answer.text
            return answer.json()

        version = client.get("/models/acme/any").json()["latest_version"]["id"]
        made("/models", owner="local", name="tuned", visibility="private", hardware="cpu")
        made(
            "/deployments",
            name="app",
            model="acme/any",
            version=version,
            hardware="cpu",
            min_instances=0,
            max_instances=1,
        )
        prediction = made("/predictions", version="acme/words", input={"text": "hi"})
        trainable = client.get("/models/demo/painter").json()["latest_version"]["id"]
        training = made(
            f"/models/demo/painter/versions/{trainable}/trainings",
            destination="local/tuned",
            input={"prompt": "hi", "steps": 1},
        )
        file = client.post("/files", files={"content": ("a.txt", b"hello")}).json()
    return {
        "path.model_owner": ["acme", "local"],
        "path.model_name": ["any", "files", "tuned", "private"],
        "path.version_id": version,
        "path.deployment_owner": "local",
        "path.deployment_name": "app",
        "path.prediction_id": prediction["id"],
        "path.training_id": training["id"],
        "path.file_id": file["id"],
        "path.collection_slug": "demo",
    }


@pytest.mark.parametrize("parameters", ["as they come", "known"])
def test_every_answer_is_as_described(
    parameters: str, server: str, known: dict[str, Any], tmp_path: Path
) -> None:
    settings = [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in known.items()]
    config = tmp_path / "schemathesis.toml"
    config.write_text("[parameters]\n" + "\n".join(settings) if parameters == "known" else "", "utf-8")
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "schemathesis.cli",
                "--config-file",
                str(config),
                "run",
                str(DESCRIPTION),
            ),
            *("--url", f"{server}/v1", "--header", "Authorization: Bearer r8_any", "--no-color"),
            *("--phases", "examples,coverage,fuzzing,stateful", "--checks", CHECKS),
            *("--max-examples", "20", "--seed", "7", "--continue-on-failure", "--workers", "2"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.partition("= FAILURES =")[2][:6000] + done.stderr[-2000:]
    assert "Tested: 36" in done.stdout
    assert int(re.findall(r"(\d+) generated", done.stdout)[0]) > 500


def test_the_copy_has_the_operations_but_not_their_prose() -> None:
    description = json.loads(DESCRIPTION.read_text("utf-8"))
    operations = [
        each for path in description["paths"].values() for each in path.values() if "operationId" in each
    ]
    assert len(operations) == 37
    assert DESCRIPTION.stat().st_size < 300_000
    assert not any("description" in each for each in operations)
