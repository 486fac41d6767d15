"""AIR: the identifiers of models, `source:id@version`."""

import re
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import AfterValidator

_SHORT = re.compile(
    r"(?P<source>[a-z0-9][a-z0-9._-]*):(?P<id>[A-Za-z0-9._-]+)@(?P<version>[A-Za-z0-9._-]+)",
)
# Civitai writes the ecosystem and the type of the model before the identifier, and lets `urn:` and `air:` be
# left out.
_LONG_PREFIX = re.compile(r"(?:urn:)?(?:air:)?[A-Za-z0-9_-]+:[A-Za-z0-9_-]+:(?=[^:]+:[^:]+\Z)")


@dataclass(frozen=True)
class Air:
    """A model identifier, such as `runware:101@1` or `civitai:101055@128078`.

    Attributes:
        source: the provider or organisation, in lower case.
        id: the model within the source; a number or a word.
        version: the version of the model; a number or a word.
    """

    source: str
    id: str
    version: str

    def __post_init__(self) -> None:
        if not _SHORT.fullmatch(str(self)):
            raise ValueError(f"{str(self)!r} is not an AIR identifier of the form source:id@version")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an identifier, also in the long form `urn:air:{ecosystem}:{type}:{source}:{id}@{version}`.

        Raises:
            ValueError: the text is neither form; the message says so in words fit for a user.
        """
        short = _LONG_PREFIX.sub("", text, count=1) if text.count(":") > 1 else text
        match = _SHORT.fullmatch(short)
        if match is None:
            raise ValueError("must be an AIR identifier of the form source:id@version, such as runware:101@1")
        return cls(match["source"], match["id"], match["version"])

    def __str__(self) -> str:
        return f"{self.source}:{self.id}@{self.version}"


def model_identifier(value: str) -> str:
    """The short form of an AIR identifier. Raises `ValueError` if it is none."""
    return str(Air.parse(value))


ModelIdentifier = Annotated[str, AfterValidator(model_identifier)]
"""An AIR identifier, in its short form."""
OptionalModelIdentifier = Annotated[
    str | None, AfterValidator(lambda value: None if value is None else model_identifier(value))
]
