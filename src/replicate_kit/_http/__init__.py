"""Requests to the API: built, sent once too often never, and their answers read. It knows nothing of the nouns."""
