"""What a task asks of its model that the model cannot do: known from the catalog, before anything is fetched."""

from typing import get_args

from underpaint.catalog import ModelEntry
from underpaint.catalog.unets import cross_attention_transformers
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.layer_weights import KNOWN_COUNTS, NAMING_LAYERS, WeightType
from underpaint.studio.requests import UnknownScheduler, checked_scheduler, has_perceptual_strength
from underpaint.wire import ImageInferenceTask, TaskError
from underpaint.wire.errors import parameter_code


def check_model_can(task: ImageInferenceTask, entry: ModelEntry) -> None:
    """Refuse what a task asks of its model in vain. Raises `TaskError`."""
    _check_scheduler("scheduler", task.scheduler, entry)
    for index, each in enumerate(task.passes):
        if each.scheduler is not None:
            _check_scheduler(f"passes[{index}].scheduler", each.scheduler, entry)
    _check_text(task, entry)
    if task.strength_curve == "perceptual" and not has_perceptual_strength(entry):
        raise TaskError(
            "incompatibleParameters",
            "'strengthCurve' can be 'perceptual' with models of FLUX.1 and Stable Diffusion 3 that begin with the seed "
            f"image, and {entry.name} is none.",
            parameter=["strengthCurve", "model"],
        )
    _check_pictures(task, entry)
    _check_acceleration(task, entry)
    _check_additions(task, entry)
    _check_references(task, entry)
    _check_weights(task, entry)
    _check_weight_types(task, entry)


def _check_references(task: ImageInferenceTask, entry: ModelEntry) -> None:
    """Refuse reference images that the model does not look at."""
    family = FAMILY_OF_ARCHITECTURE[entry.architecture]
    given, most = len(task.reference_images), family.reference_images
    if given and not most:
        raise TaskError(
            "incompatibleParameters",
            f"'referenceImages' goes with editing models only, such as FLUX.1 Kontext, and {entry.air} ({entry.name}) "
            f"is {entry.architecture}.",
            parameter=["referenceImages", "model"],
        )
    if given > most:
        raise TaskError(
            "invalidReferenceImages",
            f"'referenceImages' must be a list of strings, at most {most} with {entry.name}, not {given}.",
            parameter="referenceImages",
            type="string[]",
        )


def _check_weights(task: ImageInferenceTask, entry: ModelEntry) -> None:
    """Refuse weights for pictures that take the place of the prompt."""
    family = FAMILY_OF_ARCHITECTURE[entry.architecture]
    if family.weighs_ip_adapters:
        return
    for index, asked in enumerate(task.ip_adapters):
        for name, value, only in (
            ("weight", asked.weight, 1.0),
            ("embedScaling", asked.embed_scaling, "kv"),
            ("weightType", asked.weight_type, "normal"),
            ("weightComposition", asked.weight_composition, 1.0),
        ):
            if value != only:
                parameter = f"ipAdapters[{index}].{name}"
                raise TaskError(
                    parameter_code("invalid", parameter),
                    f"'{parameter}' must be {only!r} with a model of {family.title}: pictures take the place of its "
                    "prompt, and have no weight.",
                    parameter=parameter,
                    type="string" if isinstance(only, str) else "float",
                    allowed_values=[only],
                )


def _check_additions(task: ImageInferenceTask, entry: ModelEntry) -> None:
    """Refuse models beside the task's own that its family does not take."""
    family = FAMILY_OF_ARCHITECTURE[entry.architecture]
    for name, asked, taken in (
        ("vae", task.vae, family.vae),
        ("lora", task.lora, family.loras),
        ("embeddings", task.embeddings, family.embeddings),
        ("ipAdapters", task.ip_adapters, family.ip_adapters),
        ("controlNet", task.control_net, family.controlnets),
    ):
        if asked and not taken:
            raise TaskError(
                "unsupportedParameter",
                f"'{name}' is not supported by this server for models of {entry.architecture}.",
                parameter=name,
            )


def _check_weight_types(task: ImageInferenceTask, entry: ModelEntry) -> None:
    """Refuse a spread of an IP-Adapter's weight that names layers, where it is known that the UNet has others."""
    naming = [index for index, each in enumerate(task.ip_adapters) if each.weight_type in NAMING_LAYERS]
    if not naming:
        return
    count = cross_attention_transformers(entry)
    if count is None or count in KNOWN_COUNTS:
        return
    name, kind = f"ipAdapters[{naming[0]}].weightType", task.ip_adapters[naming[0]].weight_type
    raise TaskError(
        parameter_code("invalid", name),
        f"'{name}' cannot be {kind} with model {entry.air}: which of its {count} layers hold style and composition is "
        "not known.",
        parameter=name,
        type="string",
        allowed_values=[kind for kind in get_args(WeightType) if kind not in NAMING_LAYERS],
    )


def _check_pictures(task: ImageInferenceTask, entry: ModelEntry) -> None:
    """Refuse what a checkpoint whose picture is shown to it, and not begun with, has no use for, or ask for it."""
    if entry.type not in FAMILY_OF_ARCHITECTURE[entry.architecture].without_strength:
        return
    needed = {"seedImage": task.seed_image is not None}
    refused = {
        "passes": bool(task.passes),
        "maskMargin": task.mask_margin is not None,
        "colorFix": task.color_fix is True,
    }
    if entry.type == "inpainting":
        needed["maskImage"] = task.mask_image is not None or task.outpaint is not None
    else:
        refused |= {"maskImage": task.mask_image is not None, "outpaint": task.outpaint is not None}
    for name, given in needed.items():
        if not given:
            raise TaskError(
                parameter_code("missing", name),
                f"'{name}' is required with {entry.name}.",
                parameter=name,
                type="string",
            )
    for name, given in refused.items():
        if given:
            raise TaskError(
                "incompatibleParameters",
                f"'{name}' cannot be used with {entry.name}.",
                parameter=[name, "model"],
            )


def _check_acceleration(task: ImageInferenceTask, entry: ModelEntry) -> None:
    if task.accelerator_options is None or FAMILY_OF_ARCHITECTURE[entry.architecture].has_unet:
        return
    asked = "acceleratorOptions.deepCache" if task.acceleration == "none" else "acceleration"
    raise TaskError(
        "incompatibleParameters",
        f"'{asked}' is for models with a UNet, and {entry.air} is {entry.architecture}.",
        parameter=[asked, "model"],
    )


def _check_text(task: ImageInferenceTask, entry: ModelEntry) -> None:
    """Refuse what the text encoders of the model's family cannot do."""
    family = FAMILY_OF_ARCHITECTURE[entry.architecture]
    if task.prompt_weighting is not None and task.prompt_weighting not in family.prompt_weightings:
        known = sorted(family.prompt_weightings)
        raise TaskError(
            "invalidPromptWeighting",
            f"'promptWeighting' must be {' or '.join(known)} with a model of {family.title}.",
            parameter="promptWeighting",
            type="string",
            allowed_values=[*known],
        )
    if task.clip_skip and not family.skips_clip_layers:
        raise TaskError(
            "invalidClipSkip",
            f"'clipSkip' must be 0 with a model of {family.title}: no layer of its encoder can be skipped.",
            parameter="clipSkip",
            type="integer",
            allowed_values=[0],
        )


def _check_scheduler(parameter: str, name: str | None, entry: ModelEntry) -> None:
    try:
        checked_scheduler(name, entry)
    except UnknownScheduler as unknown:
        raise TaskError(
            parameter_code("invalid", parameter),
            f"{unknown}; 'allowedValues' lists those it can run with.",
            parameter=parameter,
            type="string",
            allowed_values=list(unknown.known),
        ) from None
