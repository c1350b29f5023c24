"""A certificate for HTTPS on this machine, made when the server starts, and who vouches for it."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable
from pathlib import Path

import trustme

__all__ = ["certify"]

AUTHORITY, BUNDLE = "authority.pem", "bundle.pem"


def certify(folder: Path, names: Iterable[str]) -> ssl.SSLContext:
    """Make an authority that lasts as long as the server, and a certificate of it for `names`.

    Writes what clients are to trust into `folder`: `authority.pem` alone, and `bundle.pem`, which also has the
    authorities of the rest of the world. Keys are not written.
    """
    authority = trustme.CA(organization_name="replicate-kit serve")
    authority.cert_pem.write_to_path(folder / AUTHORITY)
    # SSL_CERT_FILE replaces whatever a client trusts: with ours alone it could reach no other server.
    (folder / BUNDLE).write_bytes(_public_authorities() + authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*sorted({_named(name) for name in names})).configure_cert(context)
    return context


def _named(name: str) -> str:
    """A name as certificates have it."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _public_authorities() -> bytes:
    """The authorities that httpx would trust."""
    import certifi

    return certifi.contents().encode() + b"\n"
