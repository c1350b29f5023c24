"""Rows whose create is unresolved: looked for, adopted, created again or given up."""
