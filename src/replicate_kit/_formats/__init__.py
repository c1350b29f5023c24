"""Texts and values: how references, URLs, names of files, events and messages are written and read. No I/O: nothing
is sent, opened or waited for here.
"""
