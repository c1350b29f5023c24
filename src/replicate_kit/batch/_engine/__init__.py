"""The pace of a run, and each row from its claim to its result."""
