"""Requests to the API: built, sent, never sent again where that may cost twice, and their answers read.

It knows nothing of the nouns.
"""
