"""What tasks end in: result items, typed, and their form on the wire.

No item ever holds a null: strict clients refuse a whole reply for one. An absent value is an absent key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


def _present(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _tenths(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """One generated image.

    Attributes:
        image_uuid: distinct for every image, and distinct from the task's UUID; usable as a later
            `seedImage`.
        seed: with the same parameters, gives the same image again.
        image_url: absolute, and readable without a key.
        image_base64_data: the encoded file in base64.
        image_data_uri: the encoded file as `data:<mediaType>;base64,...`.
        nsfw_content: whether the picture was found unsafe; None when that was not asked.
        cost: in USD; None when it was not asked.
        effective_steps: denoising steps that ran, `round(steps x strength)` with a seed image. An extension
            of this server: no official client minds the extra key.
        status: "success" in the reply to getResponse, where clients count only items that have it.
        input_image_uuid: of the picture that an upscale began with.
    """

    task_uuid: str
    image_uuid: str
    seed: int
    image_url: str | None = None
    image_base64_data: str | None = None
    image_data_uri: str | None = None
    nsfw_content: bool | None = None
    cost: float | None = None
    effective_steps: int | None = None
    status: str | None = None
    input_image_uuid: str | None = None
    task_type: str = "imageInference"

    def item(self) -> dict[str, object]:
        return _present(
            taskType=self.task_type,
            taskUUID=self.task_uuid,
            imageUUID=self.image_uuid,
            inputImageUUID=self.input_image_uuid,
            imageURL=self.image_url,
            imageBase64Data=self.image_base64_data,
            imageDataURI=self.image_data_uri,
            seed=self.seed,
            NSFWContent=self.nsfw_content,
            cost=self.cost,
            effectiveSteps=self.effective_steps,
            status=self.status,
        )


@dataclass(frozen=True, kw_only=True)
class GuideImageResult:
    """The guide image that was made of a picture.

    Attributes:
        guide_image_uuid: usable wherever a picture can be given, such as a ControlNet's `guideImage`.
        input_image_uuid: of the picture that it was made of.
        guide_image_url: absolute, and readable without a key.
        guide_image_base64_data: the encoded file in base64.
        guide_image_data_uri: the encoded file as `data:<mediaType>;base64,...`.
        cost: in USD; None when it was not asked.
        status: "success" in the reply to getResponse.
    """

    task_uuid: str
    guide_image_uuid: str
    input_image_uuid: str
    guide_image_url: str | None = None
    guide_image_base64_data: str | None = None
    guide_image_data_uri: str | None = None
    cost: float | None = None
    status: str | None = None
    task_type: str = "controlNetPreprocess"

    def item(self) -> dict[str, object]:
        return _present(
            taskType=self.task_type,
            taskUUID=self.task_uuid,
            guideImageUUID=self.guide_image_uuid,
            inputImageUUID=self.input_image_uuid,
            guideImageURL=self.guide_image_url,
            guideImageBase64Data=self.guide_image_base64_data,
            guideImageDataURI=self.guide_image_data_uri,
            cost=self.cost,
            status=self.status,
        )


@dataclass(frozen=True, kw_only=True)
class UploadResult:
    """A stored upload. `image_url` is not optional: the Python client fails without it."""

    task_uuid: str
    image_uuid: str
    image_url: str
    task_type: str = "imageUpload"

    def item(self) -> dict[str, object]:
        return _present(
            taskType=self.task_type,
            taskUUID=self.task_uuid,
            imageUUID=self.image_uuid,
            imageURL=self.image_url,
        )


@dataclass(frozen=True, kw_only=True)
class MediaUploadResult:
    """A stored upload, as mediaStorage names it. The UUID is of the same name space as an image's."""

    task_uuid: str
    media_uuid: str
    media_url: str
    task_type: str = "mediaStorage"

    def item(self) -> dict[str, object]:
        return _present(
            taskType=self.task_type,
            taskUUID=self.task_uuid,
            operation="upload",
            mediaUUID=self.media_uuid,
            mediaURL=self.media_url,
        )


@dataclass(frozen=True, kw_only=True)
class MediaDeleteResult:
    """A stored image is gone."""

    task_uuid: str
    media_uuid: str
    task_type: str = "mediaStorage"

    def item(self) -> dict[str, object]:
        return _present(
            taskType=self.task_type, taskUUID=self.task_uuid, operation="delete", mediaUUID=self.media_uuid
        )


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """An async task was accepted. Holds nothing else, since clients take more than this for the result."""

    task_type: str
    task_uuid: str

    def item(self) -> dict[str, object]:
        return _present(taskType=self.task_type, taskUUID=self.task_uuid)


@dataclass(frozen=True, kw_only=True)
class ProcessingStatus:
    """What getResponse says of a generation that still runs.

    Attributes:
        task_type: of the original task, not "getResponse".
        progress: percent of the denoising steps done, 0 to 100.
        seconds_left: until the whole task is finished; None while there is no estimate. An extension.
    """

    task_type: str
    task_uuid: str
    progress: int | None = None
    seconds_left: float | None = None

    def item(self) -> dict[str, object]:
        return _present(
            taskType=self.task_type,
            taskUUID=self.task_uuid,
            status="processing",
            progress=self.progress,
            secondsLeft=_tenths(self.seconds_left),
        )


@dataclass(frozen=True, kw_only=True)
class PictureProgress:
    """How far one picture of a task is, for clients that ask to be told. An extension.

    Attributes:
        result_index: which picture of the task, from 0.
        status: "queued", then "loading" while its model is, then "running".
        step: denoising steps behind it; None while it is queued.
        steps: denoising steps that will run in all; None while it is queued.
        position: pictures, of all owners, that will be done before it; only while it is queued.
        seconds_left: until it is done; None while there is no estimate.
        preview_data_uri: a small JPEG of what it is becoming, when there is a new one.
    """

    task_uuid: str
    result_index: int
    status: Literal["queued", "loading", "running"]
    step: int | None = None
    steps: int | None = None
    position: int | None = None
    seconds_left: float | None = None
    preview_data_uri: str | None = None
    task_type: str = "imageInference"

    def item(self) -> dict[str, object]:
        return _present(
            taskType=self.task_type,
            taskUUID=self.task_uuid,
            resultIndex=self.result_index,
            status=self.status,
            step=self.step,
            steps=self.steps,
            position=self.position,
            secondsLeft=_tenths(self.seconds_left),
            previewDataURI=self.preview_data_uri,
        )


@dataclass(frozen=True, kw_only=True)
class CancelResult:
    """A task is over. An extension.

    Attributes:
        status: how it ended: "cancelled", or "success" or "error" where its end came first.
    """

    task_uuid: str
    status: Literal["cancelled", "success", "error"]
    task_type: str = "cancelTask"

    def item(self) -> dict[str, object]:
        return _present(taskType=self.task_type, taskUUID=self.task_uuid, status=self.status)


@dataclass(frozen=True, kw_only=True)
class FoundModel:
    """One model of a search.

    The fields without a default, `hero_image` and `comment` must be in the item even when there is nothing to
    say: the Python client fails without them. `only_for`, the one checkpoint that an addition fits, is an extension.
    """

    air: str
    name: str
    version: str
    category: str
    architecture: str
    tags: Sequence[str] = ()
    private: bool = False
    hero_image: str = ""
    comment: str = ""
    type: str | None = None
    default_width: int | None = None
    default_height: int | None = None
    default_steps: int | None = None
    default_scheduler: str | None = None
    default_cfg: float | None = None
    default_strength: float | None = None
    default_weight: float | None = None
    conditioning: str | None = None
    positive_trigger_words: str | None = None
    only_for: str | None = None

    def item(self) -> dict[str, object]:
        return _present(
            air=self.air,
            name=self.name,
            version=self.version,
            category=self.category,
            architecture=self.architecture,
            type=self.type,
            tags=list(self.tags),
            heroImage=self.hero_image,
            private=self.private,
            comment=self.comment,
            defaultWidth=self.default_width,
            defaultHeight=self.default_height,
            defaultSteps=self.default_steps,
            defaultScheduler=self.default_scheduler,
            defaultCFG=self.default_cfg,
            defaultStrength=self.default_strength,
            defaultWeight=self.default_weight,
            conditioning=self.conditioning,
            positiveTriggerWords=self.positive_trigger_words,
            onlyFor=self.only_for,
        )


@dataclass(frozen=True, kw_only=True)
class ModelSearchResult:
    """A page of models. `total_results` counts all that match, on this page or not."""

    task_uuid: str
    total_results: int
    results: Sequence[FoundModel]
    task_type: str = "modelSearch"

    def item(self) -> dict[str, object]:
        return _present(
            taskType=self.task_type,
            taskUUID=self.task_uuid,
            totalResults=self.total_results,
            results=[model.item() for model in self.results],
        )


@dataclass(frozen=True, kw_only=True)
class ModelUploadStatus:
    """One stage that a model has passed on its way into the library; clients wait for "ready".

    Attributes:
        air: of the model.
        message: the stage in words.
    """

    task_uuid: str
    air: str
    status: Literal["validated", "downloaded", "stored", "ready"]
    message: str
    task_type: str = "modelUpload"

    def item(self) -> dict[str, object]:
        return _present(
            taskType=self.task_type,
            taskUUID=self.task_uuid,
            status=self.status,
            message=self.message,
            air=self.air,
        )


@dataclass(frozen=True, kw_only=True)
class TaskDetailsResult:
    """What was asked and answered under a taskUUID: the tasks as they were sent, and the envelope of the
    reply.
    """

    task_uuid: str
    request: Sequence[Mapping[str, object]]
    response: Mapping[str, object]
    task_type: str = "getTaskDetails"

    def item(self) -> dict[str, object]:
        return _present(
            taskType=self.task_type,
            taskUUID=self.task_uuid,
            request=[dict(task) for task in self.request],
            response=dict(self.response),
        )


@dataclass(frozen=True, kw_only=True)
class AuthenticationResult:
    """The connection is authenticated. Has no taskUUID: one client would not recognise the item with it."""

    connection_session_uuid: str

    def item(self) -> dict[str, object]:
        return _present(taskType="authentication", connectionSessionUUID=self.connection_session_uuid)


@dataclass(frozen=True, kw_only=True)
class Pong:
    """The answer to a ping. Goes into a frame of its own: one client drops whatever shares it."""

    def item(self) -> dict[str, object]:
        return _present(taskType="ping", pong=True)
