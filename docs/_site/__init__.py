"""The docs as a site: what its sources are, what is generated from the code, and what is checked.

| module | |
|---|---|
| `sources` | the pages of this repository in one folder, with links that lead from page to page |
| `reference` | a page for each public module, from docstrings |
| `options`, `commands` | every option of clients, `run` and `map`; every command, as its help tells it |
| `checks` | what must be true of the site, once it is built |

    python -m docs._site [FOLDER]
"""
