"""What the errors of stores' clients mean."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["NO_CREDENTIALS", "behind", "is_refusal"]

NO_CREDENTIALS = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "DefaultCredentialsError",
        "RefreshError",
    }
)
"""What the stores' clients raise when they have nothing to sign with: of botocore, and of google.auth."""


def is_refusal(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, says that the credentials are wrong or may not do this."""
    for each in behind(error):
        status = getattr(each, "status_code", getattr(each, "code", None))
        if (
            isinstance(each, PermissionError)
            or status in (401, 403, "401", "403")
            or type(each).__name__ in NO_CREDENTIALS
        ):
            return True
    return False


def behind(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error, and those behind it. A chain that leads back into itself ends there."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
