"""Journals in PostgreSQL: `journal="postgresql://host/db"`. Nothing has to be imported or configured."""

__tracebackhide__ = True  # replicate_kit leaves our frames out of the tracebacks of mistakes
