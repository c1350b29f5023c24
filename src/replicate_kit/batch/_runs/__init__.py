"""A run on a thread of its own, and whoever takes its results or stops it."""
