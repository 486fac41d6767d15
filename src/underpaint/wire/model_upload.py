"""The task that puts a model into the library."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from underpaint.wire.air import Air
from underpaint.wire.errors import TaskError
from underpaint.wire.fields import IdentifiedTask, OptionalInteger
from underpaint.wire.model_search import Words
from underpaint.wire.schedulers import SCHEDULER_NAMES

UploadCategory = Literal["checkpoint", "lora", "vae", "controlnet", "embeddings"]
UploadType = Literal["base", "inpainting", "refiner", "control", "positive", "negative"]

_OTHER_SPELLINGS = {"downloadUrl": "downloadURL", "defaultGuidanceScale": "defaultCFG"}


def _short_air(value: str) -> str:
    return str(Air.parse(value))


def _folded(value: object) -> object:
    return value.casefold() if isinstance(value, str) else value


class ModelUploadTask(IdentifiedTask):
    """Fetches a model's safetensors file from a URL and puts it into this server's library.

    Attributes:
        category: kind of model.
        type: kind of checkpoint ("control", of those that are shown a map, is an extension), or whether an embedding is
            for positive or negative prompts.
        architecture: such as "sd1x" or "sdxl"; checked against the file.
        format: of the file.
        air: identifier under which tasks will name it.
        unique_identifier: the sender's own name for the upload; kept by nobody.
        name, version: shown to people.
        download_url: where the file is.
        default_scheduler, default_steps, default_cfg, default_strength: what a request gets that names none.
        default_weight: of a LoRA.
        private: whether a search for public models leaves it out.
        hero_image_url: a picture of what it makes.
        tags: words by which a search finds it.
        positive_trigger_words, negative_trigger_words: what makes a prompt use it.
        short_description, comment: notes.
        conditioning: of a ControlNet, such as "canny".
    """

    task_type: Literal["modelUpload"] = "modelUpload"
    category: UploadCategory = Field(description="kind of model")
    type: UploadType | None = Field(default=None, description="kind of checkpoint or embedding")
    architecture: str = Field(
        min_length=1, max_length=64, description='such as "sd1x" or "sdxl"; checked against the file'
    )
    format: Annotated[Literal["safetensors"], BeforeValidator(_folded)] = Field(
        default="safetensors", description="of the file"
    )
    air: Annotated[str, AfterValidator(_short_air)] = Field(description="AIR identifier that tasks will use")
    unique_identifier: str | None = Field(
        default=None, max_length=1000, description="the sender's own name for the upload; without effect"
    )
    name: str = Field(min_length=1, max_length=200, description="shown to people")
    version: str = Field(min_length=1, max_length=100, description="shown to people")
    download_url: str = Field(min_length=1, max_length=4096, description="where the file is")
    default_scheduler: str | None = Field(
        default=None, max_length=100, description="of requests that name none"
    )
    default_steps: OptionalInteger = Field(
        default=None, ge=1, le=100, description="of requests that name none"
    )
    default_cfg: float | None = Field(default=None, ge=0, le=30, description="of requests that name none")
    default_strength: float | None = Field(default=None, ge=0, le=1, description="that suits it")
    default_weight: float | None = Field(default=None, ge=-4, le=4, description="of a LoRA")
    private: bool = Field(default=True, description="whether a search for public models leaves it out")
    hero_image_url: str | None = Field(
        default=None, max_length=4096, description="a picture of what it makes"
    )
    tags: Words = Field(default=(), max_length=100, description="words by which a search finds it")
    positive_trigger_words: str | None = Field(
        default=None, max_length=2000, description="what makes a prompt use it"
    )
    negative_trigger_words: str | None = Field(
        default=None, max_length=2000, description="what makes a negative prompt use it"
    )
    short_description: str | None = Field(default=None, max_length=40_000, description="a note")
    comment: str | None = Field(default=None, max_length=1000, description="a note")
    conditioning: str | None = Field(
        default=None, max_length=100, description='of a ControlNet, such as "canny"'
    )

    @classmethod
    def fold(cls, parameters: dict[str, object]) -> dict[str, object]:
        """Read the spellings of other editions, and check the scheduler's name."""
        folded = {_OTHER_SPELLINGS.get(name, name): value for name, value in parameters.items()}
        scheduler = folded.get("defaultScheduler")
        if isinstance(scheduler, str) and scheduler not in SCHEDULER_NAMES:
            raise TaskError(
                "invalidDefaultScheduler",
                "'defaultScheduler' must be one of the scheduler names of the API, spelled exactly.",
                parameter="defaultScheduler",
                allowed_values=list(SCHEDULER_NAMES),
            )
        return folded
