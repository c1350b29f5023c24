"""What hooks, resources and plugins ask for I/O: the session of a client.

>>> from replicate_kit import Client
>>> from replicate_kit.session import Session, escape
>>> isinstance(Client(backend="mock").session, Session), escape("a/b")
(True, 'a%2Fb')
"""

from __future__ import annotations

from replicate_kit._formats.references import escape
from replicate_kit._http.session import Session

__all__ = ["Session", "escape"]
