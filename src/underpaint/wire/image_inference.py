"""The task that makes pictures: from text, or from a picture and text."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from underpaint.wire.acceleration import Acceleration, AcceleratorOptions, fold_acceleration
from underpaint.wire.additions import MAX_ADDITIONS, WeightedModel
from underpaint.wire.air import ModelIdentifier, OptionalModelIdentifier
from underpaint.wire.controlnets import MAX_CONTROLNETS, ControlNet, fold_controlnets
from underpaint.wire.delivery import PictureTask, PromptWeighting, documented_spelling
from underpaint.wire.errors import TaskError, parameter_code
from underpaint.wire.fields import Integer, OptionalInteger, WireModel
from underpaint.wire.ip_adapters import MAX_IP_ADAPTERS, IPAdapter, fold_ip_adapters
from underpaint.wire.parameters import (
    IGNORED_PARAMETERS,
    UNSUPPORTED_INPUTS,
    UNSUPPORTED_PARAMETERS,
    says_nothing,
)
from underpaint.wire.reference_images import MAX_REFERENCE_IMAGES, Side, fold_reference_images
from underpaint.wire.refiner import Refiner, fold_refiner
from underpaint.wire.sampling import MAX_PASSES, OptionalScheduler, Pass, Prompt
from underpaint.wire.schedulers import SCHEDULER_NAMES
from underpaint.wire.violations import check_names, fold_list, fold_object

Fit = Literal["stretch", "cover", "contain"]
_SIDE = "of the picture, in pixels; with referenceImages both sides may be left out"
StrengthCurve = Literal["steps", "perceptual"]


def _with_lenient_forms(schema: dict[str, Any]) -> None:
    """Add to the JSON Schema what is read besides the plain form of the attributes."""
    properties = schema["properties"]
    properties["inputs"] = {
        "type": "object",
        "description": "another place for seedImage, maskImage and referenceImages",
        "properties": {
            **{
                name: {"type": "string", "description": said, "minLength": 1}
                for name, said in (
                    ("seedImage", "as seedImage"),
                    ("maskImage", "as maskImage"),
                    ("mask", "as maskImage"),
                )
            },
            "referenceImages": {
                "type": "array",
                "description": "as referenceImages",
                "items": {"type": "string"},
                "maxItems": MAX_REFERENCE_IMAGES,
            },
        },
    }
    # They may be left to the first reference image.
    schema["required"] = [name for name in schema["required"] if name not in ("width", "height")]
    properties["safety"] = {
        "type": "object",
        "description": "another way to say checkNSFW; mode outweighs checkContent",
        "properties": {
            "checkContent": {"type": "boolean", "description": "as checkNSFW"},
            "mode": {
                "enum": ["none", "fast", "full"],
                "description": "whether results are checked; fast is as thorough as full",
            },
        },
    }


class Outpaint(WireModel):
    """How far a picture is to be continued, and how softly.

    Attributes:
        top, right, bottom, left: pixels to add on each side, multiples of 64; at least one is above 0.
        blur: how far the new part fades into the old one, in pixels, 0 to 32.
    """

    top: Integer = Field(default=0, ge=0, le=1984, multiple_of=64, description="pixels to add above")
    right: Integer = Field(default=0, ge=0, le=1984, multiple_of=64, description="pixels to add on the right")
    bottom: Integer = Field(default=0, ge=0, le=1984, multiple_of=64, description="pixels to add below")
    left: Integer = Field(default=0, ge=0, le=1984, multiple_of=64, description="pixels to add on the left")
    blur: Integer = Field(
        default=0, ge=0, le=32, description="how many pixels the new part fades into the old one"
    )


class ImageInferenceTask(PictureTask):
    """Asks for one or several pictures.

    Prompts lose surrounding white space and may have 1 to 3000 characters. (The documentation says 2 to 3000,
    later error texts of the hosted service 1; one letter does no harm.) The positive prompt is required, as
    documented: `__BLANK__` asks for a picture without text guidance, and reads as the empty string here. The
    Python client leaves an empty prompt out of the task, and its user gets the error that says what to send.

    Attributes:
        model: AIR identifier, in its short form.
        positive_prompt: what guides the picture; "" for no text guidance.
        negative_prompt: what the picture is led away from; "" for nothing.
        seed_image: the picture to transform: UUID, data URI, bare base64 or URL. None makes a picture from
            text alone.
        mask_image: where the seed image is painted anew: white is, black is not, gray in proportion. None for
            everywhere.
        mask_margin: if given, what the mask paints is worked on enlarged to the whole size, with so many pixels
            around it, 32 to 128.
        outpaint: the seed image is continued beyond its sides; width and height are then of the whole.
        strength: how much of the seed image is given up, 0 to 1.
        strength_curve: what strength, also that of passes, is a share of: the steps, or of what there is to see of
            the seed image, for models of rectified flows (FLUX, Stable Diffusion 3). An extension.
        color_fix: whether the picture gets the seed image's colors back in the end, in its large areas; not with a
            mask. None for where nothing asks for others (`studio.wordless`). An extension.
        width, height: of the picture in pixels, 128 to 2048, multiples of 64; both 0 where they are left to the first
            reference image.
        steps: denoising steps of a full run, 1 to 100; None for the model's default.
        scheduler: a name of `SCHEDULER_NAMES`; None for the model's default.
        seed: 1 to 2^63 - 1; None to draw one.
        cfg_scale: guidance scale, 0 to 50, where 0 and 1 mean no guidance; None for the model's default.
        clip_skip: text encoder layers to skip beyond what the model skips.
        prompt_weighting: syntax of weights within prompts; None for plain text.
        refiner: a second model for the last steps.
        vae: a VAE of the model's family that takes the place of the model's own.
        lora: LoRAs that act upon the model, up to 20; one named twice has the sum of both weights.
        embeddings: textual inversions of the model's family, up to 20, which act where their words stand in the
            prompts; one named twice has the sum of both weights.
        ip_adapters: pictures that lead this one, and the models by which they do, up to 8.
        reference_images: pictures that an editing model works after, given like the seed image.
        control_net: maps that the picture is laid out by, and the models that read them, up to 8.
        acceleration: the preset by which `accelerator_options` were asked for, "none" where they speak for themselves.
        accelerator_options: shortcuts of the steps, for models with a UNet; None for none.
        number_results: how many pictures, 1 to 20.
        check_nsfw: whether results say if they are unsafe.
        fit: how a seed image of another aspect ratio fills the picture: stretched to it, cut to it ("cover"),
            or whole within it ("contain"). An extension; the API itself only stretches.
        passes: several passes, 1 to 20, each from the latents that the one before left; what a pass leaves out
            is the task's own. Without a seed image the first one makes a picture from text. An extension.
    """

    ignored: ClassVar[Mapping[str, str]] = IGNORED_PARAMETERS
    unsupported: ClassVar[Mapping[str, str]] = UNSUPPORTED_PARAMETERS

    model_config = ConfigDict(json_schema_extra=_with_lenient_forms)

    task_type: Literal["imageInference"] = "imageInference"
    model: ModelIdentifier = Field(description="AIR identifier of the model")
    positive_prompt: Prompt = Field(
        min_length=1, max_length=3000, description="what guides the picture; __BLANK__ for no text guidance"
    )
    negative_prompt: Prompt = Field(
        default="", max_length=3000, description="what the picture is led away from"
    )
    seed_image: str | None = Field(
        default=None, min_length=1, description="the picture to transform: UUID, data URI, bare base64 or URL"
    )
    mask_image: str | None = Field(
        default=None,
        min_length=1,
        description="where the seed image is painted anew (white) or kept (black), given like it",
    )
    mask_margin: OptionalInteger = Field(
        default=None,
        ge=32,
        le=128,
        description="what the mask paints is worked on at the full size, with so many pixels around it",
    )
    outpaint: Outpaint | None = Field(
        default=None, description="the seed image is continued beyond its sides, up to width and height"
    )
    strength: float = Field(default=0.8, ge=0, le=1, description="how much of the seed image is given up")
    strength_curve: StrengthCurve = Field(
        default="steps",
        description="what strength is a share of: the steps, or of what there is to see, for FLUX.1 and Stable "
        "Diffusion 3 (extension)",
    )
    color_fix: bool | None = Field(
        default=None,
        description="whether the picture gets the seed image's colors back in the end; default: in weak passes without "
        "words (extension)",
    )
    width: Side = Field(description=_SIDE)
    height: Side = Field(description=_SIDE)
    steps: OptionalInteger = Field(
        default=None, ge=1, le=100, description="denoising steps; default: the model's"
    )
    scheduler: OptionalScheduler = Field(
        default=None,
        description="sampling algorithm; default: the model's",
        json_schema_extra={"enum": list(SCHEDULER_NAMES)},
    )
    seed: OptionalInteger = Field(
        default=None, ge=1, le=2**63 - 1, description="makes results repeatable; default: random"
    )
    cfg_scale: float | None = Field(
        default=None, ge=0, le=50, description="guidance scale, 0 and 1 turn it off; default: the model's"
    )
    clip_skip: Integer = Field(
        default=0, ge=0, le=2, description="text encoder layers to skip beyond the model's own"
    )
    prompt_weighting: Annotated[PromptWeighting | None, BeforeValidator(documented_spelling)] = Field(
        default=None, description="syntax of weights within both prompts; default: plain text"
    )
    refiner: Refiner | None = Field(
        default=None, description="a second model for the last steps; with SDXL models only"
    )
    vae: OptionalModelIdentifier = Field(
        default=None, description="AIR identifier of a VAE in place of the model's own"
    )
    lora: tuple[WeightedModel, ...] = Field(
        default=(), max_length=MAX_ADDITIONS, description="LoRAs of the model's family that act together"
    )
    embeddings: tuple[WeightedModel, ...] = Field(
        default=(),
        max_length=MAX_ADDITIONS,
        description="textual inversions of the model's family, which act where their words stand in the prompts",
    )
    ip_adapters: tuple[IPAdapter, ...] = Field(
        default=(),
        max_length=MAX_IP_ADAPTERS,
        description="pictures that lead this one, and the IP-Adapters of the model's family by which they do",
    )
    reference_images: tuple[str, ...] = Field(
        default=(),
        max_length=MAX_REFERENCE_IMAGES,
        description="pictures that an editing model works after, given like seedImage",
    )
    control_net: tuple[ControlNet, ...] = Field(
        default=(),
        max_length=MAX_CONTROLNETS,
        description="maps of edges, depth or the like that the picture is laid out by, and the ControlNets of the "
        "model's family that read them",
    )
    acceleration: Acceleration = Field(
        default="none",
        description="preset of acceleratorOptions, which outweigh it: none, low, medium or high",
    )
    accelerator_options: AcceleratorOptions | None = Field(
        default=None, description="shortcuts of the steps, for models with a UNet; default: none"
    )
    number_results: Integer = Field(default=1, ge=1, le=20, description="how many pictures")
    check_nsfw: bool = Field(default=False, description="whether results say if they are unsafe")
    fit: Fit = Field(
        default="stretch", description="how a seed image of another shape fills the picture (extension)"
    )
    passes: tuple[Pass, ...] = Field(
        default=(),
        max_length=MAX_PASSES,
        description="several passes, each from the latents of the one before; what one leaves out is the task's own "
        "(extension)",
    )

    @classmethod
    def fold(cls, parameters: dict[str, object]) -> dict[str, object]:
        """Read `inputs` and `safety`, and drop what is written out but switched off."""
        folded = dict(parameters)
        for name in ("webhookURL", "uploadEndpoint", "vae"):
            if folded.get(name) == "":
                del folded[name]
        _fold_inputs(folded)
        _require_pictures(folded)
        _fold_safety(folded)
        fold_acceleration(folded)
        _fold_prompt_weighting(folded)
        fold_list(folded, "lora", WeightedModel)
        fold_list(folded, "embeddings", WeightedModel)
        fold_ip_adapters(folded)
        fold_controlnets(folded)
        fold_list(folded, "passes", Pass)
        fold_object(folded, "outpaint", Outpaint)
        _check_outpaint(folded)
        _check_color_fix(folded)
        fold_refiner(folded)
        return folded


def _object(parameters: dict[str, object], name: str) -> dict[str, object]:
    """Take an object-valued parameter out of the parameters, without its nulls; empty where absent."""
    value = parameters.pop(name, None)
    if value is None or value == []:
        return {}
    if not isinstance(value, dict):
        raise TaskError(
            parameter_code("invalid", name), f"'{name}' must be an object.", parameter=name, type="object"
        )
    return {key: member for key, member in value.items() if member is not None}


def _fold_inputs(parameters: dict[str, object]) -> None:
    inputs = _object(parameters, "inputs")
    check_names(
        inputs,
        known=("seedImage", "maskImage", "mask", "referenceImages"),
        unsupported=UNSUPPORTED_INPUTS,
        within="inputs.",
    )
    fold_reference_images(parameters, inputs)
    for nested_name, name in (("seedImage", "seedImage"), ("maskImage", "maskImage"), ("mask", "maskImage")):
        nested, outer = inputs.get(nested_name), parameters.get(name)
        if outer is None and nested is not None:
            parameters[name] = nested
        elif isinstance(outer, str) and nested is not None and nested != outer:
            raise TaskError(
                "incompatibleParameters",
                f"'{name}' and 'inputs.{nested_name}' are different pictures; give one of them.",
                parameter=[name, f"inputs.{nested_name}"],
            )


def _require_pictures(parameters: dict[str, object]) -> None:
    mask, margin = parameters.get("maskImage"), parameters.get("maskMargin")
    # A mask that is no picture, or a margin that is no number, is another error's affair.
    if isinstance(mask, str) and mask and parameters.get("seedImage") is None:
        raise TaskError(
            "missingSeedImage",
            "'seedImage' is required with 'maskImage': the picture that the mask belongs to.",
            parameter="seedImage",
            type="string",
        )
    if isinstance(margin, int) and not isinstance(margin, bool) and 32 <= margin <= 128 and mask is None:
        raise TaskError(
            "missingMaskImage",
            "'maskImage' is required with 'maskMargin': the margin is around what it paints.",
            parameter="maskImage",
            type="string",
        )


def _check_outpaint(parameters: dict[str, object]) -> None:
    outpaint = parameters.get("outpaint")
    if not isinstance(outpaint, dict):
        return
    if says_nothing({side: outpaint.get(side) for side in ("top", "right", "bottom", "left")}):
        if says_nothing(outpaint):
            del parameters["outpaint"]
            return
        raise TaskError(
            "invalidOutpaint",
            "'outpaint' must extend at least one side: give 'top', 'right', 'bottom' or 'left'.",
            parameter="outpaint",
            type="object",
        )
    if parameters.get("seedImage") is None:
        raise TaskError(
            "missingSeedImage",
            "'seedImage' is required with 'outpaint': the picture to continue.",
            parameter="seedImage",
            type="string",
        )
    if parameters.get("maskImage") is not None:
        raise TaskError(
            "incompatibleParameters",
            "'outpaint' makes its own mask, of what it adds; leave 'maskImage' out.",
            parameter=["outpaint", "maskImage"],
        )


def _check_color_fix(parameters: dict[str, object]) -> None:
    if parameters.get("colorFix") is not True:
        return
    if parameters.get("seedImage") is None:
        raise TaskError(
            "missingSeedImage",
            "'seedImage' is required with 'colorFix': the picture whose colors are kept.",
            parameter="seedImage",
            type="string",
        )
    for name in ("maskImage", "outpaint"):
        if parameters.get(name) is not None:
            raise TaskError(
                "incompatibleParameters",
                f"'colorFix' would keep the colors of what '{name}' paints anew; leave one of them out.",
                parameter=["colorFix", name],
            )


def _fold_safety(parameters: dict[str, object]) -> None:
    safety = _object(parameters, "safety")
    check_names(safety, known=("checkContent", "mode", "tolerance", "checkInputs"), within="safety.")
    check_content, mode = safety.get("checkContent", False), safety.get("mode")
    if not isinstance(check_content, bool):
        raise TaskError(
            "invalidSafetyCheckContent",
            "'safety.checkContent' must be true or false.",
            parameter="safety.checkContent",
            type="boolean",
        )
    modes = ("none", "fast", "full")
    if mode is not None and mode not in modes:
        raise TaskError(
            "invalidSafetyMode",
            "'safety.mode' must be one of 'none', 'fast' and 'full'.",
            parameter="safety.mode",
            type="string",
            allowed_values=list(modes),
        )
    if safety.get("checkInputs"):
        raise TaskError(
            "unsupportedParameter",
            "'safety.checkInputs' is not supported by this server: only results are checked.",
            parameter="safety.checkInputs",
            type="boolean",
        )
    if mode is not None:
        parameters["checkNSFW"] = mode != "none"
    elif check_content:
        parameters["checkNSFW"] = True


def _fold_prompt_weighting(parameters: dict[str, object]) -> None:
    value = parameters.get("promptWeighting")
    if value == "":
        del parameters["promptWeighting"]
