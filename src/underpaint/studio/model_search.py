"""modelSearch: the catalogue in wire form."""

from dataclasses import replace

from underpaint.catalog import Catalog, ModelEntry, SearchQuery
from underpaint.studio.caller import Reply
from underpaint.wire import FoundModel, ModelSearchResult, ModelSearchTask


def search_models(task: ModelSearchTask, catalog: Catalog) -> Reply:
    """One page of the models that a task could name. Blocks for as long as reading the list of models takes."""
    total, page = catalog.search(
        SearchQuery(
            search=task.search,
            tags=task.tags,
            category=task.category,
            type=task.type,
            architecture=task.architecture,
            conditioning=task.conditioning,
            # Everything in one's own library is one's own: there are no favourites here.
            visibility=task.visibility if task.visibility in ("public", "private") else "all",
            source=task.source,
            capabilities=task.capabilities,
            sort=task.sort,
            limit=task.limit,
            offset=task.offset,
        )
    )
    found = ModelSearchResult(
        task_uuid=task.task_uuid, total_results=total, results=[_found(entry) for entry in page]
    )
    return Reply(data=(found.item(),))


def _comment(entry: ModelEntry) -> str:
    """What the API has one field for: what the model is, and what it is good at."""
    good_for = f"Good for {entry.good_for}." if entry.good_for else ""
    return f"{entry.comment} {good_for}".strip()


def _found(entry: ModelEntry) -> FoundModel:
    common = FoundModel(
        air=entry.air,
        name=entry.name,
        version=entry.version,
        category=entry.category,
        architecture=entry.architecture,
        tags=entry.tags,
        private=entry.private,
        comment=_comment(entry),
        conditioning=entry.conditioning,
        hero_image=entry.hero_image_url,
        positive_trigger_words=entry.trigger_words or None,
        default_weight=entry.default_weight,
        only_for=entry.only_for,
    )
    if entry.category != "checkpoint":
        return common
    defaults = entry.defaults
    return replace(
        common,
        type=entry.type,
        default_width=defaults.width_px,
        default_height=defaults.height_px,
        default_steps=defaults.steps,
        default_scheduler=defaults.scheduler,
        default_cfg=defaults.guidance_scale,
        default_strength=defaults.strength if entry.type == "inpainting" else None,
    )
