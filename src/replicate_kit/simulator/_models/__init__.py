"""Models as Python functions: what they are called with, and how their results come out."""
