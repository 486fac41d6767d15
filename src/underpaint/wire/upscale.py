"""The task that makes a picture larger."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from underpaint.wire.air import ModelIdentifier
from underpaint.wire.delivery import ONE_RESULT, PictureTask, fold_delivery
from underpaint.wire.fields import Integer, OptionalInteger, WireModel
from underpaint.wire.inputs import fold_input_image, with_input_image
from underpaint.wire.parameters import IGNORED_PARAMETERS
from underpaint.wire.sampling import OptionalPrompt, OptionalScheduler
from underpaint.wire.schedulers import SCHEDULER_NAMES
from underpaint.wire.violations import check_names, fold_object


class UpscaleSettings(WireModel):
    """How a model draws the larger picture.

    Attributes:
        positive_prompt, negative_prompt: what guides it, and what it leads away from.
        strength: how much the model may change, 0 to 1; 0 resamples, without a model.
        steps: of a full run, 1 to 100.
        scheduler: sampling algorithm.
        seed: 1 to 2^63 - 1.
        cfg_scale: guidance scale, 0 to 50.
        clip_skip: text encoder layers to skip.
        color_fix: whether the larger picture gets the colors of the small one back.
    """

    unsupported: ClassVar[Mapping[str, str]] = {"controlNetWeight": "upscaling draws without ControlNets"}

    positive_prompt: OptionalPrompt = Field(
        default=None, min_length=1, max_length=3000, description="what guides the model; default: nothing"
    )
    negative_prompt: OptionalPrompt = Field(
        default=None, max_length=3000, description="what the picture is led away from"
    )
    strength: float = Field(
        default=0.3, ge=0, le=1, description="how much the model may change; 0 resamples without it"
    )
    steps: OptionalInteger = Field(default=None, ge=1, le=100, description="default: the model's")
    scheduler: OptionalScheduler = Field(
        default=None,
        description="sampling algorithm; default: the model's",
        json_schema_extra={"enum": list(SCHEDULER_NAMES)},
    )
    seed: OptionalInteger = Field(
        default=None, ge=1, le=2**63 - 1, description="makes the result repeatable; default: random"
    )
    cfg_scale: float | None = Field(
        default=None, ge=0, le=50, description="guidance scale; default: the model's, without a prompt 1"
    )
    clip_skip: Integer = Field(default=0, ge=0, le=2, description="text encoder layers to skip")
    color_fix: bool = Field(
        default=False, description="whether the result gets the colors of the picture back in the end"
    )


class UpscaleTask(PictureTask):
    """Makes a picture larger: by image-to-image with a checkpoint, or by resampling.

    The hosted upscalers are models of their own. Here every checkpoint is one: the enlarged picture is its seed image.

    Attributes:
        input_image: UUID, data URI, bare base64 or URL.
        model: AIR identifier of a checkpoint.
        upscale_factor: 2 to 4. The result has sides of at most 4096 pixels.
        settings: how the model draws.
    """

    ignored: ClassVar[Mapping[str, str]] = IGNORED_PARAMETERS
    unsupported: ClassVar[Mapping[str, str]] = {
        "targetMegapixels": "the size is given by upscaleFactor",
        **ONE_RESULT,
    }

    model_config = ConfigDict(json_schema_extra=with_input_image)

    task_type: Literal["upscale", "imageUpscale"] = "upscale"
    input_image: str = Field(min_length=1, description="the picture: UUID, data URI, bare base64 or URL")
    model: ModelIdentifier = Field(description="AIR identifier of the checkpoint that draws")
    upscale_factor: Integer = Field(default=2, ge=2, le=4, description="times as wide and high")
    settings: UpscaleSettings = Field(default=UpscaleSettings(), description="how the model draws")

    @classmethod
    def fold(cls, parameters: dict[str, object]) -> dict[str, object]:
        """Read `inputs`, and drop what is written out but switched off."""
        folded = dict(parameters)
        fold_delivery(folded)
        fold_input_image(folded)
        settings = folded.get("settings")
        if isinstance(settings, dict):
            unsupported = UpscaleSettings.unsupported
            refused = {name: value for name, value in settings.items() if name in unsupported}
            check_names(refused, known=(), unsupported=unsupported, within="settings.")
            folded["settings"] = {name: value for name, value in settings.items() if name not in refused}
        fold_object(folded, "settings", UpscaleSettings)
        return folded
