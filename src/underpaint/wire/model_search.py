"""The task that searches the catalogue."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from underpaint.wire.fields import IdentifiedTask, Integer

Category = Literal["checkpoint", "lora", "lycoris", "controlnet", "vae", "embeddings", "ipadapter"]
CheckpointType = Literal["base", "inpainting", "refiner", "control"]
Visibility = Literal["public", "private", "all", "favorite", "owned"]
Source = Literal["official", "community"]
Sort = Literal[
    "_score",
    "popularity",
    "-popularity",
    "name",
    "-name",
    "addedUnixTimestamp",
    "-addedUnixTimestamp",
    "updatedDateUnixTimestamp",
    "-updatedDateUnixTimestamp",
]


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]


class ModelSearchTask(IdentifiedTask):
    """Searches the catalogue. An absent criterion matches every model.

    Attributes:
        search: words looked for in name, AIR, version and tags, without regard to case.
        tags: a model matches when it has any of them.
        category: kind of model. "ipadapter" is an extension.
        type: kind of checkpoint. "control", of those that are shown a map, is an extension.
        architecture: such as "sd1x", "sdxl" or "flux1d".
        conditioning: of a ControlNet model, such as "canny".
        visibility: whose models. In a library of one's own "favorite" and "owned" are all.
        sort: order of the results; a leading hyphen reverses it. None has the best answers first.
        source: "official" for the identifiers of the hosted service and of model makers, "community" for the rest.
        capabilities: a model matches when it has all of them (`catalog.search.CAPABILITIES`).
        limit: models on a page, 1 to 100.
        offset: models before the page.
    """

    task_type: Literal["modelSearch"] = "modelSearch"
    search: str | None = Field(default=None, max_length=1000, description="words to look for")
    tags: Words = Field(default=(), max_length=100, description="any of these tags")
    category: Category | None = Field(default=None, description="kind of model; ipadapter is an extension")
    type: CheckpointType | None = Field(
        default=None,
        description="kind of checkpoint; control, of those that are shown a map, is an extension",
    )
    architecture: str | None = Field(default=None, max_length=100, description='such as "sdxl"')
    conditioning: str | None = Field(default=None, max_length=100, description='such as "canny"')
    visibility: Visibility = Field(default="all", description="whose models")
    sort: Sort | None = Field(default=None, description="order of the results; a leading hyphen reverses it")
    source: Source | None = Field(default=None, description="who published the model")
    capabilities: Words = Field(default=(), max_length=100, description="all of these capabilities")
    limit: Integer = Field(default=20, ge=1, le=100, description="models on a page")
    offset: Integer = Field(default=0, ge=0, le=2**31 - 1, description="models before the page")
