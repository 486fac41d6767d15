"""The API's modelSearch over a list of entries: filters and scores."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from underpaint.catalog.entry import ModelEntry
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE

CAPABILITIES = ("text-to-image", "image-to-image", "inpainting", "outpainting", "editing", "control")
"""What checkpoints can be asked for. Words of this library's own: the API documents none."""
_OFFICIAL = ("runware:", "bfl:", "underpaint:")
"""How identifiers begin that the hosted service, makers of models and this package give."""
_ORDERS: dict[str, Callable[[ModelEntry], Any]] = {
    "name": lambda entry: entry.name.lower(),
    "addedUnixTimestamp": lambda entry: entry.added_s,
    "updatedDateUnixTimestamp": lambda entry: entry.updated_s,
}
"""What entries are ordered by, by names of the API's. Nobody counts how popular models are."""


@dataclass(frozen=True, kw_only=True)
class SearchQuery:
    """What to look for. Filters that are None let everything pass; text is compared without case."""

    search: str | None = None
    """Found in a name (as a phrase, or within a word), in an identifier, or equal to a version or a tag. `*`
    and `?` are wildcards."""
    tags: tuple[str, ...] = ()
    """At least one of them, if there are any."""
    category: str | None = None
    type: str | None = None
    """Applies to checkpoints, and leaves only those."""
    architecture: str | None = None
    conditioning: str | None = None
    """Applies to ControlNets, and leaves only those."""
    visibility: Literal["public", "private", "all"] = "all"
    source: Literal["official", "community"] | None = None
    capabilities: tuple[str, ...] = ()
    """All of them (`CAPABILITIES`)."""
    sort: str | None = None
    """One of the API's names of an order, with "-" before it for the other way round; None has the best ones first."""
    limit: int = 20
    offset: int = 0


def search(entries: Iterable[ModelEntry], query: SearchQuery) -> tuple[int, tuple[ModelEntry, ...]]:
    """How many entries match in all, and those from `offset` on, at most `limit`, the best ones first.

    A phrase in the name weighs 10, the identifier or a part of the name 5, an equal version or tag 1, as the
    API describes it; entries of equal weight stand in the order of their identifiers.
    """
    scored = [(score(entry, query.search), entry) for entry in entries if _passes(entry, query)]
    best = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: (-pair[0], pair[1].air))
    found = [entry for _, entry in best]
    order = _ORDERS.get((query.sort or "").removeprefix("-"))
    if order is not None:
        found.sort(key=order, reverse=(query.sort or "").startswith("-"))
    return len(found), tuple(found[query.offset : query.offset + query.limit])


def capabilities(entry: ModelEntry) -> frozenset[str]:
    """What a checkpoint can be asked for; nothing of what is none, and of what this version cannot run."""
    family = FAMILY_OF_ARCHITECTURE.get(entry.architecture)
    if entry.category != "checkpoint" or family is None or entry.type not in family.types:
        return frozenset()
    if entry.type == "control":
        return frozenset({"control"})
    if entry.type == "refiner":
        return frozenset({"image-to-image"})
    found = {"text-to-image", "image-to-image", "inpainting", "outpainting"}
    if entry.type in family.without_strength:
        found -= {"text-to-image", "image-to-image"}
    if family.reference_images:
        found.add("editing")
    return frozenset(found)


def score(entry: ModelEntry, text: str | None) -> int:
    """How well an entry answers a search text; 0 is not at all. Without a text every entry scores 1."""
    wanted = " ".join((text or "").lower().split())
    if not wanted:
        return 1
    name, air = entry.name.lower(), entry.air.lower()
    within = wanted.replace("[", "[[]")
    return (
        10 * (f" {wanted} " in f" {' '.join(name.split())} ")
        + 5 * fnmatchcase(air, f"*{within}*")
        + 5 * fnmatchcase(name, f"*{within}*")
        + (wanted == entry.version.lower())
        + (wanted in {tag.lower() for tag in entry.tags})
    )


def _passes(entry: ModelEntry, query: SearchQuery) -> bool:
    wanted_tags = {tag.lower() for tag in query.tags}
    return (
        (not wanted_tags or not wanted_tags.isdisjoint(tag.lower() for tag in entry.tags))
        and _same(query.category, entry.category)
        and (query.type is None or (entry.category == "checkpoint" and _same(query.type, entry.type)))
        and _same(query.architecture, entry.architecture)
        and (
            query.conditioning is None
            or (entry.category == "controlnet" and _same(query.conditioning, entry.conditioning or ""))
        )
        and (query.visibility == "all" or entry.private == (query.visibility == "private"))
        and (query.source is None or entry.air.startswith(_OFFICIAL) == (query.source == "official"))
        and {name.lower() for name in query.capabilities} <= capabilities(entry)
    )


def _same(wanted: str | None, value: str) -> bool:
    return wanted is None or wanted.lower() == value.lower()
