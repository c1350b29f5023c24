"""References: how a model, a version or a deployment is named. No I/O."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from urllib.parse import quote

from replicate_kit._formats.patterns import pattern
from replicate_kit._formats.wording import escaped
from replicate_kit._moved import answering
from replicate_kit.errors import InvalidReference

__all__ = ["Reference", "escape", "is_version_id"]

_NAME = r"(?!\.+(?:[/:]|$))[^/:\s\x00-\x1f\x7f]+"  # dots alone are steps of a path
_MODEL = pattern(rf"(?P<owner>{_NAME})/(?P<name>{_NAME})(?::(?P<version>[^/:\s]+))?")
_DEPLOYMENT = pattern(rf"deployments/(?P<owner>{_NAME})/(?P<name>{_NAME})")
_VERSION = pattern(r"[0-9a-f]{64}")
_WEB = pattern(r"https?://(?:www\.)?replicate\.com/(?P<path>[^?#]*).*")


def is_version_id(text: str) -> bool:
    """Whether a text is the id of a version, and not one of the names that official models have in its place.

    >>> is_version_id("5c7d5dc6" * 8), is_version_id("hidden")
    (True, False)
    """
    return _VERSION.fullmatch(text) is not None


def escape(segment: str) -> str:
    """Make one segment of a path out of any text, so that an id can never name another path.

    >>> escape("../account")
    '..%2Faccount'
    >>> escape("..")
    '%2E%2E'
    """
    if not segment or not isinstance(segment, str):
        raise InvalidReference(
            f"An id or name is {f'a {type(segment).__name__}' if segment else 'empty'}. "
            "Pass the id of an existing thing as text, such as prediction.id."
        )
    try:
        segment.encode()
    except UnicodeEncodeError:
        raise InvalidReference(
            f"{escaped(segment)!r} cannot be an id or a name: it has half of a surrogate pair. Pass whole characters."
        ) from None
    # Dots alone survive quoting, and a client or proxy would resolve them as a step upwards.
    return quote(segment, safe="") if segment.strip(".") else "%2E" * len(segment)


@dataclass(frozen=True)
class Reference:
    """What to run: a model, a version of it, or a deployment.

    >>> Reference.parse("stability-ai/sdxl")
    Reference(owner='stability-ai', name='sdxl', version=None, deployment=False)
    >>> str(Reference.parse("deployments/acme/upscaler"))
    'deployments/acme/upscaler'
    """

    owner: str | None = None
    name: str | None = None
    version: str | None = None
    deployment: bool = False

    @classmethod
    @answering("reference")
    def parse(cls, text: str) -> Reference:
        """Read `owner/name`, `owner/name:version`, `deployments/owner/name`, a 64-digit version id or a
        replicate.com URL.

        Raises `InvalidReference` for anything else.
        """
        if not isinstance(text, str):
            raise InvalidReference(
                f"A {type(text).__name__} does not name a model. Pass 'owner/name' as text."
            )
        named = text.strip()
        if "://" in named:
            named = _WEB.sub(r"\g<path>", named)
        named = named.rstrip("/")
        if named.startswith("deployments/") and (match := _DEPLOYMENT.fullmatch(named)):
            return cls(match["owner"], match["name"], deployment=True)
        if (match := _MODEL.fullmatch(named)) and match["owner"] != "deployments":
            return cls(match["owner"], match["name"], match["version"])
        if is_version_id(named):
            return cls(version=named)
        raise InvalidReference(
            f"{text!r} does not name a model. Use 'owner/name', 'owner/name:version', "
            "'deployments/owner/name' or a version id of 64 hexadecimal digits."
        )

    @property
    def model(self) -> str | None:
        """`owner/name` of the model, None where only a version id is known or it is a deployment."""
        return None if self.deployment or self.owner is None else f"{self.owner}/{self.name}"

    @functools.cached_property  # a batch asks for it with each row
    def path(self) -> str:
        """The API path of the model or deployment, relative to the base URL.

        >>> Reference.parse("acme/shout").path
        'models/acme/shout'
        """
        if self.owner is None or self.name is None:
            raise InvalidReference(
                f"Version {self.version} alone does not name its model. Use 'owner/name:{self.version}'."
            )
        kind = "deployments" if self.deployment else "models"
        return f"{kind}/{escape(self.owner)}/{escape(self.name)}"

    def __str__(self) -> str:
        if self.owner is None:
            return self.version or ""
        name = f"{self.owner}/{self.name}" + (f":{self.version}" if self.version else "")
        return f"deployments/{name}" if self.deployment else name
