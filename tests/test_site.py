"""The sources of the site: every page of the repository, with links that lead from page to page."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from docs._site.sources import HOME, contents, linked, on_site, pages


def test_the_first_page_lists_every_other_once() -> None:
    toctrees = re.findall(
        r"^```\{toctree\}\n(.*?)^```$", contents(pages()["index.md"]), re.MULTILINE | re.DOTALL
    )
    listed = Counter(f"{name}.md" for each in toctrees for name in each.partition("\n\n")[2].split())
    assert listed == Counter(name for name in pages() if name != "index.md")


@pytest.mark.parametrize(
    ("link", "there"),
    [
        ("saving.md", "saving.md"),
        ("#results", "#results"),
        ("saving.md#records", "saving.md#records"),
        ("tables.ipynb", "tables.md"),
        ("plugins/store.md", "plugins/store.md"),
        ("../CHANGELOG.md", "changelog.md"),
        ("../plugins/replicate-kit-pandas/README.md#rows", "packages/replicate-kit-pandas.md#rows"),
        ("../tests/third_party", f"{HOME}/blob/main/tests/third_party"),
        (f"{HOME}/blob/main/docs/saving.md#records", "saving.md#records"),
        (f"{HOME}/blob/main/README.md", "index.md"),
        (HOME, HOME),
        ("https://example.com/docs/saving.md", "https://example.com/docs/saving.md"),
        ("mailto:somebody@example.com", "mailto:somebody@example.com"),
    ],
)
@pytest.mark.parametrize(
    "form", ["a [link]({}) here", "[link][name]\n\n[name]: {}\n", "|[a]({})|[b](saving.md)|"]
)
def test_a_link_leads_to_a_page_of_the_site(link: str, there: str, form: str) -> None:
    assert linked(form.format(link), "docs/batches.md", "batches.md") == form.format(there)


@pytest.mark.parametrize(
    ("path", "link", "there"),
    [
        ("docs/plugins/store.md", "../hooks.md", "../hooks.md"),
        (
            "docs/plugins/directory.md",
            "../../plugins/replicate-kit-ray/README.md",
            "../packages/replicate-kit-ray.md",
        ),
        ("plugins/replicate-kit-ray/README.md", f"{HOME}/blob/main/docs/clusters.md", "../clusters.md"),
        ("CONTRIBUTING.md", "docs/plugins.md", "plugins.md"),
    ],
)
def test_a_link_of_a_page_in_a_folder_too(path: str, link: str, there: str) -> None:
    assert linked(f"[x]({link})", path, on_site(path) or "") == f"[x]({there})"


def test_code_stays_as_it_is() -> None:
    text = "```python\nx[0](saving.md)\n```\n"
    assert linked(text, "CONTRIBUTING.md", "contributing.md") == text
