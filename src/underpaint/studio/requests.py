"""From a model's entry and a person's wishes to jobs for the engine, with every default filled in."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from underpaint.catalog import ModelEntry
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.strength_curve import FlowLevels, StrengthCurve, perceptual_share
from underpaint.engine.messages import (
    Addition,
    Control,
    DeepCache,
    Embedding,
    ImagePrompt,
    JobRequest,
    Mask,
    ModelReference,
    Picture,
    Refiner,
    SafetyCheck,
)
from underpaint.engine.messages import Pass as EnginePass
from underpaint.studio.wordless import asks_for_no_colors
from underpaint.wire import AcceleratorOptions, Pass, PromptWeighting

RUNNABLE_ARCHITECTURES = {name: family.types for name, family in FAMILY_OF_ARCHITECTURE.items()}
"""Architectures that the engine can run, by the catalogue's names, each with the types of checkpoints that it can."""
LARGEST_SEED = 2**63 - 1
GUIDE_SIDE_PX = 1024
"""Longest side of a guide image on its way to the engine: image encoders look at 224 x 224 pixels of it."""
TILED_FROM = 2
"""Pictures with a side longer than this many of the model's own are worked on in tiles."""


class UnknownScheduler(ValueError):
    """The model's family has no such scheduler. `known` lists those it has."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"this model cannot run with the scheduler {name!r}")
        self.known = known


class NoPerceptualStrength(ValueError):
    """The perceptual curve of strength means nothing to the model."""

    def __init__(self, air: str) -> None:
        super().__init__(
            f"the perceptual curve of strength is for FLUX.1 and Stable Diffusion 3, where strength means something, "
            f"and not for {air}"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Wishes:
    """What is asked of a model; None leaves a choice to the model's defaults."""

    prompt: str
    negative_prompt: str = ""
    width_px: int
    height_px: int
    picture: Picture | None
    """Fitted to the size; None for text-to-image."""
    mask: Mask | None = None
    """Where the picture is painted anew, fitted like it; None for everywhere."""
    mask_margin_px: int | None = None
    """With a mask: work on what it paints at the full size, with so many pixels around it."""
    strength: float = 0.8
    strength_curve: StrengthCurve = "steps"
    """Whether `strength`, and that of each pass, is a share of the steps, or of what there is to see."""
    steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None
    seed: int
    results: int = 1
    color_fix: bool | None = None
    """Whether the picture gets the colors of `picture` back in the end; only with one, and without a mask. None for
    where nothing asks for others."""
    clip_skip: int = 0
    prompt_weighting: PromptWeighting | None = None
    refiner: Refiner | None = None
    vae: Addition | None = None
    loras: tuple[Addition, ...] = ()
    embeddings: tuple[Embedding, ...] = ()
    image_prompts: tuple[ImagePrompt, ...] = ()
    references: tuple[Picture, ...] = ()
    """What an editing model looks at, each in a size of `reference_size`."""
    controls: tuple[Control, ...] = ()
    deep_cache: DeepCache | None = None
    passes: tuple[Pass, ...] = ()
    """What each of several passes has of its own; none for a single one."""
    safety_check: SafetyCheck | None = None
    """By what the pictures are judged; None for not at all."""
    previews: bool = False
    """Whether progress shows what the picture is becoming."""


def job_requests(
    wishes: Wishes,
    *,
    entry: ModelEntry,
    location: Path,
    owner: str,
    checkpoints: Mapping[int, str] | None = None,
) -> tuple[JobRequest, ...]:
    """One job for each result; result k has the seed + k, so that it can be made again on its own.

    Args:
        wishes: what is asked for.
        entry: the model, of a runnable architecture.
        location: its folder or file on this machine.
        owner: whose jobs they are.
        checkpoints: by the positions of the results that are to be made, the names that unfinished ones are kept under;
            None for all results, of which nothing is kept.

    Raises:
        UnknownScheduler: the model's family does not have the scheduler.
        NoPerceptualStrength: the curve of strength means nothing to the model.
    """
    first, *further = _passes(wishes, entry)
    model = model_reference(entry, location)
    tile_px = tile_side(wishes, entry)

    def job(position: int, checkpoint: str | None) -> JobRequest:
        request = JobRequest(
            job_id=str(uuid.uuid4()),
            owner=owner,
            model=model,
            prompt=first.prompt,
            negative_prompt=first.negative_prompt,
            width_px=wishes.width_px,
            height_px=wishes.height_px,
            steps=first.steps,
            guidance_scale=first.guidance_scale,
            scheduler=first.scheduler,
            seed=_seed(wishes.seed, position),
            strength=first.strength,
            asked_strength=first.asked_strength,
            picture=wishes.picture,
            mask=wishes.mask,
            mask_margin_px=wishes.mask_margin_px,
            tile_px=tile_px,
            color_fix=bool(wishes.color_fix),
            clip_skip=wishes.clip_skip,
            prompt_weighting=wishes.prompt_weighting,
            refiner=wishes.refiner,
            vae=wishes.vae,
            loras=wishes.loras,
            embeddings=wishes.embeddings,
            image_prompts=wishes.image_prompts,
            reference_pictures=wishes.references,
            controls=wishes.controls,
            deep_cache=wishes.deep_cache,
            further_passes=tuple(further),
            safety_check=wishes.safety_check,
            previews=wishes.previews,
            checkpoint=checkpoint,
        )
        if wishes.color_fix is None and asks_for_no_colors(request):
            request = replace(request, color_fix=True)
        return request

    if checkpoints is None:
        return tuple(job(position, None) for position in range(wishes.results))
    return tuple(job(position, name) for position, name in checkpoints.items())


def deep_cache(options: AcceleratorOptions | None) -> DeepCache | None:
    """What a task says of it, for the engine; None where it is off."""
    if options is None or not options.deep_cache:
        return None
    return DeepCache(interval=options.deep_cache_interval, branch=options.deep_cache_branch_id)


def control_traits(entry: ModelEntry) -> dict[str, bool]:
    """What the engine has to know of a ControlNet and its files may not say: it hangs on what it was trained with."""
    return {"pools": entry.conditioning == "shuffle", "hides_masked": entry.conditioning == "inpaint"}


def model_reference(entry: ModelEntry, location: Path) -> ModelReference:
    """What the engine knows a model by."""
    return ModelReference(
        architecture=entry.architecture,
        location=location,
        config=entry.files.config if entry.files else None,
        name=entry.air,
    )


def tile_side(wishes: Wishes, entry: ModelEntry) -> int | None:
    """Side of the tiles in which a picture is worked on that is far larger than those the model learned from.

    Only with a picture to begin with: from text, every tile would become a picture of its own. And without reference
    images, of which every tile would take the whole.
    """
    native = min(entry.defaults.width_px, entry.defaults.height_px) // 64 * 64
    larger = max(wishes.width_px, wishes.height_px) > TILED_FROM * native
    fits = min(wishes.width_px, wishes.height_px) > native
    begun = wishes.picture is not None and not wishes.references
    return native if begun and larger and fits else None


def _passes(wishes: Wishes, entry: ModelEntry) -> list[EnginePass]:
    """All passes, at least one, with every choice made."""
    chosen = EnginePass(
        prompt=wishes.prompt,
        negative_prompt=wishes.negative_prompt,
        steps=wishes.steps or entry.defaults.steps,
        guidance_scale=entry.defaults.guidance_scale
        if wishes.guidance_scale is None
        else wishes.guidance_scale,
        scheduler=checked_scheduler(wishes.scheduler, entry),
        strength=1.0
        if entry.type in FAMILY_OF_ARCHITECTURE[entry.architecture].without_strength
        else wishes.strength,
    )
    own = [
        {
            "prompt": each.positive_prompt,
            "negative_prompt": each.negative_prompt,
            "steps": each.steps,
            "guidance_scale": each.cfg_scale,
            "scheduler": None if each.scheduler is None else checked_scheduler(each.scheduler, entry),
            "strength": each.strength,
        }
        for each in wishes.passes
    ]
    passes = [
        replace(chosen, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        for given in own
    ] or [chosen]
    if wishes.strength_curve == "steps":
        return passes
    if (levels := _flow_levels(entry)) is None:
        raise NoPerceptualStrength(entry.air)
    return [
        replace(
            each,
            asked_strength=each.strength,
            strength=perceptual_share(
                each.strength, levels, width_px=wishes.width_px, height_px=wishes.height_px
            ),
        )
        for each in passes
    ]


def has_perceptual_strength(entry: ModelEntry) -> bool:
    """Whether a strength can be told to such a model in parts of what there is to see."""
    return _flow_levels(entry) is not None


def _flow_levels(entry: ModelEntry) -> FlowLevels | None:
    family = FAMILY_OF_ARCHITECTURE[entry.architecture]
    return None if entry.type in family.without_strength else family.flow_levels


def checked_scheduler(name: str | None, entry: ModelEntry) -> str:
    """The scheduler that a request runs with: the one it names, or the model's default.

    Raises:
        UnknownScheduler: the model's family does not have it.
    """
    known = FAMILY_OF_ARCHITECTURE[entry.architecture].schedulers
    chosen = name or entry.defaults.scheduler
    if chosen not in known:
        raise UnknownScheduler(chosen, tuple(known))
    return chosen


def _seed(first: int, position: int) -> int:
    """The seed of a later result; after the largest seed comes 1 again."""
    return (first - 1 + position) % LARGEST_SEED + 1
