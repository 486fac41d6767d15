"""Model identifiers as the catalog compares them."""

import re
from functools import lru_cache

from underpaint.catalog.errors import UnknownModel
from underpaint.wire.air import Air

LONGEST = 200


# Most requests name one of few models. What is too long is refused, and refusals are not kept.
@lru_cache(maxsize=256)
def short_air(text: str) -> str:
    """The short form `source:id@version` of an identifier.

    Civitai's `urn:air:sd1:checkpoint:civitai:4201@130072` is the same model as `civitai:4201@130072`.

    Raises:
        UnknownModel: the text is no such identifier.
    """
    try:
        if len(text) > LONGEST:
            raise ValueError("is too long")
        return str(Air.parse(text.strip()))
    except ValueError:
        raise UnknownModel(
            f"{text[:LONGEST]!r} is not a model identifier of the form source:id@version"
        ) from None


def civitai_page(air: str) -> str | None:
    """The download page of a model whose short identifier says that it comes from Civitai, else None."""
    match = re.fullmatch(r"civitai:([0-9]+)@([0-9]+)", air, re.ASCII)
    return f"https://civitai.com/models/{match[1]}?modelVersionId={match[2]}" if match else None
