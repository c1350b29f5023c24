"""The errors of `replicate` 1.x."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from replicate_kit import errors
from replicate_kit._formats.wording import with_safe_repr

if TYPE_CHECKING:
    from replicate_kit.compat.replicate.prediction import Prediction

__all__ = ["ModelError", "ReplicateError", "ReplicateException"]


class ReplicateException(errors.ReplicateError):
    """Base of the errors of 1.x, and one of ours as well."""


class ModelError(ReplicateException):
    """The model failed; the text is the prediction's `error`."""

    def __init__(self, prediction: Prediction) -> None:
        super().__init__(
            prediction.error
            or f"The prediction {prediction.id} is {prediction.status!r} and gives no reason."
        )
        self.prediction = prediction  # pyright: ignore[reportIncompatibleVariableOverride]


@with_safe_repr
class ReplicateError(ReplicateException):
    """The API answered with an error: problem details as RFC 7807 has them."""

    def __init__(
        self,
        type: str | None = None,
        title: str | None = None,
        status: int | None = None,
        detail: str | None = None,
        instance: str | None = None,
    ) -> None:
        super().__init__()
        self.type, self.title, self.status, self.detail, self.instance = type, title, status, detail, instance

    @classmethod
    def of(cls, error: errors.APIError) -> ReplicateError:
        """Say the same as one of our errors."""
        body = error.body if isinstance(error.body, dict) else {}
        return cls(status=error.status, **{name: body.get(name) for name in _TOLD})

    @classmethod
    def from_response(cls, response: httpx.Response) -> ReplicateError:
        """Read the error that a response tells of."""
        try:
            body = response.json()
        except ValueError:
            body = {}
        told = body if isinstance(body, dict) else {}
        return cls(status=response.status_code, **{name: told.get(name) for name in _TOLD})

    def to_dict(self) -> dict[str, Any]:
        """What is known of the error."""
        return {name: getattr(self, name) for name in _FIELDS if getattr(self, name) is not None}

    def __str__(self) -> str:
        return "ReplicateError Details:\n" + "\n".join(
            f"{name}: {value}" for name, value in self.to_dict().items()
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in _FIELDS)})"


_FIELDS = ("type", "title", "status", "detail", "instance")
_TOLD = ("type", "title", "detail", "instance")
