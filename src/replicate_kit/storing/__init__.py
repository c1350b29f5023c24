"""Stores output files: what is the same wherever they go, and the store of local folders.

| module | |
|---|---|
| `places` | what a store has to offer: a `Place` for each file and folder, and a `Writer` |
| `transfer` | the way of one file to its place: taken names, records of earlier transfers, atomic writes |
| `manifest` | the list of the files in a folder, and whether they are what it says |
| `local` | folders of this machine, which need no other package |
| `trial` | a look at such a folder before anything is paid for |
| `gate` | how many transfers are on their way at a time |

A plugin for another store gives a `Place` of its own to `transfer.store` and `manifest.record`.
"""

__all__: list[str] = []
