"""Plugins: found, asked, and the package's own, which contributes through the same hooks."""
