"""The version whose interface the stand-in has."""

__version__ = "1.0.7"
