"""Models that make real things, with nothing but the standard library."""
