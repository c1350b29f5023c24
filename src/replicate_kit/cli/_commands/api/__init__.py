"""The commands that are resources of the API, one module a command."""
