"""Texts and values: how references, URLs, names of files, events and messages are written and read. No I/O: it knows
nothing of requests, files or clients.
"""
