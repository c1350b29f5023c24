"""One HTML page of results: pictures, sound, films, texts and errors, from saved files and without a server.

>>> from replicate_kit import Client, gallery
>>> results = list(Client(backend="mock").map("demo/poet", [{"prompt": "sea"}, {"prompt": "hill"}]))
>>> page = gallery.write("poems.html", {"Poems": results}, title="Two poems")
>>> "Two poems" in page.read_text("utf-8")
True
"""

from __future__ import annotations

from replicate_kit._formats.file_names import media_type
from replicate_kit.gallery._page import render, write
from replicate_kit.gallery._pictures import picture

__all__ = ["media_type", "picture", "render", "write"]
