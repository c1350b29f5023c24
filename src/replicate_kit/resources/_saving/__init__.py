"""Saving outputs of predictions that have run already, before the API removes them."""
