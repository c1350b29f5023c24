"""How Sphinx makes the site; `python -m docs._site` gathers its sources first, and checks what came of them."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from pygments.lexers.special import TextLexer

project = "replicate-kit"
author = copyright = "replicate-kit developers"
version = release = metadata.version("replicate-kit")
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 6  # named as code hosts name them
add_module_names = False
python_maximum_signature_line_length = 90
toc_object_entries = False  # names have headings of their own
smartquotes = False  # two dashes begin an option
# Types in signatures lead to what is public; those of Python and of private modules have no page.
nitpick_ignore_regex = [("py:class", ".*")]
suppress_warnings = ["ref.python"]  # `type` is the name of many fields
html_theme = "furo"
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_title = f"replicate-kit {release}"
html_copy_source = False  # the Markdown of each page lies beside it


def setup(app: Any) -> None:
    """Show tables of cron as they are: no highlighter knows them."""
    app.add_lexer("crontab", TextLexer)
