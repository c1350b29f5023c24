"""The lines that point each client at a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicate_kit.serving._server import Server

__all__ = ["directions"]


def directions(server: Server) -> list[tuple[str, list[str]]]:
    """Titles, each with lines to copy. Official clients get HTTPS, since they take no other URL for a file."""
    token = server.environment["REPLICATE_API_TOKEN"]
    url, secure = _urls(server)
    trust = server.environment.get("SSL_CERT_FILE")
    python = [f"export SSL_CERT_FILE={trust}"] if trust else []
    node = [f"export NODE_EXTRA_CA_CERTS={server.authority}"] if trust else []
    return [
        ("Page", [_page(server, url)]),
        ("replicate-kit", [
            f"export REPLICATE_BASE_URL={url} REPLICATE_API_TOKEN={token}",
            f'Client("{token}", base_url="{url}")',
        ]),
        ("Python: replicate 1.x", [*python, f'replicate.Client(api_token="{token}", base_url="{secure}")']),
        ("Python: replicate 2.0 beta", [*python, f'Replicate(bearer_token="{token}", base_url="{secure}/v1")']),
        ("JavaScript", [*node, f'new Replicate({{ auth: "{token}", baseUrl: "{secure}/v1" }})']),
        ("curl", [f'curl -H "Authorization: Bearer {token}" {url}/v1/models']),
        ("Control", [
            f"curl {url}/_control",
            f"curl {url}/_control/faults -d '{{\"fault\": \"*predictions.create,times=1,status=503\"}}'",
            *([f"  from other machines: -H 'X-Control-Secret: {server.secret}'"] if not server.guarded else
              ["  with: -H 'X-Control-Secret: …'"]),
        ]),
    ]  # fmt: skip


def _urls(server: Server) -> tuple[str, str]:
    """The addresses for clients that are content with HTTP, and for those that are not."""
    if server.origins.fixed:
        return server.public_url, server.public_url
    return server.url, server.https_url if "https" in server.schemes else server.url


def _page(server: Server, url: str) -> str:
    return f"{url}/?secret={server.secret}" if server.guarded else f"{url}/"
