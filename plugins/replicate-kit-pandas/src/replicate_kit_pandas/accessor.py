"""The `replicate` accessors of Series and DataFrame."""
