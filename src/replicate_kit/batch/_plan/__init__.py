"""Rows become distinct items, checked and priced, before anything is spent."""
