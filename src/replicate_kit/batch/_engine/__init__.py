"""A run: how fast, how many at a time, and each row from its create to its outcome."""
