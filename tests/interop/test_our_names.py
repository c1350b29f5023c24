"""What the README shows of files works with our own names over a socket, too."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.request import urlretrieve

import pytest
from loopback import resolve_here
from models import publish
from PIL import Image
from serving import served

import replicate_kit as replicate


def test_an_output_is_a_url_that_urlretrieve_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)
    # The opener that all of urllib shares trusts what the environment said when it was made, by any test before.
    monkeypatch.setattr("urllib.request._opener", None)
    resolve_here()
    with served(tmp_path, publish) as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        out = replicate.run(
            "stability-ai/stable-diffusion",
            input={"prompt": "wavy colorful abstract patterns, oceans", "width": 16, "height": 16},
        )
        urlretrieve(out[0], tmp_path / "out.png")
        replicate.default_client.close()
    with Image.open(tmp_path / "out.png") as background:
        assert background.size == (16, 16)
