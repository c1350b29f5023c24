"""The API's groups of operations, one module each."""

__all__: list[str] = []
